"""What the rows that a source yields must be.

A source yields Parquet files by raw table (`source.Batch.tables`); the tables are those of `warehouse/raw/`, and each
CREATE TABLE there says what a row has:

- **Columns** are named as in the table. One that is missing stays NULL; one that the table does not have is refused.
- **Types** are those of the table; a whole number may be narrower, and a column may hold nothing but NULL.
- **The primary key** is there in every row. A key occurs once a file and day.
- **source**, **observed_at** and **partition_date** are there in every row: the name of the source, when it saw what
  the row says (naive UTC), and the day that the row belongs to, which is one of the batch's.
- NULL means that the source does not tell; it never overwrites what was told before.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb

from qc_assets.errors import SourceError
from qc_assets.store.schema import columns, declared

_EVERY_ROW = ("source", "observed_at", "partition_date")
_WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}


def check_rows(source: str, days: Sequence[date], tables: Mapping[str, Sequence[Path]]) -> None:
    """See that what a source yields can be merged.

    Args:
        source: its name.
        days: of the batch; none for readings of whatever day.
        tables: Parquet files by raw table.

    Raises:
        SourceError: naming the table, the column and what is wrong with it.
    """
    with duckdb.connect(":memory:") as connection:
        for table, files in tables.items():
            if files:
                _check_table(connection, source, days, table, [str(path) for path in files])


def _check_table(
    connection: duckdb.DuckDBPyConnection, source: str, days: Sequence[date], table: str, files: list[str]
) -> None:
    where = f"the {source} source yields rows of raw.{table}"
    kinds = {column: kind for column, kind, _ in columns(f"raw.{table}")}
    rows = "read_parquet($files, union_by_name = true)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {rows}", {"files": files}).fetchall()
    yielded = {row[0]: row[1] for row in described}
    needed = [*declared(f"raw.{table}").keys, *_EVERY_ROW]
    for column, kind in yielded.items():
        if column not in kinds:
            raise SourceError(f"{where} with a column {column}, which the table does not have")
        narrower = kind in _WHOLE_NUMBERS and kinds[column] == "BIGINT"
        if kind == kinds[column] or narrower:
            continue
        # A column of nothing but NULL has whatever type its writer gives to that.
        if connection.execute(f'SELECT count("{column}") FROM {rows}', {"files": files}).fetchall()[0][0]:
            raise SourceError(f"{where} whose {column} is {kind}; the table has {kinds[column]}")
    for column in needed:
        if column not in yielded:
            raise SourceError(f"{where} without the column {column}, which every row needs")
    counts = ", ".join(f'count(*) - count("{column}")' for column in needed)
    for column, missing in zip(
        needed, connection.execute(f"SELECT {counts} FROM {rows}", {"files": files}).fetchall()[0], strict=True
    ):
        if missing:
            raise SourceError(f"{where}, {missing} of which have no {column}")
    stray = connection.execute(
        f"SELECT min(source), min(partition_date) FROM {rows} WHERE source <> $source "
        "OR len($days::DATE[]) > 0 AND NOT list_contains($days::DATE[], partition_date)",
        {"files": files, "source": source, "days": list(days)},
    ).fetchall()[0]
    if stray[0] is not None:
        raise SourceError(f"{where} with source {stray[0]!r} and partition_date {stray[1]}: neither may differ")
