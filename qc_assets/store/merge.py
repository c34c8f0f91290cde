"""Merging staged observations into the raw tables: the newest observation wins, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from qc_assets.store.schema import columns, declared, shown_by, sql_sections

# Observations are folded in slices, so that the strings of one slice fit in memory.
_BYTES_PER_SLICE = 64 * 2**20


@dataclass(frozen=True)
class Scope:
    """Whose rows a load replaces: everything of `source` on `days`, or only the named repositories'.

    With `adds`, nothing is replaced but older readings of the same rows (`SourceTraits.states`).
    """

    source: str
    days: tuple[date, ...]
    repos: tuple[str, ...] | None = None
    adds: bool = False


def merge(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], scope: Scope) -> int:
    """Replace what `scope` covers of one raw table by the observations in `files`.

    Args:
        connection: inside a transaction of `Warehouse.write`.
        table: a table of the raw schema, without the schema.
        files: Parquet files whose columns are a subset of the table's; may be empty.
        scope: what the load covers. Rows outside it are left alone.

    Returns:
        The number of observations loaded.
    """
    keys, parts = declared(f"raw.{table}").keys, shown_by(table)
    names_of_columns = {column for column, _, _ in columns(f"raw.{table}")}
    # Whose row it is: a repository's, or, as with accounts, its own.
    scope_column = "repo_id" if "repo_id" in names_of_columns else keys[0]
    names = {
        "table": table,
        "keys": ", ".join(keys),
        "scope": scope_column,
        "same_key": " AND ".join(f"touched.{key} = old.{key}" for key in keys),
        "child_keys": ", ".join(f"child.{key}" for key in keys),
        "folded_key": " AND ".join(f"folded.{key} = gone.{key}" for key in keys),
    }
    paths = [str(path) for path in files]
    window = {"source": scope.source, "days": list(scope.days), "everything": scope.repos is None}

    def run(section: str, parameters: dict[str, object] | None = None) -> None:
        statement = sql_sections("merge")[section]
        for name, value in names.items():
            statement = statement.replace("{" + name + "}", value)
        connection.execute(statement, parameters)

    if paths:
        run("touched_staged", {"files": paths})
    else:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE touched AS SELECT {names['keys']} FROM raw.{table} LIMIT 0")
    if scope.adds:
        if parts:
            run("touched_reread")
        if paths:
            run("give_way", {"files": paths, "source": scope.source})
            run("append_newer", {"files": paths, "source": scope.source})
    else:
        _set_scope(connection, scope, scope_column, paths)
        run("touched_replaced", window)
        run("clear", window)
        if paths:
            run("append", {"files": paths})
    slices = 1 + sum(path.stat().st_size for path in files) // _BYTES_PER_SLICE
    for bucket in range(slices):
        run("fold", {"buckets": slices, "bucket": bucket})
        if {"state", "closed_at"} <= names_of_columns:
            run("reopen")
        if parts:
            run("mark_vanished", {"parts": list(parts)})
        run("upsert")
    if not scope.adds:
        run("vanish")
    row = connection.execute("SELECT count(*) FROM read_parquet($1)", [paths]).fetchone() if paths else (0,)
    return int(row[0]) if row else 0


def set_reread(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """Fill the temporary table `reread` with the pull requests and issues in `files`, for loads that add readings."""
    connection.execute("CREATE OR REPLACE TEMP TABLE reread (repo_id BIGINT, number BIGINT)")
    if files:
        connection.execute(
            "INSERT INTO reread SELECT DISTINCT repo_id, number FROM read_parquet($1, union_by_name = true)",
            [[str(path) for path in files]],
        )


def _set_scope(connection: duckdb.DuckDBPyConnection, scope: Scope, column: str, paths: list[str]) -> None:
    """Fill the temporary table `scope` with the ids whose rows are replaced; unused for a load of everything."""
    connection.execute("CREATE OR REPLACE TEMP TABLE scope (id BIGINT)")
    if scope.repos is None:
        return
    if paths:
        connection.execute(
            f"INSERT INTO scope SELECT DISTINCT {column} FROM read_parquet($1, union_by_name = true)", [paths]
        )
    if column == "repo_id":
        # A repository that has nothing any more on that day must lose what it had.
        connection.execute(
            "INSERT INTO scope SELECT repo_id FROM raw.repositories WHERE list_contains($1, name)",
            [list(scope.repos)],
        )
