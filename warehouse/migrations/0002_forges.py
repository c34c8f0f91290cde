"""Ids get the number of their forge (`qc_assets/forges.py`), in all tables at once.

Rows with a source are those of its forge; all others those of their pull request, issue, repository or comment. Ids of
github.com and of the demo stay what they are. Where two forges had shared a row, both have theirs afterwards, computed
from what each had shown; what was derived from it (predictions, feedback) is with the one that the row counted as.
"""

from collections.abc import Mapping

import duckdb

from qc_assets.forges import GITHUB, is_on_this_machine
from qc_assets.places import sql_root
from qc_assets.source_traits import all_traits
from qc_assets.store.forge_records import register
from qc_assets.store.merge import fold_touched
from qc_assets.store.schema import RAW_TABLES, columns, declared, id_columns, table_statements

_FOLDERS = ("raw", "features", "ml", "ops", "critique", "reports")


def migrate(connection: duckdb.DuckDBPyConnection, forges: Mapping[str, str]) -> None:
    """Give the ids of all rows the number of their forge.

    Args:
        connection: a transaction on the warehouse.
        forges: by source; a source that is not there has read github.com.
    """
    connection.execute(table_statements()["ops/forges"])
    there = _raw_tables(connection)
    for table in there:  # rows are folded by the present rules, which read the present columns
        for name, kind, _ in columns(f"raw.{table}"):
            for schema in ("raw", "observed"):
                connection.execute(f"ALTER TABLE {schema}.{table} ADD COLUMN IF NOT EXISTS {name} {kind}")
    rows_of_sources = " UNION ".join(f"SELECT source FROM observed.{table}" for table in there)
    moved, known = {}, {name: traits.forge for name, traits in all_traits().items() if traits.forge} | dict(forges)
    for (source,) in connection.execute(rows_of_sources).fetchall():
        # Discovery asked the same server.
        forge = known.get("github" if source == "discovery" else source, GITHUB)
        # A server of this machine was a fake until now; the next load asks it.
        traits = all_traits().get(source)
        made_up = (traits is not None and traits.synthetic) or is_on_this_machine(forge)
        number = register(connection, forge, is_synthetic=made_up)
        if number not in (0, -1):
            moved[source] = (number, forge)
    if not moved:
        return
    connection.execute("CREATE OR REPLACE TEMP TABLE moved_sources (source VARCHAR, forge_number INTEGER)")
    for source, (number, forge) in moved.items():
        connection.execute("INSERT INTO moved_sources VALUES (?, ?)", [source, number])
        for table in ("ops.ingest_log", "ops.dead_letters"):
            connection.execute(f"UPDATE {table} SET repo = ? || '/' || repo WHERE source = ?", [forge, source])
    for what, query in _MOVED.items():
        connection.execute(f"CREATE OR REPLACE TEMP TABLE moved_{what} AS {query}")
    for table in _tables(connection):
        _move(connection, table)
    connection.execute(_OUTCOMES)
    for table in there:
        _part(connection, table)


# The forges of rows, by what other tables name them by; of items all, as those of a repository may be of two forges.
_MOVED = {
    "items": """
        SELECT repo_id, number, coalesce(forge_number, 0) AS forge_number
        FROM (
            SELECT repo_id, number, source FROM raw.pull_requests UNION SELECT repo_id, number, source FROM raw.issues
        )
        LEFT JOIN moved_sources USING (source)
    """,
    "repositories": "SELECT repo_id, forge_number FROM raw.repositories INNER JOIN moved_sources USING (source)",
    "comments": "SELECT comment_id, forge_number FROM raw.review_comments INNER JOIN moved_sources USING (source)",
}
_OUTCOMES = """
    UPDATE ml.outcomes SET repo = ops.qualified(repositories.repo_id, outcomes.repo)
    FROM raw.repositories AS repositories
    WHERE lower(repositories.name) = lower(outcomes.repo) AND forge_number(repositories.repo_id) NOT IN (0, -1)
"""


def _raw_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Those that the warehouse has: younger ones have nothing to move."""
    observed = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'observed'").fetchall()
    return [table for table in RAW_TABLES if (table,) in observed]


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    declarations = [f"{folder}.{path.stem}" for folder in _FOLDERS for path in (sql_root() / folder).glob("*.sql")]
    names = [table for table in declarations if id_columns(table)] + [f"observed.{table}" for table in RAW_TABLES]
    there = connection.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
    return [table for table in names if (table,) in there]


def _move(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    place = table.split(".")
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?", place
    ).fetchall()
    names = {name for (name,) in columns}
    ids = [name for name in id_columns(table.replace("observed.", "raw.")) if name in names]
    # By the first of these that says it.
    keys = {"sources": ("source",), "items": ("repo_id", "number"), "repositories": ("repo_id",)}
    chosen = ["sources"] if "source" in names else ["items", "repositories"] if "repo_id" in names else ["comments"]
    for what in chosen:
        key = keys.get(what, ("comment_id",))
        if not set(key) <= names:
            continue
        values = ", ".join(f"{name} = coalesce(forge_id(moved.forge_number, old.{name}), old.{name})" for name in ids)
        same = " AND ".join(f"old.{name} = moved.{name}" for name in key)
        if what == "repositories" and "number" in names:
            same += " AND (old.repo_id, old.number) NOT IN (SELECT (repo_id, number) FROM moved_items)"
        connection.execute(f"UPDATE {table} AS old SET {values} FROM moved_{what} AS moved WHERE {same}")


def _part(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Compute anew what was one row of two forges."""
    keys = declared(f"raw.{table}").keys
    listed = ", ".join(keys)
    ids = id_columns(f"raw.{table}")
    sides = [[f"own_id({of}.{key})" if key in ids else f"{of}.{key}" for of in ("observed", "lost")] for key in keys]
    own = " AND ".join(" = ".join(pair) for pair in sides)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE touched AS
        WITH lost AS (SELECT DISTINCT {listed} FROM observed.{table} ANTI JOIN raw.{table} USING ({listed}))
        SELECT DISTINCT {", ".join(f"observed.{key}" for key in keys)}
        FROM observed.{table} AS observed SEMI JOIN lost ON {own}
    """)
    if connection.execute("SELECT 1 FROM touched LIMIT 1").fetchone():
        fold_touched(connection, table)
