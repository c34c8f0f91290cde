"""Carrying a warehouse to another place: a file into a lake, and back."""

from pathlib import Path

import duckdb

from qc_assets.errors import QcError
from qc_assets.lake_place import WarehousePlace
from qc_assets.store.migrations import empty_table, make_views, refuse_unready, schema_version
from qc_assets.store.readable import identity_of
from qc_assets.store.schema import declared_names
from qc_assets.store.warehouse import Warehouse

_TABLES = (
    "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = '{}' "
    "AND schema_name <> 'information_schema' ORDER BY 1"
)


def carry(source: Warehouse, target: Warehouse) -> dict[str, int]:
    """Copy every table into a warehouse that has no rows yet, in one transaction; `source` is only read.

    Returns:
        The rows of each table, by ``schema.table``.

    Raises:
        QcError: if there is nothing to copy, the target has rows, or what has arrived is not what was sent.
        WarehouseBusyError: if one of them is being written.
    """
    if source.place == target.place or _is_same_file(source.place, target.place):
        raise QcError(f"{source.place} is where the warehouse is: name another place")
    with source.read():
        pass  # it is there, and of this version
    with target.write() as connection:
        source.engine.attach(connection, "source")
        refuse_unready(schema_version(connection, "source"), source.place)
        filled = [table for table in _tables(connection) if table != "ops.schema_version" and _count(connection, table)]
        if filled:
            raise QcError(f"{target.place} has rows already ({', '.join(filled[:3])}): name a place that is new")
        tables = [name for (name,) in connection.execute(_TABLES.format("source")).fetchall()]
        for table in tables:
            _copy(connection, table)
        make_views(connection)
        sent, arrived = identity_of(connection, tables, "source"), identity_of(connection, tables)
        if sent != arrived:
            raise QcError(f"what arrived in {target.place} is not what {source.place} holds; nothing was written")
        return {table: _count(connection, table) for table in tables}


def _is_same_file(source: WarehousePlace, target: WarehousePlace) -> bool:
    """Whether two places are one under two names, by a link or by dots."""
    return (
        isinstance(source, Path)
        and isinstance(target, Path)
        and target.exists()
        and source.exists()
        and target.samefile(source)
    )


def _copy(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    if table in declared_names():
        empty_table(connection, table)
    elif table not in _tables(connection):  # somebody's own
        connection.execute(f"CREATE TABLE {table} AS FROM source.{table} LIMIT 0")
    connection.execute(f"INSERT INTO {table} BY NAME FROM source.{table}")


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    (database,) = connection.execute("SELECT current_database()").fetchall()[0]
    return [name for (name,) in connection.execute(_TABLES.format(database)).fetchall()]


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
