"""How the command line talks: tables for people, JSON for programs, one clear line for an error."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from qc_assets import progress
from qc_assets.clock import now_utc
from qc_assets.progress import Reporter
from qc_assets.terminal_text import displayable, displayable_in_json


class SafeConsole(Console):
    """A console that shows what a terminal would obey, wherever the text comes from."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else displayable(text), style, control)


# Titles, names and texts of strangers are no markup; `marked` is for our own.
out = SafeConsole(soft_wrap=False, markup=False, emoji=False)
err = SafeConsole(stderr=True, soft_wrap=True, emoji=False)


@dataclass
class Mode:
    """How this invocation answers."""

    as_json: bool = False
    debug: bool = False


mode = Mode()
# A column of a table that people are to read gets so many characters, if its values have them.
_LEAST = 20


def marked(template: str, *values: object) -> Text:
    """Our own text with markup, in which each ``{}`` is replaced by a value that is none."""
    return Text.from_markup(template.format(*(escape(displayable(str(value))) for value in values)))


def emit(document: Mapping[str, Any] | Sequence[Any], *tables: Table | Text | str) -> None:
    """Print the tables, or with ``--json`` the document instead, as RFC 8259 has it."""
    if mode.as_json:
        text = json.dumps(_plain(document), ensure_ascii=False, allow_nan=False)
        print(displayable_in_json(text))  # noqa: T201
        return
    for table in tables:
        out.print(table)


def table(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, *, as_named: bool = False
) -> Table:
    """Rows as a table; numbers to the right; underscores in headings become spaces unless `as_named`."""
    drawn = Table(title=displayable(title), title_justify="left", title_style="bold")
    names = list(columns or (rows[0] if rows else ("nothing yet",)))
    for name in names:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float | Decimal | None) for row in rows)
        heading = name if as_named else name.replace("_", " ")
        drawn.add_column(displayable(heading), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(row.get(name)) for name in names))
    return drawn


def shown_rows(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], limit: int, *, vertical: bool = False
) -> list[Table | Text | str]:
    """Rows of a query as a table, or one after the other where a table would be too wide to be read.

    Args:
        names: of the columns.
        rows: one more than `limit` if there are more.
        limit: rows to show.
        vertical: one after the other, whatever the width.
    """
    shown = rows[:limit]
    more = [f"… more than {limit} rows; raise --limit"] if len(rows) > limit else []
    drawn = table(f"{len(shown)} rows", shown, names, as_named=True)
    # What a column needs, as long texts can be folded; borders take three characters each.
    widest = [max([len(name), *(min(len(_cell(row[name])), _LEAST) for row in shown)]) for name in names]
    if shown and (vertical or sum(widest) + 3 * len(names) + 1 > out.width):
        return [*(_one_by_one(names, row, place) for place, row in enumerate(shown, 1)), f"{len(shown)} rows", *more]
    return [drawn, *more]


def _one_by_one(names: Sequence[str], row: Mapping[str, Any], place: int) -> Table:
    drawn = Table(title=f"row {place}", title_justify="left", title_style="bold", show_header=False, box=None)
    drawn.add_column(style="cyan", no_wrap=True, justify="right")
    drawn.add_column(overflow="fold")
    for name in names:
        drawn.add_row(displayable(name), _cell(row[name]))
    return drawn


def as_json(value: Any) -> str:
    """A value as one line of JSON."""
    return json.dumps(_plain(value), ensure_ascii=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if value == 0 or 1e-3 <= abs(value) < 1e15 else f"{value:.6g}"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list | tuple | dict):
        return displayable(as_json(value))
    return displayable(str(value))


def _plain(value: Any) -> Any:
    """A value as JSON has it, without losing a digit: what no number of JSON's is text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value.adjusted()) < 400:
        return int(value)
    return float(value) if math.isfinite(float(value)) and Decimal(repr(float(value))) == value else str(value)


def is_log() -> bool:
    """Whether nobody looks at stderr while something goes on: it is no terminal, or programs read what comes."""
    return mode.as_json or not err.is_terminal


@contextmanager
def lines_of(title: str) -> Iterator[Callable[[str], None]]:
    """Write a line to stderr for each wait and failure that is reported meanwhile, and one a minute.

    Yields:
        What writes a line of one's own.
    """

    def line(what: str) -> None:
        err.print(f"{now_utc():%H:%M:%S} UTC {title}: {what}", markup=False, highlight=False)

    with progress.listen(progress.told(line, every_s=60)):
        yield line


@contextmanager
def bar(title: str) -> Iterator[Reporter]:
    """A progress bar on stderr for whatever reports to `qc_assets.progress`.

    Where that is no terminal (a cron log), and with ``--json``: a line for each wait and failure, and one a minute.

    Yields:
        What reports to it.
    """
    if is_log():
        with lines_of(title):
            yield progress.report
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with (
        # Dagster turns stderr of a running step away.
        os.fdopen(os.dup(2), "w") as terminal,
        Progress(*columns, console=SafeConsole(file=terminal, emoji=False), transient=True) as drawn,
    ):
        task = drawn.add_task(title, total=None)
        with progress.listen(
            lambda what, done, total: drawn.update(
                task, description=f"{title}: {what}", completed=done, total=total or None
            )
        ):
            yield progress.report
