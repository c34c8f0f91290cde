"""What monitoring says of a champion as charts; rows are those of the tables of these names in `reports`."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from qc_assets.monitoring import svg_charts
from qc_assets.monitoring.svg_charts import Mark

_PARTS, _FEATURES = 40, 12
Row = Mapping[str, Any]


def calibration_chart(rows: Sequence[Row]) -> Markup | None:
    """Predicted against observed, of `reports.calibration`."""
    marks = [
        (
            row["predicted"],
            row["observed"],
            f"{row['items']} items: predicted {row['predicted']:.3f}, observed {row['observed']:.3f}",
        )
        for row in rows
    ]
    return svg_charts.diagonal(marks) if marks else None


def weeks_chart(rows: Sequence[Row]) -> Markup | None:
    """Predicted and observed by week of opening, of `reports.monitoring`; shares end at one, hours where they do."""
    rows = [row for row in rows if row["mean_prediction"] is not None and row["observed"] is not None]
    if not rows:
        return None
    series = {"predicted": [row["mean_prediction"] for row in rows], "observed": [row["observed"] for row in rows]}
    shares = all(value <= 1 for values in series.values() for value in values)
    return svg_charts.lines([str(row["week"]) for row in rows], series, most=1 if shares else None)


def charts_of_parts(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By kind of part, of `reports.live_reliability`: what was promised less what came true, where rows are enough.

    Each has its `chart`, how many parts are too `small`, and how many are `left_out` as there are too many.
    """
    kinds = {}
    for kind in dict.fromkeys(row["part"] for row in rows):
        of_kind = [row for row in rows if row["part"] == kind]
        known = [row for row in of_kind if row["gap"] is not None]
        known.sort(key=lambda row: (not row["is_off"], -row["rows"]))
        marks = [
            Mark(
                row["name"] or "",
                row["gap"],
                f"{row['name']}: predicted {row['predicted']:.3f}, observed {row['observed']:.3f} over {row['rows']}",
                row["lower"],
                row["upper"],
                bool(row["is_off"]),
                (row["name"] or "") if kind == "repository" else "",
            )
            for row in known[:_PARTS]
        ]
        kinds[kind] = {
            "chart": svg_charts.intervals(marks) if marks else None,
            "small": len(of_kind) - len(known),
            "left_out": max(len(known) - _PARTS, 0),
        }
    return kinds


def drift_chart(rows: Sequence[Row]) -> Markup | None:
    """The inputs that have moved most, of `reports.drift`."""
    first = sorted(rows, key=lambda row: -row["psi"])[:_FEATURES]
    return svg_charts.bars([_moved(row) for row in first], limit=0.25) if first else None


def _moved(row: Mapping[str, Any]) -> Mark:
    hover = (
        f"{row['feature']}: {row['psi']:.3f}, by chance up to {row['by_chance']:.3f}; "
        f"unknown {row['unknown_before']:.1%} before, {row['unknown_now']:.1%} now"
    )
    return Mark(row["feature"], row["psi"], hover, is_red=row["is_drifting"])
