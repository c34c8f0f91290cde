"""Metrics of predicted durations, each with its interval, in hours and in logarithms."""

import numpy as np

# Concordance compares pairs; this many rows, evenly spaced, make enough of them.
_PAIRED_ROWS = 2_000


class DurationMetrics:
    """Metrics of fixed durations and predictions under many weightings at once.

    Args:
        hours: what happened, counted up to the horizon, (n,).
        predicted: lower end, median and upper end in hours, (n, 3).
    """

    def __init__(self, hours: np.ndarray, predicted: np.ndarray) -> None:
        lower, median, upper = predicted.T
        self.y, self.log_y = hours, np.log1p(hours)
        self.error, self.log_error = hours - median, self.log_y - np.log1p(median)
        self.inside = are_inside(hours, predicted)
        self.width = np.log1p(upper) - np.log1p(lower)
        self.rows = np.unique(np.linspace(0, len(hours) - 1, min(len(hours), _PAIRED_ROWS)).astype(np.int64))
        order, p = hours[self.rows], median[self.rows]
        earlier = (order[:, None] < order[None, :]).astype(np.float32)
        right = earlier * ((p[:, None] < p[None, :]) + 0.5 * (p[:, None] == p[None, :])).astype(np.float32)
        self.earlier, self.right = earlier, right

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric under each weighting.

        Args:
            weights: non-negative, (resamples, n); with inverse probabilities of censoring they make each metric
                an estimate for all items, though some were still open when last seen (Graf et al., 1999).

        Returns:
            By metric, (resamples,). Concordance is Harrell's index with the weights of both rows of a pair
            (after Uno et al., 2011), over at most 2,000 rows.
        """
        total = weights.sum(axis=1)
        pairs = weights[:, self.rows].astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "mae": weights @ np.abs(self.error) / total,
                "rmse": np.sqrt(weights @ self.error**2 / total),
                "r2": _r2(weights, self.y, self.error, total),
                "median_ae": _median(weights, np.abs(self.error)),
                "log_mae": weights @ np.abs(self.log_error) / total,
                "log_rmse": np.sqrt(weights @ self.log_error**2 / total),
                "log_r2": _r2(weights, self.log_y, self.log_error, total),
                "log_median_ae": _median(weights, np.abs(self.log_error)),
                "concordance": _pairs(pairs, self.right) / _pairs(pairs, self.earlier),
                "coverage": weights @ self.inside / total,
                "interval_width": weights @ self.width / total,
            }


def are_inside(hours: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Whether durations lie in their intervals, (n,); see `DurationMetrics`."""
    # A prediction is a float: what lies on the edge of its interval lies in it.
    return (hours >= predicted[:, 0] * (1 - 1e-9)) & (hours <= predicted[:, 2] * (1 + 1e-9))


def _r2(weights: np.ndarray, y: np.ndarray, error: np.ndarray, total: np.ndarray) -> np.ndarray:
    mean, squares = weights @ y / total, weights @ y**2
    spread = squares - total * mean**2
    # What is left of the spread of equal durations is a rounding error.
    return np.where(spread > 1e-9 * squares, 1 - weights @ error**2 / spread, np.nan)


def _pairs(weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return ((weights @ matrix) * weights).sum(axis=1, dtype=np.float64)


def _median(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    return values[order][np.argmax(reached >= reached[:, -1:] / 2, axis=1)]


def still_watched(lasted: np.ndarray, is_censored: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Share of items that are watched for at least so long, by the product-limit estimate (Kaplan and Meier, 1958).

    Args:
        lasted: time until an item ended or was no longer watched, (n,).
        is_censored: whether it was no longer watched, rather than ended, (n,). What ends at an instant at which others
            are lost to sight ends first.
        moments: times that are asked about, (k,).

    Returns:
        (k,), between 0 and 1.
    """
    times, lost = np.unique(lasted[is_censored], return_counts=True)
    ended = np.sort(lasted[~is_censored])
    at_risk = len(lasted) - np.searchsorted(np.sort(lasted), times, side="left")
    at_risk = at_risk - (np.searchsorted(ended, times, "right") - np.searchsorted(ended, times, "left"))
    surviving = np.concatenate([[1.0], np.cumprod(1 - lost / at_risk)])
    return surviving[np.searchsorted(times, moments, side="left")]


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The smallest value at which at least `level` of the weight is reached.

    Args:
        values, weights: (n,), of positive total weight.
        level: between 0 and 1.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    index = np.searchsorted(reached, level * reached[-1] * (1 - 1e-12))
    return float(values[order][min(int(index), len(values) - 1)])
