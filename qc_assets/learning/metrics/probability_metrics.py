"""Metrics of probabilities."""

import numpy as np

N_BINS = 15
_CLIP = 1e-12


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
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(above_all > 0, above_ones / above_all, 0.0)
            return {
                "roc_auc": (ones * (below + zeros / 2)).sum(axis=1) / (n_ones * n_zeros),
                "pr_auc": (ones[:, ::-1] * precision).sum(axis=1) / n_ones,
                "brier": w @ (self.p - self.y) ** 2 / total,
                "log_loss": w @ log_losses(self.y, self.p) / total,
                "ece": np.abs(np.add.reduceat(w * (self.p - self.y), self.bins, axis=1)).sum(axis=1) / total,
            }


def log_losses(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The log loss of each row, (n,); a certainty that was wrong has a large one, and no infinite one."""
    p = np.clip(predictions, _CLIP, 1 - _CLIP)
    losses: np.ndarray = -(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    return losses


def expected_calibration_error(reference: np.ndarray, predictions: np.ndarray) -> float:
    """ECE over 15 equal-mass bins against `reference`: labels, or true probabilities where they are known."""
    return float(WeightedMetrics(reference, predictions)(np.ones((1, len(reference))))["ece"][0])
