"""The commands of `qc` about critiques."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.errors import QcError

if TYPE_CHECKING:
    from qc_assets.settings import Settings
    from qc_assets.store.warehouse import Warehouse


def critique(
    batch: Annotated[list[str] | None, typer.Option("--batch", help="Only this batch; may be repeated.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Do steps again that are done.")] = False,
) -> None:
    """Mine the review comments: filter, summaries and diffs of every batch, then the data set and its files."""
    from qc_assets.assets.critique_batches import STEPS
    from qc_assets.cli.runs import RunFailedError, run_in_processes, run_job

    settings = command_settings()
    store = command_warehouse(settings)
    names = _batches(settings, store, batch)
    config = {f"critique_{step}": {"config": {"again": again}} for step in STEPS}
    failed: dict[str, str] = {}
    with console.bar("critiques") as tell:
        for number, name in enumerate(names):
            tell(name, number, len(names))
            try:
                run_in_processes(settings, "critique", partition=name, ops=config)
            except RunFailedError as error:
                failed[name] = str(error)
        tell("data set", len(names), len(names))
        result = run_job(settings, "critique_reports")
    steps = store.sql_file("critique/log", section="steps").to_dicts()
    tables = {name: store.sql_file("reports/critiques", section=name).to_dicts() for name in ("funnel", "sizes")}
    errors = store.sql_file("reports/critique_errors", section="by_type").to_dicts()
    shown: list[Any] = [
        console.table("Steps by status", store.sql_file("critique/log", section="by_status").to_dicts()),
        console.table("What became of the comments", tables["funnel"]),
        console.table("Data set", tables["sizes"]),
        *([console.table("Errors", errors)] if errors else []),
        f"written to {settings.critiques_folder}; the card is README.md there",
    ]
    console.emit({"steps": steps, **tables, "errors": errors, "run": result.run_id}, *shown)
    if failed:
        raise QcError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))


def _batches(settings: "Settings", store: "Warehouse", selected: list[str] | None) -> list[str]:
    from qc_assets.cli.runs import run_job

    run_job(settings, "critique_batches")
    names = store.sql_file("critique/batches", section="names")["batch"].to_list()
    unknown = sorted(set(selected or ()) - set(names))
    if unknown:
        raise QcError(
            f"no batch {unknown[0]}; there are {', '.join(names) or 'none: load comments with `qc backfill`'}"
        )
    return selected or names


def tune(
    base: Annotated[str | None, typer.Option("--base", help="Folder or name of the hub; else QC_TUNING_BASE.")] = None,
    epochs: Annotated[float, typer.Option("--epochs", min=0.01, help="Passes over the data.")] = 1.0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Chats at a time.")] = 4,
) -> None:
    """Fine-tune a language model on the data set that `qc critique` wrote (needs the extra `llm`)."""
    from qc_assets.cli.live_steps import shown_live
    from qc_assets.cli.runs import run_job

    settings = command_settings()
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size} | ({"base": base} if base else {})
    with shown_live("fine-tuning", settings.logs) as hear:
        result = run_job(settings, "critique_model", ops={"tune_critique_model": {"config": options}}, hear=hear)
    metadata = result.metadata["critique_model"]
    figures = {name: value for name, value in metadata.items() if name not in ("samples", "MLflow run")}
    rows = [{"figure": name, "value": str(value)} for name, value in figures.items()]
    console.emit(
        metadata,
        console.table("Fine-tuning", rows),
        metadata["samples"],
        settings.beyond_the_gate(metadata["MLflow run"]),
    )


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(critique)
    app.command()(tune)
