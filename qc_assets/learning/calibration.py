"""From scores to probabilities, in a form that is a few numbers in a JSON file."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

# Isotonic regression needs many rows, else it fits noise (Niculescu-Mizil and Caruana, 2005).
MIN_ISOTONIC_ROWS = 1_000
_CLIP = 1e-6


@dataclass(frozen=True)
class ProbabilityCalibrator:
    """A monotone map from scores to probabilities.

    Attributes:
        method: ``isotonic`` (Zadrozny and Elkan, 2002) or ``sigmoid`` (Platt, 1999, on the log-odds of the score).
        x, y: isotonic: the centres of its blocks, between which it is linear (Oron and Flournoy, 2017), because
            steps would tie many scores and so throw away ranking. Sigmoid: x is empty and y is (slope, intercept).
    """

    method: Literal["isotonic", "sigmoid"]
    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray) -> "ProbabilityCalibrator":
        """Fit on the calibration window: isotonic, or sigmoid where there are fewer than 1,000 rows.

        Args:
            scores: uncalibrated probabilities, (rows,).
            labels: 0 or 1, (rows,).
        """
        if len(scores) >= MIN_ISOTONIC_ROWS:
            from sklearn.isotonic import IsotonicRegression

            # Laplace's rule at both ends: no finite number of rows shows that something never happens.
            floor = 1 / (len(scores) / 15 + 2)
            isotonic = IsotonicRegression(y_min=floor, y_max=1 - floor).fit(scores, labels)
            levels, block = np.unique(isotonic.predict(scores), return_inverse=True)
            centres = np.bincount(block, weights=scores) / np.bincount(block)
            return cls("isotonic", tuple(centres.tolist()), tuple(levels.tolist()))
        from sklearn.linear_model import LogisticRegression

        logistic = LogisticRegression(C=1e3).fit(_log_odds(scores)[:, None], labels)
        return cls("sigmoid", (), (float(logistic.coef_[0, 0]), float(logistic.intercept_[0])))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, (rows,)."""
        if self.method == "isotonic":
            return np.interp(scores, self.x, self.y)
        slope, intercept = self.y
        return 1 / (1 + np.exp(-(slope * _log_odds(scores) + intercept)))

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ProbabilityCalibrator":
        return cls(document["method"], tuple(document["x"]), tuple(document["y"]))


def _log_odds(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))
