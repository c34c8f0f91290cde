"""Feature tables in shards by repository: less memory at a time, and the same rows to the last bit.

The SQL is what it is. It runs once a shard, over views of the raw tables that show the shard's repositories and what
the people of these did elsewhere: all items that they opened, with all that hangs on these, and whatever else they
wrote. Rows of other repositories are then left out, as only a part of what these rest on was to be seen.
"""

from collections.abc import Mapping

import duckdb

from qc_assets.store.schema import columns, declared_names, id_columns, sql_sections
from qc_assets.store.warehouse import Warehouse

_ITEMS = ("raw.pull_requests", "raw.issues")


def rebuild_in_shards(store: Warehouse, name: str, parameters: Mapping[str, object], shards: int) -> int:
    """As `Warehouse.rebuild`, in so many shards, one after the other; all read the same state of the warehouse.

    Args:
        store: the warehouse.
        name: ``features/table``, whose rows have a repo_id.
        parameters: named parameters of the query.
        shards: how many, 1 or more.

    Returns:
        The number of rows.
    """
    if shards == 1:
        return store.rebuild(name, parameters)
    query = sql_sections(name)["rows"].rstrip(";")
    with store.staging() as folder:
        with store.overlay() as connection:
            connection.begin()  # whatever lands meanwhile, no shard sees more than the others
            for shard in range(shards):
                is_own = f"hash(repo_id) % {shards} = {shard}"
                show_shard(connection, query, is_own)
                rows = f"COPY (SELECT * FROM ({query}) WHERE {is_own}) TO $staged_file"
                connection.execute(rows, {**parameters, "staged_file": str(folder / f"{shard}.parquet")})
        return store.replace_by_files(name, folder / "*.parquet")


def show_shard(connection: duckdb.DuckDBPyConnection, query: str, is_own: str) -> None:
    """Let the tables that a query names be what a shard sees of them.

    Args:
        connection: from `Warehouse.overlay`.
        query: of a feature table.
        is_own: SQL that says of a repo_id whether it is one of the shard's.
    """
    tables = {table: {name for name, _, _ in columns(table)} for table in declared_names() if table in query}
    raw = [table for table, names in tables.items() if table.startswith("raw.") and {"repo_id", "number"} <= names]
    # An account's id is a forge's and has its login beside it.
    accounts = [
        f"SELECT {account} AS id FROM warehouse.{table} WHERE {is_own}"
        for table in raw
        for account in id_columns(table)
        if f"{account.removesuffix('_id')}_login" in tables[table]
    ]
    items = [f"SELECT repo_id, number FROM warehouse.{each} WHERE author_id IN (FROM people)" for each in _ITEMS]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE people AS FROM ({' UNION '.join(accounts)}) WHERE id IS NOT NULL;"
        f"CREATE OR REPLACE TEMP TABLE opened_by_people AS {' UNION ALL '.join(items)}"
    )
    for table, names in tables.items():
        written = " OR author_id IN (FROM people)" if "author_id" in names else ""
        seen = f"WHERE {is_own} OR (repo_id, number) IN (FROM opened_by_people){written}" if table in raw else ""
        connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]};"
            f"CREATE OR REPLACE VIEW {table} AS FROM warehouse.{table} {seen}"
        )
