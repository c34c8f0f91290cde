"""`qc warehouse`: carrying it elsewhere, and the upkeep of a lake."""

from datetime import timedelta
from typing import Annotated

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.errors import QcError

warehouse = typer.Typer(help="Carry the warehouse to another place, and keep a lake tidy.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(warehouse, name="warehouse")


@warehouse.command("copy")
def copy_warehouse(
    to: Annotated[str, typer.Option(help="A new place, written as QC_WAREHOUSE is.")],
) -> None:
    """Copy the warehouse into a new file or lake, and compare; what is there stays as it is."""
    from qc_assets.lake_place import parsed_place
    from qc_assets.store.carrying import carry

    settings = command_settings()
    try:
        place = parsed_place(to)
    except ValueError as error:
        raise QcError(f"--to: {error}") from None
    rows = carry(command_warehouse(settings), command_warehouse(settings.model_copy(update={"warehouse": place})))
    console.emit(
        {"from": str(settings.warehouse), "to": str(place), "rows": rows},
        console.table("Copied", [{"table": name, "rows": count} for name, count in rows.items() if count]),
        f"{sum(rows.values()):,} rows are in {place}, the same as here; set QC_WAREHOUSE to it to work with them",
    )


@warehouse.command("tidy")
def tidy_warehouse() -> None:
    """Merge a lake's small files, and forget snapshots older than QC_LAKE_KEEP_DAYS, as its asset does nightly."""
    from qc_assets.store.lake_upkeep import tidy_lake

    settings = command_settings()
    done = tidy_lake(command_warehouse(settings), timedelta(days=settings.lake_keep_days))
    console.emit(done, ", ".join(f"{what}: {count}" for what, count in done.items()))
