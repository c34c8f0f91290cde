"""Small charts as inline SVG: they need no library, stand in one file with their page, and say numbers on hover."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _LABEL, _ROW = 720, 220, 22
_COLOURS = ("#1d4f91", "#c2571a", "#1b6e2f", "#7a3e9d", "#666666")


@dataclass(frozen=True)
class Mark:
    """One value of a chart.

    Attributes:
        label: what it is of.
        value: where it is drawn.
        hover: what is said of it.
        lower, upper: ends of its interval; None draws none.
        is_red: it is one to look at.
        group: what a filter of the page goes by, such as a repository.
    """

    label: str
    value: float
    hover: str
    lower: float | None = None
    upper: float | None = None
    is_red: bool = False
    group: str = ""


def bars(marks: Sequence[Mark], *, limit: float | None = None) -> Markup:
    """Horizontal bars from zero; `limit` is a line that a value should not cross."""
    most = max([mark.value for mark in marks] + ([limit] if limit is not None else []), default=0) or 1
    scale = (_WIDTH - _LABEL - 70) / most
    rows = Markup("").join(
        Markup(
            '<g class="mark{}" data-group="{}"><title>{}</title><text x="{}" y="{}" text-anchor="end">{}</text>'
            '<rect x="{}" y="{}" width="{:.1f}" height="14"/><text x="{:.1f}" y="{}">{}</text></g>'
        ).format(
            " red" if mark.is_red else "", mark.group, mark.hover, _LABEL - 8, _ROW * i + 14, _short(mark.label),
            _LABEL, _ROW * i + 3, max(mark.value * scale, 1), _LABEL + max(mark.value * scale, 1) + 6, _ROW * i + 14,
            shown_number(mark.value),
        )
        for i, mark in enumerate(marks)
    )  # fmt: skip
    line = Markup("") if limit is None else _vertical(_LABEL + limit * scale, _ROW * len(marks), "limit")
    return _svg(_ROW * len(marks) + 4, rows + line)


def intervals(marks: Sequence[Mark]) -> Markup:
    """A dot and its interval a row, beside a line at zero."""
    ends = [abs(value) for mark in marks for value in (mark.value, mark.lower, mark.upper) if value is not None]
    most = max(ends, default=0) or 1
    middle = _LABEL + (_WIDTH - _LABEL) / 2
    scale = (_WIDTH - _LABEL - 30) / 2 / most
    rows = Markup("").join(
        Markup(
            '<g class="mark{}" data-group="{}"><title>{}</title><text x="{}" y="{}" text-anchor="end">{}</text>'
            '<line x1="{:.1f}" x2="{:.1f}" y1="{y}" y2="{y}"/><circle cx="{:.1f}" cy="{y}" r="4.5"/></g>'
        ).format(
            " red" if mark.is_red else "", mark.group, mark.hover, _LABEL - 8, _ROW * i + 15, _short(mark.label),
            middle + (mark.value if mark.lower is None else mark.lower) * scale,
            middle + (mark.value if mark.upper is None else mark.upper) * scale,
            middle + mark.value * scale, y=_ROW * i + 11,
        )
        for i, mark in enumerate(marks)
    )  # fmt: skip
    height = _ROW * len(marks)
    words = Markup('<text x="{}" y="{}">-{m}</text><text x="{}" y="{}" text-anchor="end">+{m}</text>').format(
        _LABEL + 14, height + 14, _WIDTH - 2, height + 14, m=shown_number(most)
    )
    zero = Markup('<text x="{}" y="{}" text-anchor="middle">0</text>').format(middle, height + 14)
    return _svg(height + 20, _vertical(middle, height, "axis") + rows + words + zero)


def diagonal(marks: Sequence[tuple[float, float, str]]) -> Markup:
    """Predicted against observed, both 0 to 1, with the line on which they are the same; each with what it says."""
    left, size = 46, 300
    place = [(left + size * x, 10 + size * (1 - y), hover) for x, y, hover in marks]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in place)
    dots = Markup("").join(
        Markup('<g class="mark"><title>{}</title><circle cx="{:.1f}" cy="{:.1f}" r="5"/></g>').format(hover, x, y)
        for x, y, hover in place
    )
    frame = Markup(
        '<rect class="frame" x="{x}" y="10" width="{s}" height="{s}"/><line class="axis" x1="{x}" y1="{b}" x2="{r}" '
        'y2="10"/><polyline points="{path}" style="stroke:{c}"/>'
    ).format(x=left, s=size, b=10 + size, r=left + size, path=path, c=_COLOURS[0])
    ticks = Markup("").join(
        Markup(
            '<text x="{:.0f}" y="{}" text-anchor="middle">{}</text><text x="{}" y="{:.0f}" text-anchor="end">{}</text>'
        ).format(left + size * t, size + 26, t, left - 6, 14 + size * (1 - t), t)
        for t in (0, 0.25, 0.5, 0.75, 1)
    )
    words = Markup('<text x="{}" y="{}" text-anchor="middle">predicted; observed upwards</text>').format(
        left + size / 2, size + 44
    )
    return _svg(size + 52, frame + ticks + words + dots, width=left + size + 16)


def lines(steps: Sequence[str], series: Mapping[str, Sequence[float | None]], *, most: float | None = None) -> Markup:
    """Series over the same steps, from zero; what is None is left out.

    Args:
        steps: what stands below, such as days.
        series: values by name, as many as steps.
        most: the top; default: the greatest value.
    """
    left, height, wide = 46, 180, _WIDTH - 60
    top = most or max((v for values in series.values() for v in values if v is not None), default=0) or 1
    across = wide / max(len(steps) - 1, 1)
    parts = Markup("")
    for colour, (name, values) in zip(_COLOURS, series.items(), strict=False):
        known = [(left + i * across, 10 + height * (1 - v / top), i, v) for i, v in enumerate(values) if v is not None]
        parts += Markup('<polyline points="{}" style="stroke:{}"/>').format(
            " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in known), colour
        )
        parts += Markup("").join(
            Markup(
                '<g class="mark"><title>{}, {}: {}</title><circle cx="{:.1f}" cy="{:.1f}" r="3.5" style="fill:{}"/></g>'
            ).format(steps[i], name, shown_number(v), x, y, colour)
            for x, y, i, v in known
        )
    frame = Markup('<line class="axis" x1="{x}" x2="{r}" y1="{b}" y2="{b}"/><text x="{l}" y="16" text-anchor="end">{t}'
                   '</text><text x="{l}" y="{b}" text-anchor="end">0</text>').format(
        x=left, r=left + wide, b=10 + height, l=left - 6, t=shown_number(top)
    )  # fmt: skip
    ends = Markup('<text x="{}" y="{y}">{}</text><text x="{}" y="{y}" text-anchor="end">{}</text>').format(
        left, steps[0] if steps else "", left + wide, steps[-1] if steps else "", y=height + 28
    )
    legend = Markup("").join(
        Markup('<text x="{}" y="{}" style="fill:{}">■ {}</text>').format(left + 128 * i, height + 48, colour, name)
        for i, (colour, name) in enumerate(zip(_COLOURS, series, strict=False))
    )
    return _svg(height + 54, frame + parts + ends + legend)


def shown_number(value: float | None) -> str:
    """A number with three digits, or whole."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _short(label: str) -> str:
    return label if len(label) <= 28 else f"{label[:27]}…"


def _vertical(x: float, height: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{}"/>').format(kind, height, x=x)


def _svg(height: float, content: Markup, width: float = _WIDTH) -> Markup:
    template = '<svg viewBox="0 0 {w:.0f} {h:.0f}" style="max-width:{w:.0f}px" role="img">{}</svg>'
    return Markup(template).format(content, w=width, h=height)
