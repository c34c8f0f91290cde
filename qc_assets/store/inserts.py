"""Writing rows into a table of the warehouse."""

from collections.abc import Mapping

import duckdb
import polars as pl

from qc_assets.store.keyless import upsert


def put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    frame: pl.DataFrame,
    constants: Mapping[str, object] | None = None,
) -> None:
    """Insert rows by column name; a row of the same key is replaced.

    Args:
        connection: from `Warehouse.write`.
        table: ``schema.table``.
        frame: the rows.
        constants: further columns that are the same in every row.
    """
    rows = frame.with_columns(**{name: pl.lit(value) for name, value in (constants or {}).items()})
    connection.register("rows_to_add", rows.to_arrow())
    upsert(connection, table, "rows_to_add")
    connection.unregister("rows_to_add")
