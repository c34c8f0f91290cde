"""Metrics of answers that are one of several categories."""

import numpy as np

from qc_assets.learning.metrics.probability_metrics import N_BINS

UNCERTAIN = "UNCERTAIN"
MIN_CONFIDENCE = 0.6
_CLIP = 1e-12


class CategoryMetrics:
    """Metrics of fixed labels and predictions under many weightings at once.

    Args:
        labels: index of the true category, (n,).
        predictions: probabilities of the categories, (n, classes).
    """

    def __init__(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        y, classes = labels.astype(np.int64), np.arange(predictions.shape[1])
        answer = predictions.argmax(axis=1)
        self.confidence = predictions.max(axis=1)
        self.right = (answer == y).astype(float)
        self.true = (y[:, None] == classes).astype(float)
        self.given = (answer[:, None] == classes).astype(float)
        self.losses = -np.log(np.clip(predictions[np.arange(len(y)), y], _CLIP, 1))
        self.answered = (self.confidence >= MIN_CONFIDENCE).astype(float)
        self.order = np.argsort(self.confidence, kind="stable")
        self.bins = np.unique(np.linspace(0, len(y), N_BINS + 1).astype(np.int64)[:-1])

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric under each weighting.

        Args:
            weights: non-negative, (resamples, n).

        Returns:
            By metric, (resamples,). Macro F1 is over the categories that occur; ECE compares confidence with being
            right, in 15 equal-mass bins.
        """
        total = weights.sum(axis=1)
        both = weights @ (self.true * self.given)
        occurring = weights @ self.true
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(occurring > 0, 2 * both / (occurring + weights @ self.given), np.nan)
            gap = (weights * (self.confidence - self.right))[:, self.order]
            return {
                "accuracy": weights @ self.right / total,
                "macro_f1": np.nanmean(f1, axis=1),
                "log_loss": weights @ self.losses / total,
                "ece": np.abs(np.add.reduceat(gap, self.bins, axis=1)).sum(axis=1) / total,
                "uncertain": 1 - weights @ self.answered / total,
                "answered_accuracy": weights @ (self.right * self.answered) / (weights @ self.answered),
            }
