"""Dagster's records of versions before 0.2: assets get the names that they have now, runs of `qc` their origin.

An asset was called ``models/p0/evaluation``, and is ``p0_evaluation``. Without this, all that was materialized before
would look as if it never had been, and the sensor would retrain from nothing.
"""

import json
import re
import sqlite3
from pathlib import Path

from qc_assets.sqlite_files import existing_sqlite

_SCHEMAS = ("raw", "features", "models", "ml", "ops", "reports", "exports", "critique", "analysis")
# As Dagster serializes a key of several parts. No text in a record reads so: its quotation marks are escaped.
_PACKED = re.compile(r'(\{"__class__": "AssetKey", "path": )(\["[^]]*", "[^]]*"\])')
# Columns with keys, and with what has keys inside.
_KEYED = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions")
_PACKED_IN = (
    ("event_logs", "event"),
    ("asset_keys", "last_materialization"),
    ("asset_check_executions", "evaluation_event"),
)


def bring_up_to_date(home: Path) -> int:
    """Rename old keys wherever Dagster's SQLite files have them; returns of how many assets.

    Old names are looked for in the index alone, which is changed last: what was interrupted is done again.

    Args:
        home: DAGSTER_HOME.
    """
    index = home / "history" / "runs" / "index.db"
    if not index.is_file() or not (old := _old_keys(index)):
        return 0
    for events in sorted(index.parent.glob("*.db")):
        if events != index:
            _rename(events)
    _rename_in_runs(home / "history" / "runs.db")
    _rename(index)
    return len(old)


def _new_key(packed: str) -> str | None:
    """The key that an asset has now, by the one that it had, both as Dagster writes them; None if it has it still."""
    from qc_assets.assets import tables

    path = json.loads(packed)
    if len(path) < 2 or path[0] not in _SCHEMAS:
        return None
    if path[:2] == ["reports", "bias"] and len(path) == 3:
        model, _, attribute = path[2].partition("_by_")
        path = ["models", model, f"bias_by_{attribute}"]
    return str(tables.key(".".join(path)).to_string())


def _packed_anew(text: str) -> str:
    return _PACKED.sub(lambda match: match[1] + (_new_key(match[2]) or match[2]), text)


def _old_keys(database: Path) -> dict[str, str]:
    with existing_sqlite(database) as connection:
        keys = [key for (key,) in connection.execute("SELECT asset_key FROM asset_keys WHERE asset_key LIKE '[%,%'")]
    return {key: new for key in keys if (new := _new_key(key))}


def _rename(database: Path) -> None:
    """Rename keys in a file of events, in one transaction."""
    with existing_sqlite(database, writable=True) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in _KEYED:
            distinct = f"SELECT DISTINCT asset_key FROM {table} WHERE asset_key LIKE '[%,%'"
            for (key,) in connection.execute(distinct).fetchall():
                if new := _new_key(key):
                    # Where a run of this version has written the new one already, that is what came last.
                    connection.execute(f"UPDATE OR IGNORE {table} SET asset_key = ? WHERE asset_key = ?", [new, key])
                    connection.execute(f"DELETE FROM {table} WHERE asset_key = ?", [key])
        connection.execute("UPDATE asset_keys SET cached_status_data = NULL")
        for table, column in _PACKED_IN:
            _rewrite(connection, table, column)


def _rename_in_runs(database: Path) -> None:
    """Rename keys in what runs selected, and give the runs of `qc` the origin without which no page shows them."""
    from dagster import DagsterRun
    from dagster._serdes import deserialize_value, serialize_value

    from qc_assets.assets.run_origins import located

    with existing_sqlite(database, writable=True) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        _rewrite(connection, "runs", "run_body")
        for run_id, body in connection.execute("SELECT run_id, run_body FROM runs").fetchall():
            run = deserialize_value(body, DagsterRun)
            if run.remote_job_origin is None:
                of_location = located(run)
                connection.execute(
                    "UPDATE runs SET run_body = ? WHERE run_id = ?", [serialize_value(of_location), run_id]
                )
                new_tags = of_location.tags_for_storage().items() - run.tags.items()
                connection.executemany(
                    "INSERT INTO run_tags (run_id, key, value) VALUES (?, ?, ?)",
                    [(run_id, name, value) for name, value in new_tags],
                )


def _rewrite(connection: sqlite3.Connection, table: str, column: str) -> None:
    rows = connection.execute(f"SELECT id, {column} FROM {table} WHERE {column} LIKE '%\"AssetKey\"%'").fetchall()
    changed = [(new, row) for row, packed in rows if (new := _packed_anew(packed)) != packed]
    connection.executemany(f"UPDATE {table} SET {column} = ? WHERE id = ?", changed)
