"""`qc`: the few commands that a person types."""

import os
import resource
import signal
import sys
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from qc_assets.cli import (
    backup_commands,
    check_command,
    console,
    critiques,
    github_commands,
    key_commands,
    mcp_command,
    model_commands,
    report_command,
    sql_command,
    warehouse_commands,
)
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.cli.submitting import Submit, submit_backfill
from qc_assets.cli.trouble import explained
from qc_assets.errors import QcError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Audited, calibrated models of code review from the history of GitHub repositories.",
)


@app.callback()
def _global(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; works after any command.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works after any command.")
    ] = False,
) -> None:
    console.mode.as_json, console.mode.debug = as_json, debug


@app.command()
def demo(
    full: Annotated[
        bool, typer.Option("--full", help="Search parameters with Optuna instead of using defaults.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Also print all metrics and the time of each step.")
    ] = False,
) -> None:
    """Generate the synthetic GitHub, run the whole graph on it, and show what came of it."""
    from qc_assets.assets.model_versions import training_config
    from qc_assets.assets.partitions import days_between
    from qc_assets.cli import run_summary
    from qc_assets.cli.live_steps import shown_live
    from qc_assets.cli.runs import run_job

    settings = command_settings(source="demo")
    days = days_between(settings.first_date, settings.last_date)
    config = training_config(quick=not full) | {"raw_tables": {"config": {"skip_done": True}}}
    with shown_live(f"demo, {settings.demo_prs:,} synthetic pull requests", settings.logs) as hear:
        result = run_job(settings, "main", days=days, ops=config, hear=hear)
    document, tables = run_summary.after_run(command_warehouse(settings), result, with_details=details)
    console.emit(
        document,
        *tables,
        console.marked(
            "\n[bold]Next[/bold]: [cyan]make up[/cyan] opens the Dagster and MLflow UIs and the API; "
            "[cyan].venv/bin/qc report[/cyan] writes the state of everything as one page; "
            "[cyan].venv/bin/qc sql[/cyan] asks the warehouse ([cyan]qc tables[/cyan] says what there is); "
            "[cyan].venv/bin/qc status[/cyan] shows coverage and champions."
        ),
    )


@app.command()
def backfill(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC).")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day (UTC), included.")],
    source: Annotated[str | None, typer.Option(help="Instead of QC_SOURCE.")] = None,
    repos: Annotated[str | None, typer.Option(help="owner/name, comma-separated; instead of QC_REPOS.")] = None,
    refresh: Annotated[bool, typer.Option(help="Fetch again what the checkpoint says is done.")] = False,
    submit: Submit = False,
) -> None:
    """Load days of activity into the raw tables. Days that are done are skipped; run it again to go on."""
    from qc_assets.assets.ingestion import NOTHING_CAME, TOO_MANY_BAD_LINES
    from qc_assets.cli import run_summary
    from qc_assets.cli.live_steps import shown_live
    from qc_assets.cli.runs import run_job

    chosen: dict[str, Any] = {"source": source, "repos": repos}
    settings = command_settings(**{name: value for name, value in chosen.items() if value is not None})
    days = _days(first.date(), last.date())
    if days[0] < settings.earliest_date or days[-1] > settings.last_date:
        raise QcError(
            f"the {settings.source} source has days from {settings.earliest_date} to {settings.last_date}"
            + ("; QC_END_DATE sets another end" if days[-1] > settings.last_date else "")
        )
    if days[0] < settings.first_date:  # whoever names a day wants it, whatever the partitions begin with
        settings = settings.model_copy(update={"start_date": days[0]})
    config = {"raw_tables": {"config": {"refresh": refresh, "skip_done": True}}}
    if submit:
        return submit_backfill(settings, days, config, is_named=bool(source or repos))
    with shown_live(f"backfill {days[0]} to {days[-1]}", settings.logs) as hear:
        # One run, however many days: what is loaded is committed batch by batch, and kept by the checkpoint.
        result = run_job(settings, "ingest", days=days, ops=config, hear=hear)
    document, parts = run_summary.after_backfill(result)
    console.emit(document, *parts)
    cost = result.metadata["raw_pull_requests"]
    if nothing := cost.get(NOTHING_CAME):
        raise QcError(f"of {nothing} of {len(days)} days nothing was loaded: FROM ops.ingest_log says why")
    if over := cost.get(TOO_MANY_BAD_LINES):
        raise QcError(f"too many lines could not be read of {over}: SELECT * FROM ops.dead_letters says which and why")


@app.command()
def status() -> None:
    """Coverage, the last loads and runs, and the champions."""
    from qc_assets.cli import overview

    settings = command_settings()
    document, tables = overview.status(settings, command_warehouse(settings))
    console.emit(document, *tables)


@app.command()
def doctor() -> None:
    """Check Python, settings, disk, lock, Dagster's home and ports; say how to mend what is wrong."""
    from qc_assets.cli.doctor import examine

    findings = examine()
    rows = [{"what": f.what, "ok": f.ok, "found": f.detail, "how to mend": f.mend} for f in findings]
    console.emit(rows, console.table("qc doctor", rows))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def migrate() -> None:
    """Bring all that an older version left, or a home that was moved, up to date, with copies first."""
    from qc_assets.cli.migrate import migrate_all

    rows = [{"what": step.what, "done": step.done, "copy": step.copy} for step in migrate_all(command_settings())]
    console.emit(rows, console.table("qc migrate", rows))


