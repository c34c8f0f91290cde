"""Merging staged observations into the raw tables: the newest observation wins, column by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb

from qc_assets.clock import now_utc
from qc_assets.store import dead_letters
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.keyless import upsert
from qc_assets.store.schema import columns, declared, define_functions, id_columns, shown_by, sql_sections

# Observations are folded in slices, so that the strings of one slice fit in memory.
_BYTES_PER_SLICE = 64 * 2**20
# By the type of a column.
_WITHOUT_NUL = {
    "VARCHAR": "replace({name}, chr(0), chr(65533))",
    "VARCHAR[]": "list_transform({name}, lambda text: replace(text, chr(0), chr(65533)))",
}


@dataclass(frozen=True)
class Scope:
    """Whose rows a load replaces: everything of `source` on `days`, or only the named repositories'.

    With `adds`, nothing is replaced but older readings of the same rows (`SourceTraits.states`).

    Attributes:
        repos: names, as the forge has them.
        forge: number of the forge that ids and names are of; the staged files have its own ids.
    """

    source: str
    days: tuple[date, ...]
    repos: tuple[str, ...] | None = None
    adds: bool = False
    forge: int = 0


class _Run(Protocol):
    def __call__(self, section: str, parameters: Mapping[str, object] | None = None) -> None: ...


def merge(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], scope: Scope) -> int:
    """Replace what `scope` covers of one raw table by the observations in `files`.

    Args:
        connection: inside a transaction of `Warehouse.write`, given to `prepare_merging`.
        table: a table of the raw schema, without the schema.
        files: Parquet files whose columns are a subset of the table's; may be empty.
        scope: what the load covers. Rows outside it are left alone.

    Returns:
        The number of observations loaded. What has an id that cannot be the forge's is left out; a dead letter says so.
    """
    scope_column, run = _scope_column(table), _runner(connection, table)
    window = {
        "source": scope.source, "days": list(scope.days), "everything": scope.repos is None, "forge": scope.forge,
    }  # fmt: skip
    if files and (strays := _stage(connection, table, files, scope.forge)):
        reason = f"{strays} rows have ids that are none of their forge's, which are 1 to 2**40 - 1"
        day = min(scope.days, default=now_utc().date())
        dead_letters.insert(connection, scope.source, [DeadLetter(day, f"raw.{table}", "foreign_id", reason)])

    if files:
        run("touched_staged")
    else:
        keys = ", ".join(declared(f"raw.{table}").keys)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE touched AS SELECT {keys} FROM raw.{table} LIMIT 0")
    if scope.adds:
        if shown_by(table):
            run("touched_reread")
        if files:
            run("give_way", {"source": scope.source})
            run("append_newer", {"source": scope.source})
    else:
        _set_scope(connection, scope, scope_column, bool(files))
        run("touched_replaced", window)
        run("clear", window)
        if files:
            run("append")
    if connection.execute("SELECT 1 FROM touched LIMIT 1").fetchone():
        _fold(connection, run, table, sum(path.stat().st_size for path in files))
        if not scope.adds:
            run("vanish")
    row = connection.execute("SELECT count(*) FROM staged").fetchone() if files else (0,)
    return int(row[0]) if row else 0


def _scope_column(table: str) -> str:
    """Whose row it is: a repository's, or, as with accounts, its own."""
    names = {column for column, _, _ in columns(f"raw.{table}")}
    return "repo_id" if "repo_id" in names else declared(f"raw.{table}").keys[0]


def _runner(connection: duckdb.DuckDBPyConnection, table: str) -> _Run:
    """What runs the sections of `merge.sql` for a table."""
    keys = declared(f"raw.{table}").keys
    names = {
        "table": table,
        "keys": ", ".join(keys),
        "scope": _scope_column(table),
        "same_key": " AND ".join(f"touched.{key} = old.{key}" for key in keys),
        "child_keys": ", ".join(f"child.{key}" for key in keys),
        "folded_key": " AND ".join(f"folded.{key} = gone.{key}" for key in keys),
        "same_time": " = ".join(f"is_early({row}.observed_at, old.created_at)" for row in ("old", "touched"))
        if _has_opening(table)
        else "true",
    }

    def run(section: str, parameters: Mapping[str, object] | None = None) -> None:
        statement = sql_sections("merge")[section]
        for name, value in names.items():
            statement = statement.replace("{" + name + "}", value)
        connection.execute(statement, parameters)

    return run


