"""How good probabilities are before their labels are known, if they are right, and how good they were after."""

import numpy as np

from qc_assets.learning.metrics.bootstrap import DEFINED, MIN_ROWS, Estimate
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

_METRICS = {
    "roc_auc": "labels of both kinds",
    "brier": "predictions",
    "log_loss": "predictions",
    "accuracy": "predictions",
}
_CELLS = 2_000_000  # labels held at once


def expected_metrics(predictions: np.ndarray, *, resamples: int, seed: int) -> dict[str, Estimate]:
    """Confidence-based performance estimation, as NannyML's CBPE: each metric as the predictions let one expect it.

    Labels of these very items are drawn by the predictions: the value is the mean, the interval holds 95 % of what
    would be found of them, each item by itself. It rests on the predictions being calibrated still: it sees that items
    have become harder, and not that the world has become another.

    Args:
        predictions: calibrated probabilities, (n,).
        resamples, seed: of the draws.

    Returns:
        By metric: roc_auc, brier, log_loss, accuracy (of the likelier label). Without numbers below 30 predictions.
    """
    if len(predictions) < MIN_ROWS:
        reason = f"{len(predictions)} predictions, at least {MIN_ROWS} needed"
        return dict.fromkeys(_METRICS, Estimate(None, None, None, reason=reason))
    rng = np.random.default_rng(seed)
    measured = _Measured(predictions)
    step = max(1, _CELLS // len(predictions))
    drawn = [
        measured(rng.random((min(step, resamples - start), len(predictions))) < predictions)
        for start in range(0, resamples, step)
    ]
    estimates = {}
    for name, need in _METRICS.items():
        values = np.concatenate([draw[name] for draw in drawn])
        defined = values[np.isfinite(values)]
        if len(defined) < DEFINED * len(values):
            estimates[name] = Estimate(None, None, None, reason=f"it needs {need}, which many draws lack")
        else:
            lower, upper = np.percentile(defined, [2.5, 97.5])
            estimates[name] = Estimate(float(defined.mean()), float(lower), float(upper))
    return estimates


def realised_metrics(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The same metrics of predictions whose labels, 0 or 1, are known; those that do not exist are left out."""
    if len(labels) < MIN_ROWS:
        return {}
    measured = _Measured(predictions)(labels[None, :] > 0)
    return {name: float(value[0]) for name, value in measured.items() if np.isfinite(value[0])}


class _Measured:
    """Metrics of fixed predictions under many labellings (draws, n) at once."""

    def __init__(self, predictions: np.ndarray) -> None:
        n = len(predictions)
        # Every prediction stands there twice, as a success and as a failure, and its label takes one's weight away.
        self.metrics = WeightedMetrics(np.repeat([1.0, 0.0], n), np.tile(predictions, 2))
        self.is_likely = predictions >= 0.5

    def __call__(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        measured = self.metrics(np.hstack([labels, ~labels]).astype(np.float64))
        right = (labels == self.is_likely).mean(axis=1)
        return {name: measured[name] for name in ("roc_auc", "brier", "log_loss")} | {"accuracy": right}
