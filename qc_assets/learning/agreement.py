"""A duration and a probability of the same item come from curves that do not contradict each other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qc_assets.learning.conformal import COVERAGE
from qc_assets.learning.spec import Bound

_TAIL = (1 - COVERAGE) / 2


def levels(answers: np.ndarray, horizon_hours: float) -> np.ndarray:
    """Shares of items that have ended by the lower end, the median and the upper end of each answer, (rows, 3).

    An upper end at the horizon misses nothing, so all that the interval may miss lies below its lower end.
    """
    lower = np.where(answers[:, 2] >= horizon_hours, 2 * _TAIL, _TAIL)
    return np.stack([lower, np.full(len(answers), 0.5), np.full(len(answers), 1 - _TAIL)], axis=1)


def contradicting(answers: np.ndarray, context: Mapping[str, Any], probability: np.ndarray, bound: Bound) -> np.ndarray:
    """Which ends and medians lie before `bound.hours` although a smaller share ends by then, (rows, 3)."""
    horizon = context["horizon_hours"]
    return (answers < min(bound.hours, horizon)) & (probability[:, None] < levels(answers, horizon))


def agreed(answers: np.ndarray, context: Mapping[str, Any], probability: np.ndarray, bound: Bound) -> np.ndarray:
    """The durations, none of which ends sooner than the probability of ending by `bound.hours` allows.

    What is resolved is closed, so by any moment no more can be resolved than closed. The probability stays: the labels
    behind it are all known after `bound.hours`, while durations are judged by items that are still open, too.

    Args:
        answers: lower end, median and upper end in hours, (rows, 3).
        context: of the duration's version, with its horizon.
        probability: of ending in any way by `bound.hours`, (rows,).
        bound: of the duration's spec.
    """
    least = min(bound.hours, context["horizon_hours"])
    agreeing = answers
    for end in (2, 1, 0):  # the level of the lower end depends on where the upper one came to lie
        late = contradicting(agreeing, context, probability, bound)[:, end]
        agreeing = agreeing.copy()
        agreeing[late, end] = least
    return agreeing