@app.command()
def export(
    table: Annotated[str | None, typer.Argument(help="As in raw.pull_requests.")] = None,
    file_format: Annotated[str, typer.Option("--format", help="csv, parquet or jsonl.gz.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="File to write; default: TABLE.FORMAT here.")] = None,
    history: Annotated[
        Path | None, typer.Option(help="Folder to make: all raw tables, as the files source reads them.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave texts in a CSV that a spreadsheet would take for formulas as they are.")
    ] = False,
) -> None:
    """Write a table to a file, or the raw tables as a history, whole or not at all."""
    from qc_assets.store.export import export_history, export_table

    store = command_warehouse()
    if (table is None) == (history is None):
        raise QcError("name a TABLE, or a folder with --history")
    if history is not None:
        counts = export_history(store, history)
        rows_of = [{"table": name, "rows": count} for name, count in counts.items()]
        console.emit({"folder": str(history), "rows": counts}, console.table(f"written to {history}", rows_of))
        return
    if file_format not in ("csv", "parquet", "jsonl.gz"):
        raise QcError(f"--format {file_format}: choose csv, parquet or jsonl.gz")
    path = output or Path(f"{table}.{file_format}")
    rows = export_table(store, str(table), path, file_format, raw=raw)  # type: ignore[arg-type]
    console.emit({"table": table, "rows": rows, "file": str(path)}, f"{rows:,} rows of {table} written to {path}")


@app.command()
def init() -> None:
    """Prepare QC_HOME, and write DAGSTER_HOME into .env so that `dagster dev` keeps its state."""
    from qc_assets.cli.runs import write_env_file

    settings = command_settings()
    path = write_env_file(settings)
    console.emit({"home": str(settings.home), "env": str(path)}, f"state lives in {settings.home}; see {path}")


@app.command()
def settings(
    written_as: Annotated[Literal["env", "markdown"], typer.Option("--format", help="How to print them.")] = "env",
) -> None:
    """Print every setting with its default and meaning."""
    from qc_assets.cli import settings_table

    print(settings_table.as_env() if written_as == "env" else settings_table.as_markdown(), end="")  # noqa: T201


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind; else QC_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; else QC_API_PORT.")] = None,
    sockets: Annotated[Path | None, typer.Option(hidden=True, help="Of the UIs that `qc up` shows.")] = None,
) -> None:
    """Serve the champions over HTTP until Ctrl-C: predictions, feedback, payouts, and a page for people."""
    from qc_assets.cli.doctor import port_is_free
    from qc_assets.serving.server import run_server

    chosen: dict[str, Any] = {"host": host, "api_port": port}
    settings = command_settings(**{name: value for name, value in chosen.items() if value is not None})
    if not port_is_free(settings.host, settings.api_port):
        raise QcError(f"{settings.host}:{settings.api_port} is in use: stop that program, or set QC_API_PORT")
    console.err.print(
        f"http://{settings.host}:{settings.api_port}  (docs, model/info, health, metrics); Ctrl-C stops it"
    )
    run_server(settings, sockets)


@app.command()
def up() -> None:
    """Run the Dagster UI, the MLflow UI and the API until Ctrl-C."""
    from qc_assets.cli.services import run_services

    run_services(command_settings())


sql_command.register(app)
report_command.register(app)
app.command()(check_command.check)
app.command()(mcp_command.mcp)
github_commands.register(app)
model_commands.register(app)
critiques.register(app)
backup_commands.register(app)
key_commands.register(app)
warehouse_commands.register(app)


def _days(first: date, last: date) -> list[date]:
    from qc_assets.assets.partitions import days_between

    try:
        return days_between(first, last)
    except ValueError as error:
        raise QcError(f"--from and --to: {error}") from error


def _end_in_order(number: int, _: object) -> None:
    """End as Ctrl-C does: transactions are rolled back, staged files removed, runs reported as stopped."""
    if number == signal.SIGTERM:
        sys.exit(128 + number)
    os.kill(os.getpid(), signal.SIGTERM)  # whoever handles that one meanwhile, as Dagster and the server do


def main() -> None:
    """Entry point of `qc`: errors become one line on stderr and exit status 1."""
    os.umask(0o077)  # what is written is people's work, or a secret
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of the memory would hold the keys
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores one, and means it
            signal.signal(number, _end_in_order)
    # --json and --debug may stand anywhere; typer would take them only before the command.
    arguments = sys.argv[1:]
    everywhere = [flag for flag in ("--json", "--debug") if flag in arguments]
    rest = [argument for argument in arguments if argument not in everywhere]
    debug = "--debug" in everywhere
    try:
        try:
            app(args=everywhere + rest, prog_name="qc", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the answer has seen enough
        _stop_writing()
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError):
            _stop_writing()
        # A path in brackets is no markup.
        console.err.print(f"[red]error:[/red] {escape(explained(error))}", highlight=False)
        sys.exit(1)


def _stop_writing() -> None:
    """Standard output may be what failed: Python would try it once more at its end, and say so."""
    with suppress(OSError):  # it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
