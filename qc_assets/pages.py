"""Self-contained HTML pages: templates, tables and pictures; and tables in Markdown."""

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from qc_assets.clock import now_utc


def render(template: str, **values: Any) -> str:
    """A page of `qc_assets/templates`; it is told when it is written."""
    now = now_utc().replace(microsecond=0)
    return _templates().get_template(template).render(written_at=now, **values)


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("qc_assets"), autoescape=True)


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


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; no cell can break out of it.

    Args:
        header: names of the columns.
        rows: cells, as many as the header has; None is an empty one.
    """
    lines = [_markdown_row(header), "|" + "---|" * len(header), *map(_markdown_row, rows)]
    return "\n".join(lines)


def _markdown_row(cells: Sequence[object]) -> str:
    texts = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _shown(value: object, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)
