"""New stores as copies of the first one of each kind: to make one takes longer than most tests.

MLflow makes an empty store in forty migrations, which takes seconds, and a new warehouse's seventy tables and their
comments take a fifth of a second. Processes that a test starts make their own.
"""

import os
import shutil
import sqlite3
import uuid
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from qc_assets.registry import local_store
from qc_assets.store.engine import FileEngine
from qc_assets.store.migrations import bring_up_to_date
from qc_assets.store.warehouse import Warehouse

make_mlflow_store = local_store._make
_open_file = FileEngine.open


def copy_first_of_each(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on every new store of this process is a copy.

    Args:
        patch: takes it back.
        folder: where the first ones are kept; all processes of a test run may share it.
    """

    def copy_store(database: Path, artifact_root: Path) -> None:
        draft = Path(shutil.copy(_empty_mlflow_store(folder, artifact_root), database.with_name("draft.db")))
        with closing(sqlite3.connect(draft)) as connection, connection:
            location = f"{artifact_root.as_uri()}/0"
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", [location])
        draft.replace(database)

    def open_or_copy(self: FileEngine, *, read_only: bool) -> Any:
        if not read_only and self.place.parent.is_dir() and not self.place.exists():
            copy = Path(shutil.copy(_empty_warehouse(folder), f"{self.place}.{uuid.uuid4()}"))
            with suppress(FileExistsError):  # another thread was quicker
                os.link(copy, self.place)
            copy.unlink()
        return _open_file(self, read_only=read_only)

    patch.setattr(local_store, "_make", copy_store)
    patch.setattr(FileEngine, "open", open_or_copy)


def _empty_mlflow_store(folder: Path, artifact_root: Path) -> Path:
    empty = folder / "mlflow" / "empty.db"
    with FileLock(f"{empty.parent}.lock"):
        if not empty.exists():
            empty.parent.mkdir(exist_ok=True)
            make_mlflow_store(empty, artifact_root)
    return empty


def _empty_warehouse(folder: Path) -> Path:
    empty = folder / "empty_warehouse.duckdb"
    with FileLock(f"{empty}.lock"):
        if not empty.exists():
            draft = empty.with_name("draft_of_empty.duckdb")
            with closing(
                _open_file(FileEngine(draft, Warehouse(draft, staging=folder / "staging").means), read_only=False)
            ) as connection:
                bring_up_to_date(connection, draft)
            draft.rename(empty)
    return empty
