"""Does one feature alone explain the model? Then it probably knows the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qc_assets.learning.metrics.bootstrap import Estimate, evaluate, shown
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

# It says almost all by itself, and the others cannot replace it. Real data: in 166,885 pull requests a column that
# leaks does both, the author's earlier merge rate only the first (`python -m benchmarks merge`).
SUSPICIOUS_SHARE = 0.8
SUSPICIOUS_DROP = 1 / 3
_MIN_AUC = 0.65  # among weak features one is always the strongest
_BINS = 20
_RESAMPLES = 200
_SMOOTHING = 10.0


@dataclass(frozen=True)
class Dominance:
    """The feature that says most by itself.

    Attributes:
        feature: its name.
        auc: ROC AUC on the test window of a model that knows nothing else.
        lower: lower end of its 95 % interval; None where there is none.
        share: of the model's own AUC over 0.5; None where the model is not surely above it.
        drop: what the model loses of that when the feature is shuffled; None likewise.
    """

    feature: str
    auc: float
    lower: float | None
    share: float | None
    drop: float | None

    @property
    def suspicious(self) -> bool | None:
        """Whether the feature may know the outcome; None where that cannot be judged."""
        if self.lower is None:
            return None
        if self.share is None or self.drop is None:
            # There is nothing of the model to explain. What says so much by itself and is not heeded is for a look.
            return self.lower >= _MIN_AUC
        # The lower end, because among few rows some feature is lucky.
        surely = self.share * (self.lower - 0.5) / max(self.auc - 0.5, 1e-9)
        return self.lower >= _MIN_AUC and surely >= SUSPICIOUS_SHARE and self.drop >= SUSPICIOUS_DROP

    def __str__(self) -> str:
        alone = f"{self.feature} alone reaches ROC AUC {self.auc:.3f} (at least {shown(self.lower, '.3f')})"
        if self.share is None or self.drop is None:
            return f"{alone}; the model itself is not surely above chance, so there is nothing of it to explain"
        verdict = "does it know the outcome?" if self.suspicious else "which is not suspicious"
        return (
            f"{alone}, {self.share:.0%} of what the model has over chance; "
            f"without it the model loses {self.drop:.0%} of that: {verdict}"
        )


def dominant_feature(
    features: Sequence[str],
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    model_auc: Estimate,
    importance: Mapping[str, float],
) -> Dominance:
    """Score the test window by each feature alone: the share of positive labels in its bin of the train window.

    Bins are twenty quantiles of the known values and one for unknown ones, so that a relation need not be monotone,
    and a value that is missing, or zero, because of the outcome is seen.

    Args:
        features: names of the columns of `x_train` and `x_test`.
        x_train, x_test: (rows, features) with NaN.
        y_train, y_test: labels 0 or 1, (rows,); both occur among `y_test`.
        model_auc: ROC AUC of the model on the test window.
        importance: loss of ROC AUC when a feature is shuffled, by feature.
    """
    from sklearn.metrics import roc_auc_score

    by_feature: list[tuple[float, str, np.ndarray]] = []
    for index, name in enumerate(features):
        scores = _scores(x_train[:, index], y_train, x_test[:, index])
        by_feature.append((float(roc_auc_score(y_test, scores)), name, scores))
    auc, feature, scores = max(by_feature, key=lambda entry: entry[0])
    alone = WeightedMetrics(y_test, scores)
    needs = {"roc_auc": "labels of both kinds"}
    lower = evaluate(alone, alone, np.ones(len(y_test)), needs, resamples=_RESAMPLES, seed=0)["roc_auc"].lower
    if model_auc.value is None or not model_auc.is_surely_above(0.5):
        return Dominance(feature, auc, lower, None, None)
    over_chance = model_auc.value - 0.5
    return Dominance(feature, auc, lower, (auc - 0.5) / over_chance, importance.get(feature, 0.0) / over_chance)


def _scores(values: np.ndarray, labels: np.ndarray, new_values: np.ndarray) -> np.ndarray:
    """Smoothed share of ones in the bin of each of `new_values`, (len(new_values),)."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.array([])

    def bins(x: np.ndarray) -> np.ndarray:
        # Values below, at and above each edge are apart, so that one frequent value has a bin of its own.
        below, above = np.searchsorted(edges, x, side="left"), np.searchsorted(edges, x, side="right")
        return np.where(np.isnan(x), 2 * len(edges) + 1, below + above)

    bin_of = bins(values)
    size = 2 * len(edges) + 2
    count = np.bincount(bin_of, minlength=size)
    ones = np.bincount(bin_of, weights=labels, minlength=size)
    rates = (ones + _SMOOTHING * labels.mean()) / (count + _SMOOTHING)
    return rates[bins(new_values)]
