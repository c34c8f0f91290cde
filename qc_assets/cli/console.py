"""How the command line talks: tables for people, JSON for programs, one clear line for an error."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from qc_assets import progress
from qc_assets.clock import now_utc
from qc_assets.progress import Reporter

out = Console(soft_wrap=False)
err = Console(stderr=True, soft_wrap=True)


@dataclass
class Mode:
    """How this invocation answers."""

    as_json: bool = False
    debug: bool = False


mode = Mode()


def emit(document: Mapping[str, Any] | Sequence[Any], *tables: Table | str) -> None:
    """Print the tables, or with ``--json`` the document instead."""
    if mode.as_json:
        print(json.dumps(document, default=_plain, ensure_ascii=False))  # noqa: T201
        return
    for table in tables:
        out.print(table)


def table(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, *, as_named: bool = False
) -> Table:
    """Rows as a table; numbers to the right; underscores in headings become spaces unless `as_named`."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    names = list(columns or (rows[0] if rows else ("nothing yet",)))
    for name in names:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float | Decimal | None) for row in rows)
        heading = name if as_named else name.replace("_", " ")
        shown.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(row.get(name)) for name in names))
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return escape(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


@contextmanager
def bar(title: str) -> Iterator[Reporter]:
    """A progress bar on stderr for whatever reports to `qc_assets.progress`.

    Where that is no terminal (a cron log), and with ``--json``: a line for each wait and failure, and one a minute.

    Yields:
        What reports to it.
    """
    if mode.as_json or not err.is_terminal:

        def line(what: str) -> None:
            err.print(f"{now_utc():%H:%M:%S} UTC {title}: {what}", markup=False, highlight=False)

        with progress.listen(progress.told(line, every_s=60)):
            yield progress.report
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as drawn:
        task = drawn.add_task(title, total=None)
        with progress.listen(
            lambda what, done, total: drawn.update(
                task, description=f"{title}: {what}", completed=done, total=total or None
            )
        ):
            yield progress.report
