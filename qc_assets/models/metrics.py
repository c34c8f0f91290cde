"""Metrics of probabilities, each with a bootstrap interval."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

N_BINS = 15
METRICS = ("roc_auc", "pr_auc", "brier", "log_loss", "ece")
HIGHER_IS_BETTER = {"roc_auc": True, "pr_auc": True, "brier": False, "log_loss": False, "ece": False}
_CLIP = 1e-12
_CELLS = 4_000_000  # numbers held at once while resampling


@dataclass(frozen=True)
class Estimate:
    """A metric's value, its 95 % interval, and the value of a trivial prediction."""

    value: float
    lower: float
    upper: float
    baseline: float


class WeightedMetrics:
    """Metrics of fixed labels and predictions under many weightings at once, sharing one sort.

    Args:
        labels: 0 or 1, (n,).
        predictions: probabilities, (n,).
    """

    def __init__(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        order = np.argsort(predictions, kind="stable")
        self.order = order
        self.y = labels[order].astype(np.float64)
        self.p = predictions[order].astype(np.float64)
        self.ties = np.flatnonzero(np.r_[True, np.diff(self.p) > 0])
        # Bins of equal mass; where predictions tie over an edge, the stable order decides.
        self.bins = np.unique(np.linspace(0, len(self.y), N_BINS + 1).astype(np.int64)[:-1])

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric under each weighting.

        Args:
            weights: non-negative, (resamples, n), in the order of the labels given.

        Returns:
            By metric, (resamples,). ROC AUC and average precision follow their weighted definitions with ties
            counted half; ECE is the weighted mean over 15 equal-mass bins of |mean prediction - share of ones|
            (Naeini, Cooper and Hauskrecht, 2015; equal mass after Nguyen and O'Connor, 2015).
        """
        w = weights[:, self.order]
        total = w.sum(axis=1)
        ones = np.add.reduceat(w * self.y, self.ties, axis=1)
        zeros = np.add.reduceat(w * (1 - self.y), self.ties, axis=1)
        n_ones, n_zeros = ones.sum(axis=1), zeros.sum(axis=1)
        below = np.cumsum(zeros, axis=1) - zeros
        above_ones = np.cumsum(ones[:, ::-1], axis=1)
        above_all = above_ones + np.cumsum(zeros[:, ::-1], axis=1)
        p = np.clip(self.p, _CLIP, 1 - _CLIP)
        losses = -(self.y * np.log(p) + (1 - self.y) * np.log(1 - p))
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(above_all > 0, above_ones / above_all, 0.0)
            return {
                "roc_auc": (ones * (below + zeros / 2)).sum(axis=1) / (n_ones * n_zeros),
                "pr_auc": (ones[:, ::-1] * precision).sum(axis=1) / n_ones,
                "brier": w @ (self.p - self.y) ** 2 / total,
                "log_loss": w @ losses / total,
                "ece": np.abs(np.add.reduceat(w * (self.p - self.y), self.bins, axis=1)).sum(axis=1) / total,
            }


def evaluate(
    labels: np.ndarray, predictions: np.ndarray, *, base_rate: float, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Every metric with a 95 % percentile interval of the Poisson bootstrap (Chamandy et al., 2012).

    Args:
        labels: 0 or 1, (n,), both present.
        predictions: probabilities, (n,).
        base_rate: what a prediction that knows nothing would say; its metrics are the baselines.
        resamples: number of bootstrap weightings.
        seed: seed of the weightings.
    """
    everyone = np.ones((1, len(labels)))
    metrics = WeightedMetrics(labels, predictions)
    value = metrics(everyone)
    trivial = WeightedMetrics(labels, np.full(len(labels), base_rate))(everyone)
    # A constant prediction has one bin, not fifteen slices of equal predictions in arbitrary order.
    trivial["ece"] = np.array([abs(base_rate - labels.mean())])
    draws = [metrics(weights) for weights in _weights(len(labels), resamples, seed)]
    return {name: _estimate(name, value, trivial, draws) for name in METRICS}


def _estimate(name: str, value: dict, trivial: dict, draws: list[dict]) -> Estimate:
    drawn = np.concatenate([draw[name] for draw in draws])
    lower, upper = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(float(value[name][0]), float(lower), float(upper), float(trivial[name][0]))


def paired_differences(
    labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, *, resamples: int, seed: int
) -> dict[str, tuple[float, float, float]]:
    """Difference of each metric, ours minus theirs, under the same resamples of the same rows.

    Returns:
        By metric: difference, lower and upper end of its 95 % interval.
    """
    mine, other = WeightedMetrics(labels, ours), WeightedMetrics(labels, theirs)
    everyone = np.ones((1, len(labels)))
    draws = [(mine(weights), other(weights)) for weights in _weights(len(labels), resamples, seed)]
    found = {}
    for name in METRICS:
        drawn = np.concatenate([a[name] - b[name] for a, b in draws])
        lower, upper = np.nanpercentile(drawn, [2.5, 97.5])
        found[name] = (float((mine(everyone)[name] - other(everyone)[name])[0]), float(lower), float(upper))
    return found


def _weights(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        yield rng.poisson(1.0, (min(step, resamples - start), n)).astype(np.float64)


def expected_calibration_error(reference: np.ndarray, predictions: np.ndarray) -> float:
    """ECE over 15 equal-mass bins against `reference`: labels, or true probabilities where they are known."""
    return float(WeightedMetrics(reference, predictions)(np.ones((1, len(reference))))["ece"][0])
