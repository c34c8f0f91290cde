"""MLflow's own database: made by one process, whole or not at all."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.files import keep_private
from qc_assets.sqlite_files import existing_sqlite

_HIDE_DEFAULT = (
    "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 0 AND name = 'Default' "
    "AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.experiment_id = 0)"
)


class OlderStoreError(QcError):
    """Another version of MLflow made the store: it has to be migrated."""


def make_store(database: Path, artifact_root: Path) -> None:
    """Make MLflow's SQLite file, unless it is there and whole.

    MLflow makes its tables in some forty steps, without a lock that covers them all and without a transaction: of two
    processes one fails, and a process that is killed meanwhile leaves a store that nobody can open. So a draft is made
    and moved into place.

    Args:
        database: the file.
        artifact_root: where experiments have their artifacts if they do not say another place.

    Raises:
        QcError: if there is something else.
        OlderStoreError: if it is a store of another version of MLflow.
    """
    if not _is_whole(database):
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_name(f"{database.name}.making.lock")):
            if not _is_whole(database):
                _set_aside(database)
                _make(database, artifact_root)
    keep_private(database)
    _refuse_other_version(database)


def _is_whole(database: Path) -> bool:
    """Whether MLflow has finished making it: its experiment "Default" comes last."""
    if not database.exists():
        return False
    try:
        with existing_sqlite(database) as connection:
            return bool(connection.execute("SELECT count(*) FROM experiments").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return False
        raise QcError(f"MLflow's store {database} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise QcError(
            f"MLflow's store {database} is broken ({error}): put a copy of it in its place, or move it away, and the "
            "models must be trained again"
        ) from error


def _set_aside(database: Path) -> None:
    """Move a store away that was never finished; no run can be in it."""
    with suppress(FileNotFoundError):
        database.rename(database.with_name(f"{database.name}.unfinished-{now_utc():%Y%m%dT%H%M%S%f}"))


def _make(database: Path, artifact_root: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    draft = database.with_name("draft.db")
    for path in database.parent.glob(f"{draft.name}*"):
        path.unlink()
    SqlAlchemyStore(f"sqlite:///{draft}", artifact_root.as_uri())._dispose_engine()
    hide_empty_default(draft)
    draft.replace(database)


def hide_empty_default(database: Path) -> None:
    """Have MLflow not show its own experiment "Default", unless somebody has put a run into it."""
    with existing_sqlite(database, writable=True) as connection, connection:
        connection.execute(_HIDE_DEFAULT)


def revisions(database: Path) -> tuple[str, str]:
    """Of a store's schema: the one that it has, and the one that this MLflow needs."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    with existing_sqlite(database) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return revision, _get_latest_schema_revision()


def _refuse_other_version(database: Path) -> None:
    revision, needed = revisions(database)
    if revision != needed:
        raise OlderStoreError(f"{database} was made by another version of MLflow (schema {revision}): run `qc migrate`")
