"""Self-contained HTML pages: templates, tables and pictures; and tables in Markdown."""

import base64
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from qc_assets.clock import now_utc
from qc_assets.terminal_text import displayable

_MARKS = {mark: f"&#{ord(mark)};" for mark in "&<|[\\`"}


def render(template: str, **values: Any) -> str:
    """A page of `qc_assets/templates`; it is told when it is written."""
    now = now_utc().replace(microsecond=0)
    return _templates().get_template(template).render(written_at=now, **values)


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("qc_assets"), autoescape=True, finalize=_readable)


def _readable(value: Any) -> Any:
    """What a template shows, without marks of direction and the like, by which a text looks like another."""
    return displayable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def base64_png(image: bytes | None) -> str | None:
    """A PNG as it stands in a page."""
    return None if image is None else base64.b64encode(image).decode()


def html_table(
    frame: pl.DataFrame, *, max_rows: int | None = None, marked: str | None = None, digits: int = 4
) -> Markup:
    """A frame as an HTML table.

    Args:
        frame: the rows.
        max_rows: rows to show at most.
        marked: rows with this value in any cell get it as their class.
        digits: significant ones of a number.
    """
    if frame.is_empty():
        return Markup("<p>Nothing yet.</p>")
    head = Markup("").join(Markup("<th>{}</th>").format(name.replace("_", " ")) for name in frame.columns)
    rows = (frame if max_rows is None else frame.head(max_rows)).rows()
    body = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="{}"').format(marked) if marked is not None and marked in row else "",
            Markup("").join(Markup("<td>{}</td>").format(_shown(cell, digits)) for cell in row),
        )
        for row in rows
    )
    return Markup("<table><tr>{}</tr>{}</table>").format(head, body)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, is_markdown: bool = False) -> str:
    """A Markdown table; no cell can break out of it.

    Args:
        header: names of the columns.
        rows: cells, as many as the header has; None is an empty one.
        is_markdown: the cells are Markdown of ours, and no texts to be shown as they are.
    """

    def row(cells: Sequence[object]) -> str:
        texts = ("" if cell is None else str(cell) for cell in cells)
        shown = (text.replace("|", "\\|").replace("\n", " ") if is_markdown else markdown_text(text) for text in texts)
        return f"| {' | '.join(shown)} |"

    return "\n".join([row(header), "|" + "---|" * len(header), *map(row, rows)])


def markdown_text(text: str) -> str:
    """A text of strangers as Markdown that shows it in one line: no picture is loaded, no tag, link or cell begins.

    What begins one becomes an entity, as a backslash before it may stand behind another one, which takes its meaning.
    """
    return " ".join("".join(_MARKS.get(character, character) for character in text).split())


def fenced(text: str, kind: str = "") -> str:
    """A block of code in Markdown, whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _shown(value: object, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else displayable(str(value))
