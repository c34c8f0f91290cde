"""What a server knew, kept between starts: as long as nothing has changed it need not be computed again.

A feature history of a large warehouse takes many seconds, reading it back a fraction of one. What is kept is found by
all that it follows from: the warehouse's file, this version of the code and its SQL, the settings and what is wanted.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from qc_assets.files import digest_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.places import PACKAGE, sql_root
from qc_assets.serving.knowledge import Reading
from qc_assets.settings import Settings

log = logging.getLogger(__name__)
_ABOUT, _NAMES = "about.json", "names.arrow"
_KINDS = ("tasks", "histories")
# In a checkout the warehouse itself may lie among its SQL, and the version stands still while the code does not.
_CODE = (".py", ".sql", ".csv")


def key_of_knowledge(
    settings: Settings,
    specs: Sequence[ModelSpec],
    needs: Mapping[str, Collection[str]],
    stamp: Sequence[int],
) -> str:
    """What a reading is kept under: another key means that it might differ.

    Args:
        settings, specs, needs: as in `Reading.of`.
        stamp: of the warehouse, see `StoreEngine.stamp`.
    """
    tables = sorted({spec.table.removeprefix("features.") for spec in specs})
    parts = {
        "code": [digest_of(folder, _CODE) for folder in (PACKAGE, sql_root())],
        # Time and size of a file say more than where it lies: a home that was moved, or copied, knows what it knew.
        "warehouse": [str(settings.warehouse) if settings.has_lake else "", *stamp],
        "settings": [settings.forge, settings.is_synthetic, settings.origin_parameters],
        "parameters": [settings.feature_parameters(table) for table in tables],
        "wanted": [[spec.table, spec.features, spec.target] for spec in specs],
        "needs": {table: sorted(columns) for table, columns in needs.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def kept_reading(folder: Path, key: str) -> Reading | None:
    """What was kept under a key; None if nothing was, or it cannot be read."""
    place = folder / key
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        frames = {
            kind: {table: _frame(place / f"{kind}_{table}.arrow") for table in about["tables"][kind]} for kind in _KINDS
        }
        return Reading(about["about"], _frame(place / _NAMES), **frames)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        log.warning("what was known at the last start cannot be read from %s, and is computed again: %s", place, error)
        return None


def keep_reading(folder: Path, key: str, reading: Reading) -> None:
    """Keep a reading, and no other one; that it cannot be kept is logged, and costs the next start its time."""
    draft = folder / f".draft-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        for kind in _KINDS:
            for table, frame in getattr(reading, kind).items():
                frame.write_ipc(draft / f"{kind}_{table}.arrow", compression="lz4")
        reading.names.write_ipc(draft / _NAMES, compression="lz4")
        tables = {kind: list(getattr(reading, kind)) for kind in _KINDS}
        (draft / _ABOUT).write_text(json.dumps({"about": reading.about, "tables": tables}), encoding="utf-8")
        for other in folder.iterdir():
            if other != draft:
                shutil.rmtree(other)
        draft.rename(folder / key)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("what is known cannot be kept in %s: %s", folder, error)
        shutil.rmtree(draft, ignore_errors=True)


def _frame(path: Path) -> pl.DataFrame:
    return pl.read_ipc(path)
