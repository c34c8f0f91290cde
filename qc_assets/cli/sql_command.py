"""`qc sql`, `qc tables` and `qc describe`: looking at the warehouse, which is only read."""

import csv
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings, command_warehouse
from qc_assets.errors import QcError
from qc_assets.terminal_text import FORMULA, displayable

_SHOWN, _LONGEST_CELL = 100, 19
_MOMENT = re.compile(r"-?\d+-\d\d-\d\d( |$)")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(sql)
    app.command()(tables)
    app.command()(describe)


def sql(
    query: Annotated[
        str | None,
        typer.Argument(help="One SELECT, FROM, DESCRIBE or SUMMARIZE; without it a prompt, or what a pipe brings."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help=f"Rows to show at most; else {_SHOWN}, and with --csv all.")
    ] = None,
    vertical: Annotated[
        bool, typer.Option("--vertical", help="A line for each value, as where a table is too wide for the terminal.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV; a text that a spreadsheet takes for a formula gets an apostrophe.")
    ] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run any statement: it may read and write every file that you may.")
    ] = False,
) -> None:
    """Query the warehouse: it is only read, and no other file is."""
    from qc_assets.store.asking import asked_rows

    settings = command_settings()
    store = command_warehouse(settings)
    if query is None and sys.stdin.isatty():
        from qc_assets.cli.sql_prompt import ask_until_done

        ask_until_done(store, settings.home / "sql_history", limit or _SHOWN, vertical=vertical, unsafe=unsafe)
        return
    query = sys.stdin.read() if query is None else query
    if as_csv:
        if console.mode.as_json:
            raise QcError("--csv and --json: choose one of them")
        names, rows = asked_rows(store, query, limit, unsafe=unsafe)
        _write_csv(names, rows)
        return
    most = _SHOWN if limit is None else limit
    names, rows = asked_rows(store, query, most + 1, unsafe=unsafe)
    console.emit(rows[:most], *console.shown_rows(names, rows, most, vertical=vertical))


def tables() -> None:
    """List the tables and views of the warehouse, those with names in them first, and what they hold."""
    from qc_assets.store.browsing import tables_to_browse

    rows = tables_to_browse(command_warehouse())
    listed = [
        {"table": f"{row['schema']}.{row['name']}", "rows": "view" if row["kind"] == "view" else row["rows"]}
        | {"about": row["about"]}
        for row in rows
    ]
    console.emit(rows, console.table("Tables and views; `qc describe NAME` says more", listed))


def describe(
    table: Annotated[str, typer.Argument(help="As in analysis.pull_requests; the schema may be left out.")],
) -> None:
    """Columns of a table or view: types, what they mean, and what stands in them."""
    from qc_assets.store.browsing import describe_table

    description = describe_table(command_warehouse(), table)
    _tell_sources(description.name, description.columns)
    told: list[str] = [name for name in ("column", "type", "about", "from") if name in description.columns[0]]
    meanings = [{name: column[name] for name in told} for column in description.columns]
    numbers = [
        {"column": column["column"]}
        | {"unknown": "" if column["unknown"] is None else f"{column['unknown']:.1%}", "different": column["different"]}
        | {name: _cut(column[name]) for name in ("least", "median", "greatest")}
        | {"mean": "" if _MOMENT.match(column["mean"] or "") else _cut(column["mean"])}
        for column in description.columns
    ]
    drawn = [
        console.table("Columns", meanings),
        console.table(f"What stands in its {description.rows:,} rows", numbers),
    ]
    for each in drawn:
        each.columns[0].no_wrap = True
    console.emit(asdict(description), f"{description.name}: {description.about}", *drawn)


def _tell_sources(table: str, columns: list[dict[str, Any]]) -> None:
    """Add to the columns of a feature table what each is computed from."""
    from qc_assets.features.lineage import column_lineage, sources_in_words
    from qc_assets.features.sql_names import LineageError

    schema, _, name = table.partition(".")
    try:
        lineage = column_lineage(f"features/{name}") if schema == "features" else {}
    except LineageError:
        return
    for column in columns if lineage else ():
        column["from"] = sources_in_words(lineage.get(column["column"], ()))


def _cut(value: Any) -> str:
    """A statistic, which DuckDB gives as text, as it fits a cell."""
    text = "" if value is None else str(value)
    if _MOMENT.match(text):
        return text[:16].removesuffix(" 00:00")
    if re.fullmatch(r"-?\d+\.\d{5,}", text):
        text = f"{float(text):.4g}"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _write_csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    is_terminal = sys.stdout.isatty()
    writer.writerow(names)
    writer.writerows([_csv_cell(row[name], is_terminal=is_terminal) for name in names] for row in rows)


def _csv_cell(value: Any, *, is_terminal: bool) -> Any:
    if isinstance(value, list | dict):
        value = console.as_json(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else value
    text = f"'{value}" if re.match(FORMULA, value) else value
    return displayable(text) if is_terminal else text
