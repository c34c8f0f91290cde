"""From a score in log hours to a median with a prediction interval, by split conformal prediction."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qc_assets.learning.metrics.duration_metrics import weighted_quantile

COVERAGE = 0.8
_ROWS_PER_BIN = 150
_MAX_BINS = 20


@dataclass(frozen=True)
class Intervals:
    """What is added to a score to reach the lower end, the median and the upper end.

    Residuals are taken in bins of the score (Mondrian conformal prediction, Vovk et al., 2005), because durations
    that end at the horizon scatter less there; between the centres of bins the offsets are interpolated.

    Attributes:
        horizon_hours: durations are counted up to here; an upper end that reaches it means "or longer".
        centres: scores, (bins,).
        offsets: lower, median, upper; each (bins,).
    """

    horizon_hours: float
    centres: tuple[float, ...]
    offsets: tuple[tuple[float, ...], ...]
    method: str = "conformal"

    @classmethod
    def fit(cls, scores: np.ndarray, y: np.ndarray, weights: np.ndarray, horizon_hours: float) -> "Intervals":
        """Fit on the calibration window.

        Args:
            scores: predicted log1p hours, (n,).
            y: observed log1p hours, counted up to the horizon, (n,).
            weights: inverse probabilities of being observed, 0 for the unobserved, (n,).
            horizon_hours: the horizon.
        """
        seen = weights > 0
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

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Lower end, median and upper end in hours, (rows, 3)."""
        # Of the horizon's logarithm, the exponential may be greater than the horizon in its last digit.
        return np.minimum(np.stack([np.expm1(part) for part in self._in_logs(scores)], axis=1), self.horizon_hours)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "horizon_hours": self.horizon_hours,
            "centres": list(self.centres),
            "offsets": [list(part) for part in self.offsets],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Intervals":
        offsets = tuple(tuple(part) for part in document["offsets"])
        return cls(document["horizon_hours"], tuple(document["centres"]), offsets)


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
