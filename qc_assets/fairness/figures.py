"""Figures of a bias report as PNG bytes."""

from typing import Any

import polars as pl

from qc_assets.fairness.findings import FLAGGED, TOO_SMALL, BiasAnalysis
from qc_assets.learning.plots import png

_MOST = 25
# Readable in black and white as well: flagged groups are filled, others hollow.
_RED, _GREY = "#b00020", "#5b6770"


def of_analysis(analysis: BiasAnalysis) -> dict[str, bytes]:
    """``gaps`` of the metric that matters most, if any group can be judged."""
    metric = analysis.kind.leading
    drawn = gaps(analysis, metric, f"Gaps by {analysis.attribute}: {metric.replace('_', ' ')}")
    return {"gaps": drawn} if drawn else {}


def gaps(analysis: BiasAnalysis, metric: str, title: str) -> bytes | None:
    """Each group's gap with its 95 % interval, the largest first; None if no group can be judged."""
    rows = (
        analysis.findings.filter((pl.col("metric") == metric) & (pl.col("status") != TOO_SMALL))
        .drop_nulls(["gap", "lower", "upper"])
        .sort(pl.col("gap").abs(), descending=True)
        .head(_MOST)
        .reverse()
    )
    if rows.is_empty():
        return None

    def draw(axes: Any) -> None:
        for y, row in enumerate(rows.to_dicts()):
            colour = _RED if row["status"] == FLAGGED else _GREY
            axes.plot([row["lower"], row["upper"]], [y, y], color=colour, lw=1.5)
            axes.plot(row["gap"], y, "o", color=colour, mfc=colour if row["status"] == FLAGGED else "white")
        axes.axvline(0, color="black", lw=0.8)
        labels = [f"{_short(row['group'])} ({row['rows']:,})" for row in rows.to_dicts()]
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_xlabel("value - expected, 95 % interval; filled: flagged")
        axes.set_title(title, fontsize=10)

    return png(draw, (7.5, 1.2 + 0.24 * len(rows)))


def trade_off(mitigations: pl.DataFrame) -> bytes | None:
    """Error against largest gap for each mitigation, and for none; None if nothing could be tried."""
    rows = mitigations.drop_nulls(["accuracy_after", "gap_after"])
    if rows.is_empty():
        return None

    def draw(axes: Any) -> None:
        first = rows.row(0, named=True)
        axes.plot(first["gap_before"], first["accuracy_before"], "s", color="black", label="as it is")
        for row, marker in zip(rows.to_dicts(), "ov^<>DPX*", strict=False):
            axes.plot(row["gap_after"], row["accuracy_after"], marker, mfc="white", color=_GREY, label=row["method"])
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.margins(0.15)
        axes.set_xlabel("largest relative gap between groups (left is fairer)")
        axes.set_ylabel(f"{first['metric'].replace('_', ' ')} (lower is better)")
        axes.set_title("What each mitigation costs and gains", fontsize=10)

    return png(draw, (7.5, 4.2))


def _short(name: str) -> str:
    return name if len(name) <= 34 else name[:33] + "…"
