"""`qc sql`."""

from typing import Annotated

import typer

from qc_assets.cli import console
from qc_assets.settings import load_settings
from qc_assets.store.asking import asked_rows
from qc_assets.store.warehouse import Warehouse


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, FROM, DESCRIBE or SUMMARIZE.")],
    limit: Annotated[int, typer.Option(min=0, help="Rows to show at most.")] = 100,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run any statement: it may read and write every file that you may.")
    ] = False,
) -> None:
    """Query the warehouse: it is only read, and no other file is."""
    names, rows = asked_rows(Warehouse.from_settings(load_settings()), query, limit + 1, unsafe=unsafe)
    note = [f"… more than {limit} rows; raise --limit"] if len(rows) > limit else []
    console.emit(
        rows[:limit], console.table(f"{min(len(rows), limit)} rows", rows[:limit], names, as_named=True), *note
    )