def fold_touched(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Compute the rows of a raw table anew whose keys are in the temporary table `touched`."""
    _fold(connection, _runner(connection, table), table, 0)


def _has_opening(table: str) -> bool:
    return any(column == "opened_title" for column, _, _ in columns(f"raw.{table}"))


def _fold(connection: duckdb.DuckDBPyConnection, run: "_Run", table: str, size: int) -> None:
    parts, names = shown_by(table), {column for column, _, _ in columns(f"raw.{table}")}
    slices = 1 + size // _BYTES_PER_SLICE
    for bucket in range(slices):
        run("fold", {"buckets": slices, "bucket": bucket})
        if {"state", "closed_at"} <= names:
            run("reopen")
        if "opened_sizes_from" in names:
            run("surest_sizes")
        if parts:
            run("mark_vanished", {"parts": list(parts)})
        upsert(connection, f"raw.{table}", "folded")


def prepare_merging(connection: duckdb.DuckDBPyConnection, files: Sequence[Path] = (), forge: int = 0) -> None:
    """Give a connection what `merge` needs, once a transaction.

    Args:
        connection: inside a transaction of `Warehouse.write`.
        files: pull requests and issues that a load which adds readings has read, for the temporary table `reread`.
        forge: number of their forge.
    """
    define_functions(connection, " ".join([*sql_sections("merge").values(), "forge_id", "is_early"]))
    connection.execute("CREATE OR REPLACE TEMP TABLE reread (repo_id BIGINT, number BIGINT)")
    if files:
        _stage(connection, "pull_requests", files, forge)
        connection.execute("INSERT INTO reread SELECT DISTINCT repo_id, number FROM staged")


def _stage(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], forge: int) -> int:
    """Let the view `staged` show what is in `files`, with the ids that it has in the warehouse; returns the strays.

    Those are observations with an id that cannot be one of the forge's.
    """
    connection.execute("SET VARIABLE staged_files = $1::VARCHAR[]", [[str(path) for path in files]])
    described = connection.execute(
        "DESCRIBE FROM read_parquet(getvariable('staged_files'), union_by_name = true)"
    ).fetchall()
    placed = {row[0]: f"forge_id({forge}, {row[0]})" for row in described if row[0] in id_columns(f"raw.{table}")}
    fits = " AND ".join(f"({name} IS NULL OR {value} IS NOT NULL)" for name, value in placed.items())
    # One rule for all sources: some tell NUL and others U+FFFD in its place, and what follows should not depend on it.
    texts = {row[0]: _WITHOUT_NUL[row[1]].format(name=row[0]) for row in described if row[1] in _WITHOUT_NUL}
    replaced = ", ".join(f"{value} AS {name}" for name, value in (placed | texts).items())
    sections = sql_sections("merge")
    connection.execute(sections["staged"].replace("{placed}", replaced).replace("{fits}", fits))
    row = connection.execute(sections["strays"].replace("{fits}", fits)).fetchone()
    return int(row[0]) if row else 0


def _set_scope(connection: duckdb.DuckDBPyConnection, scope: Scope, column: str, has_rows: bool) -> None:
    """Fill the temporary table `scope` with the ids whose rows are replaced; unused for a load of everything."""
    connection.execute("CREATE OR REPLACE TEMP TABLE scope (id BIGINT)")
    if scope.repos is None:
        return
    if has_rows:
        connection.execute(f"INSERT INTO scope SELECT DISTINCT {column} FROM staged")
    if column == "repo_id":
        # A repository that has nothing any more on that day must lose what it had.
        connection.execute(
            "INSERT INTO scope SELECT repo_id FROM raw.repositories "
            "WHERE list_contains($1, name) AND forge_number(repo_id) = $2",
            [list(scope.repos), scope.forge],
        )
