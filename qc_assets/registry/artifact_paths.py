"""MLflow's own store notes where artifacts lie by absolute paths: they are brought after a folder that was moved."""

import sqlite3
from pathlib import Path

from qc_assets.sqlite_files import existing_sqlite

# Wherever MLflow keeps the place of an artifact.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def follow_move(database: Path, artifact_root: Path) -> int:
    """Let a SQLite store that was moved or copied with its artifacts find them where they lie now.

    Without this a copy would write into the original, and a moved store would have no model that can be loaded.
    Only a store that lies beside its artifacts is touched: another may be shared by several homes.

    Args:
        database: MLflow's SQLite file; nothing is done if there is none.
        artifact_root: the folder beside it that has the artifacts.

    Returns:
        The number of experiments whose folder was corrected.
    """
    if not database.is_file() or database.absolute().parent != artifact_root.absolute().parent:
        return 0
    present = artifact_root.absolute().as_uri()
    with existing_sqlite(database, writable=True) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return 0
        moved = {
            location: f"{present}/{location.rsplit('/', 1)[1]}"
            for (location,) in connection.execute("SELECT artifact_location FROM experiments").fetchall()
            if _is_elsewhere(location, present)
        }
        for before, now in moved.items():
            for table, column in _COLUMNS:
                _replace_start(connection, table, column, before, now)
    return len(moved)


def _is_elsewhere(location: str | None, present: str) -> bool:
    """Whether an experiment of ours has its artifacts in a folder that is not this store's."""
    parent, _, name = (location or "").rpartition("/")
    # MLflow's own experiment "Default" lies elsewhere from the start, and has nothing of ours.
    same_folder_name = parent.endswith(present[present.rindex("/") :])
    return parent.startswith("file://") and same_folder_name and parent != present and bool(name)


def _replace_start(connection: sqlite3.Connection, table: str, column: str, before: str, now: str) -> None:
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        [now, len(before) + 1, before, len(before) + 1, f"{before}/"],
    )
