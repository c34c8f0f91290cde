"""From a score in log hours to a median with a prediction interval, by split conformal prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qc_assets.learning.metrics.duration_metrics import weighted_quantile

COVERAGE = 0.8
_ROWS_PER_BIN = 150
_MAX_BINS = 20
# Coverage after a calibration on n rows scatters by sqrt(0.8 * 0.2 / n): with 200 by 2.8 points, which is within the 3
# that are allowed. With fewer a repository is served better by the residuals of all.
ROWS_OF_A_REPOSITORY = 200


@dataclass(frozen=True)
class Intervals:
    """What is added to a score to reach the lower end, the median and the upper end.

    Residuals are taken in bins of the score (Mondrian conformal prediction, Vovk et al., 2005), because durations
    that end at the horizon scatter less there; between the centres of bins the offsets are interpolated. Repositories
    with enough rows have ends from their own residuals, so that intervals hold in each of them; the median is the same
    function of the score in all, so that calibration keeps the order of the scores.

    Attributes:
        horizon_hours: durations are counted up to here; an upper end that reaches it means "or longer".
        centres: scores, (bins,).
        offsets: lower, median, upper; each (bins,).
        by_repository: intervals of the repositories that have enough rows, by id.
    """

    horizon_hours: float
    centres: tuple[float, ...]
    offsets: tuple[tuple[float, ...], ...]
    by_repository: Mapping[int, "Intervals"] = field(default_factory=dict)
    method: str = "conformal"

    @classmethod
    def fit(
        cls,
        scores: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        horizon_hours: float,
        repositories: np.ndarray | None = None,
    ) -> "Intervals":
        """Fit on the calibration window.

        Args:
            scores: predicted log1p hours, (n,).
            y: observed log1p hours, counted up to the horizon, (n,).
            weights: inverse probabilities of being observed, 0 for the unobserved, (n,).
            horizon_hours: the horizon.
            repositories: ids, (n,); None where all are one.
        """
        seen = weights > 0
        if repositories is not None:
            pooled = cls.fit(scores, y, weights, horizon_hours)
            ids, counts = np.unique(repositories[seen], return_counts=True)
            masks = {int(repo_id): repositories == repo_id for repo_id in ids[counts >= ROWS_OF_A_REPOSITORY]}
            own = {
                repo_id: cls.fit(scores[rows], y[rows], weights[rows], horizon_hours) for repo_id, rows in masks.items()
            }
            return replace(pooled, by_repository=own)
        scores, y, weights = scores[seen], y[seen], weights[seen]
        bins = int(np.clip(len(scores) // _ROWS_PER_BIN, 1, _MAX_BINS))
        parts = np.array_split(np.argsort(scores, kind="stable"), bins)
        centres = [float(np.average(scores[part], weights=weights[part])) for part in parts]
        end = np.log1p(horizon_hours)
        offsets = [_offsets(scores[part], y[part], weights[part], end) for part in parts]
        low, middle, high = zip(*offsets, strict=True)
        # A longer score is never a shorter median, however a bin's few rows fell.
        rising = np.maximum.accumulate(np.array(centres) + middle) - centres
        first = cls(horizon_hours, tuple(centres), (low, tuple(rising.tolist()), high))
        # Conformalized quantile regression (Romano, Patterson and Candès, 2019): widen or narrow all intervals alike.
        lower, _, upper = first._in_logs(scores)
        misses = np.maximum(lower - y, np.where(upper >= end, -np.inf, y - upper))
        shift = weighted_quantile(misses, weights, min(1.0, COVERAGE * (1 + 1 / len(y))))
        ends = tuple(np.array(low) - shift), first.offsets[1], tuple(np.array(high) + shift)
        return cls(horizon_hours, first.centres, ends)

    def _in_logs(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        end = np.log1p(self.horizon_hours)
        low, middle, high = (np.clip(scores + np.interp(scores, self.centres, part), 0.0, end) for part in self.offsets)
        return np.minimum(low, middle), middle, np.maximum(high, middle)

    def __call__(self, scores: np.ndarray, repositories: np.ndarray | None = None) -> np.ndarray:
        """Lower end, median and upper end in hours, (rows, 3).

        Args:
            scores: predicted log1p hours, (rows,).
            repositories: ids, (rows,); None, or an id without intervals of its own: those of all rows.
        """
        low, middle, high = self._in_logs(scores)
        for repo_id in () if repositories is None else np.unique(repositories):
            if (own := self.by_repository.get(int(repo_id))) is not None:
                rows = repositories == repo_id
                low[rows], _, high[rows] = own._in_logs(scores[rows])
        ends = np.stack([np.minimum(low, middle), middle, np.maximum(high, middle)], axis=1)
        # Of the horizon's logarithm, the exponential may be greater than the horizon in its last digit.
        return np.minimum(np.expm1(ends), self.horizon_hours)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "horizon_hours": self.horizon_hours,
            "centres": list(self.centres),
            "offsets": [list(part) for part in self.offsets],
            "by_repository": {str(repo_id): own.to_json() for repo_id, own in self.by_repository.items()},
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Intervals":
        offsets = tuple(tuple(part) for part in document["offsets"])
        own = {int(repo_id): cls.from_json(part) for repo_id, part in document.get("by_repository", {}).items()}
        return cls(document["horizon_hours"], tuple(document["centres"]), offsets, own)


def _offsets(scores: np.ndarray, y: np.ndarray, weights: np.ndarray, end: float) -> tuple[float, float, float]:
    """Residual quantiles that hold `COVERAGE` between them.

    Where more than a tenth reach the horizon, no upper end below it would do; then the whole of what may be missed
    lies below the lower end.
    """
    residuals = y - scores
    tail = (1 - COVERAGE) / 2
    open_ended = weights[y >= end - 1e-9].sum() > tail * weights.sum()
    middle = weighted_quantile(residuals, weights, 0.5)
    if open_ended:
        return weighted_quantile(residuals, weights, 2 * tail), middle, end - float(scores.min())
    return weighted_quantile(residuals, weights, tail), middle, weighted_quantile(residuals, weights, 1 - tail)
