"""The ways of comparing groups: of probabilities, of numbers, and of rankings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qc_assets.fairness.expected import Rows, promised_by_others, sum_by_group
from qc_assets.fairness.group_metrics import (
    Measured,
    measures_of_numbers,
    measures_of_probabilities,
    measures_of_queries,
)


@dataclass(frozen=True)
class ComparisonKind:
    """One way of comparing groups.

    Attributes:
        name: ``probability``, ``number`` or ``ranking``.
        leading: the judged metric that matters most, whose gaps are drawn.
        measure: the metrics of every group.
        alike: what a gap of the leading metric means between like changes, in words.
    """

    name: str
    leading: str
    measure: Callable[..., Measured]
    alike: str = ""


PROBABILITY = ComparisonKind(
    "probability",
    "observed_rate",
    measures_of_probabilities,
    "{value:.1%} came true where like changes elsewhere let one expect {expected:.1%}",
)
NUMBER = ComparisonKind(
    "number",
    "mean_error",
    measures_of_numbers,
    "expected {value:+.3f} too long in log hours, where all rows have {expected:+.3f}",
)
RANKING = ComparisonKind("ranking", "mrr", measures_of_queries)
COMPARISON_KINDS = {kind.name: kind for kind in (PROBABILITY, NUMBER, RANKING)}


def largest_gap(rows: Rows, kind: ComparisonKind, min_support: int) -> tuple[float, float]:
    """The largest relative gap of a group of enough rows, and the span of such groups' mean predictions.

    The gap is that of the pass rate against what was predicted (`PROBABILITY`), or of the mean error against the
    overall MAE.
    """
    large = rows.sizes >= min_support
    if large.sum() < 2:
        return float("nan"), float("nan")
    weight = sum_by_group(rows, np.ones_like(rows.y))
    if kind is PROBABILITY:
        q, _ = promised_by_others(rows)
        relative = sum_by_group(rows, rows.y - q) / sum_by_group(rows, q)
    else:
        error = rows.p - rows.y
        w, total = rows.weights, rows.weights.sum()
        relative = (sum_by_group(rows, error) / weight - w @ error / total) / (w @ np.abs(error) / total)
    means = (sum_by_group(rows, rows.p) / weight)[large]
    return float(np.abs(relative[large]).max()), float(means.max() - means.min())
