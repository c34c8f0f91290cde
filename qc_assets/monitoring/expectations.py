"""What can be known of a champion before labels are mature, and where it is off once they are."""

from typing import Any

import polars as pl

from qc_assets.learning.reliability import reliability_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.monitoring.measures import RECENT, Live
from qc_assets.registry.version_record import reliability_rows

_QUALITY: dict[str, Any] = {
    "part": pl.String, "metric": pl.String, "items": pl.Int64, "opened_from": pl.Datetime("us"),
    "opened_until": pl.Datetime("us"), "expected": pl.Float64, "lower": pl.Float64, "upper": pl.Float64,
    "observed": pl.Float64, "reason": pl.String,
}  # fmt: skip
_MOST_NAMED = 5


def expected_quality(spec: ModelSpec, live: Live, *, resamples: int, seed: int) -> pl.DataFrame:
    """Rows of reports.expected_quality, but for the names of the model; none where answers promise no probability.

    What waits is everything opened within the time that labels need, whether its label is known yet or not: those that
    are decided early are others. Beside it stand the decided of the 28 days before, with what was found of them.
    """
    task, opened = task_of(spec), pl.col(spec.opened_at)
    is_young = live.frame.select((opened >= pl.col("observed_until") - spec.maturity).fill_null(False)).to_series()
    decided = live.where(live.decided & ~is_young.to_numpy())
    if len(decided.frame):
        newest = decided.frame[spec.opened_at].max()
        decided = decided.where((decided.frame[spec.opened_at] > newest - RECENT).to_numpy())  # type: ignore[operator]
    rows = []
    for part, of_part in (("waiting", live.where(is_young.to_numpy())), ("decided", decided)):
        observed = task.realised(of_part.known, of_part.answers) if part == "decided" else {}
        for metric, estimate in task.expected(of_part.answers, resamples=resamples, seed=seed).items():
            instants = of_part.frame[spec.opened_at]
            rows.append(
                {"part": part, "metric": metric, "items": len(instants), "observed": observed.get(metric)}
                | {"opened_from": instants.min(), "opened_until": instants.max(), "expected": estimate.value}
                | {"lower": estimate.lower, "upper": estimate.upper, "reason": estimate.reason or None}
            )
    return pl.DataFrame(rows, schema=_QUALITY)


def live_reliability(spec: ModelSpec, live: Live, *, resamples: int, seed: int) -> pl.DataFrame:
    """Rows of reports.live_reliability, but for the names of the model: what was promised and found, part by part."""
    promised = task_of(spec).reliable(live.known, live.answers)
    opened_at = live.frame[spec.opened_at].to_numpy()
    return reliability_rows(reliability_of(live.frame, opened_at, *promised, resamples=resamples, seed=seed))


def right_in_every_part(reliability: pl.DataFrame) -> tuple[bool, str]:
    """Whether no repository and no month is surely off, and a sentence on those that are."""
    judged = reliability.filter(pl.col("is_off").is_not_null()) if len(reliability) else reliability
    if judged.is_empty():
        return True, "no repository and no month has enough decided items"
    off = judged.filter("is_off").sort(pl.col("gap").abs(), descending=True)
    if off.is_empty():
        return True, f"off in none of {len(judged)} repositories and months"
    named = "; ".join(
        f"{row['part']} {row['name']}: {row['predicted']:.1%} promised, {row['observed']:.1%} observed"
        for row in off.head(_MOST_NAMED).to_dicts()
    )
    return False, f"surely off in {len(off)} of {len(judged)} repositories and months: {named}"
