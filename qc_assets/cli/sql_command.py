"""`qc sql`."""

from typing import Annotated

import duckdb
import typer

from qc_assets.cli import console
from qc_assets.errors import QcError
from qc_assets.settings import load_settings
from qc_assets.store.readable import reading_statement, rows_of
from qc_assets.store.warehouse import Warehouse


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, FROM, DESCRIBE or SUMMARIZE.")],
    limit: Annotated[int, typer.Option(min=0, help="Rows to show at most.")] = 100,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run any statement: it may read and write every file that you may.")
    ] = False,
) -> None:
    """Query the warehouse: it is only read, and no other file is."""
    store = Warehouse.from_settings(load_settings())
    statement = query if unsafe else reading_statement(query)
    try:
        with store.read(unsafe=unsafe) as connection:
            names, rows = rows_of(connection, statement, limit + 1)
    except duckdb.PermissionException as error:
        raise QcError(f"{error}: only the warehouse is read; `qc sql --unsafe` runs anything") from error
    note = [f"… more than {limit} rows; raise --limit"] if len(rows) > limit else []
    console.emit(
        rows[:limit], console.table(f"{min(len(rows), limit)} rows", rows[:limit], names, as_named=True), *note
    )
