"""How much longer, for an item that has waited already: a duration given that it is not over yet.

Of the calibration rows that were still waiting after as many hours, those with the nearest scores say how much longer
it took them: a local estimate of the distribution beyond that moment (Beran, 1981), here with weights of inverse
probability of censoring. Answers never lie before what has been waited.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qc_assets.learning.conformal import COVERAGE, ROWS_OF_A_REPOSITORY
from qc_assets.learning.metrics.duration_metrics import weighted_quantile
from qc_assets.learning.task.terms import Known

_NEIGHBOURS = 150
# With fewer that waited so long nobody knows.
_LEAST = 20
# More rows say hardly more, and are in every version's file.
_MOST = 5_000
_DIGITS = 4


@dataclass(frozen=True)
class Remaining:
    """How much longer, in hours from the moment until which an item has waited.

    Attributes:
        hours: median.
        lower, upper: ends of the interval that holds 80 %.
        within: what 80 % need at most.
        horizon: no more is counted: what reaches it means "or longer".
    """

    hours: float
    lower: float
    upper: float
    within: float
    horizon: float

    @property
    def words(self) -> str:
        """Such as ``within 31 h (80 %)``."""
        beyond = self.within >= self.horizon * (1 - 1e-9)
        return f"{'not surely within' if beyond else 'within'} {self.within:.0f} h (80 %)"


@dataclass(frozen=True)
class RemainingTimes:
    """What happened to the rows of a calibration window, n of them.

    Attributes:
        horizon_hours: durations are counted up to here.
        scores: predicted log1p hours, by an estimator that had not seen the rows, ascending, (n,).
        ends: observed log1p hours, infinite where it lasted beyond the horizon, (n,).
        weights: inverse probabilities of being observed, (n,).
        repositories: ids, (n,); 0 where nobody knows.
    """

    horizon_hours: float
    scores: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    repositories: np.ndarray

    @classmethod
    def fit(
        cls,
        scores: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        horizon_hours: float,
        repositories: np.ndarray | None = None,
    ) -> "RemainingTimes":
        """Keep what was observed.

        Args:
            scores: predicted log1p hours, (n,).
            y: observed log1p hours, counted up to the horizon, (n,).
            weights: inverse probabilities of being observed, 0 for the unobserved, (n,).
            horizon_hours: the horizon.
            repositories: ids, (n,); None where all are one.
        """
        seen = np.flatnonzero(weights > 0)
        order = seen[np.argsort(scores[seen], kind="stable")]
        order = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), _MOST)).astype(np.int64))]
        ends = np.where(y >= np.log1p(horizon_hours) - 1e-9, np.inf, y)
        ids = np.zeros(len(y), np.int64) if repositories is None else repositories.astype(np.int64)
        scores, ends, weights = (np.round(part[order], _DIGITS) for part in (scores, ends, weights))
        return cls(horizon_hours, scores, ends, weights, ids[order])

    def __call__(self, score: float, waited: float, repository: int = 0) -> Remaining | None:
        """How much longer an item with that score waits.

        Args:
            score: predicted log1p hours.
            waited: hours so far.
            repository: its id; with enough rows still waiting, those of the repository alone count.

        Returns:
            None where hardly any row had to wait so long, or nothing is counted any more.
        """
        horizon, now = self.horizon_hours - waited, np.log1p(max(waited, 0.0))
        if horizon <= 0:
            return None
        # As the rows would have ended with this score: they differ from it by their residuals.
        ends = np.where(np.isinf(self.ends), np.inf, self.ends + (score - self.scores))
        waiting = ends > now
        own = waiting & (self.repositories == repository)
        rows = np.flatnonzero(own if own.sum() >= ROWS_OF_A_REPOSITORY else waiting)
        if len(rows) < _LEAST:
            return None
        rows = rows[np.argsort(np.abs(self.scores[rows] - score), kind="stable")[:_NEIGHBOURS]]
        more = np.clip(np.expm1(ends[rows]) - waited, 0.0, horizon)

        def quantile(level: float) -> float:
            return weighted_quantile(more, self.weights[rows], level)

        # One row more than those that were seen: the item itself (split conformal prediction).
        tail, last = (1 - COVERAGE) / 2, 1 + 1 / len(rows)
        within = quantile(min(1.0, COVERAGE * last))
        upper = quantile(min(1.0, (1 - tail) * last))
        # Where more than a tenth reach the horizon, the upper end holds all above, and the lower end may miss twice.
        lower = quantile(max(0.0, 1 - (1 - (2 * tail if upper >= horizon else tail)) * last))
        return Remaining(quantile(0.5), min(lower, quantile(0.5)), upper, within, horizon)

    def to_json(self) -> dict[str, Any]:
        return {
            "horizon_hours": self.horizon_hours,
            "scores": self.scores.tolist(),
            "ends": [None if np.isinf(value) else value for value in self.ends.tolist()],
            "weights": self.weights.tolist(),
            "repositories": self.repositories.tolist(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RemainingTimes":
        ends = np.array([np.inf if value is None else value for value in document["ends"]], dtype=float)
        scores, weights = (np.array(document[name], dtype=float) for name in ("scores", "weights"))
        return cls(document["horizon_hours"], scores, ends, weights, np.array(document["repositories"], dtype=np.int64))


def remaining_times(scores: np.ndarray, known: Known, context: Mapping[str, Any]) -> RemainingTimes:
    """Of a calibration window of a duration: scores by an estimator that had not seen it, labels, and the horizon."""
    return RemainingTimes.fit(scores, known.y, known.weights, context["horizon_hours"], known.groups)
