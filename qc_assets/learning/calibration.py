"""From scores to probabilities, in a form that is a few numbers in a JSON file, and that never turns an order round."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

# Isotonic regression needs many rows, else it fits noise (Niculescu-Mizil and Caruana, 2005).
MIN_ISOTONIC_ROWS = 1_000
# The rows of a repository beyond so many count less: with none of them all would be the largest one's.
_ROWS_THAT_COUNT = 400
_CLIP = 1e-6
# So much of an answer is the score itself: where a step or a saturated curve ties scores, their order stays.
_OF_THE_SCORE = 1e-3


@dataclass(frozen=True)
class ProbabilityCalibrator:
    """A strictly increasing map from scores to probabilities.

    Attributes:
        method: ``isotonic`` (Zadrozny and Elkan, 2002), ``sigmoid`` (Platt, 1999, on the log-odds of the score) or
            ``none``.
        x, y: isotonic: the centres of its blocks, between which it is linear (Oron and Flournoy, 2017), because
            steps would tie many scores and so throw away ranking. Otherwise: x is empty and y is (slope, intercept).
        of_the_score: share of an answer that is the score itself; 0 in versions of before there was one.
    """

    method: Literal["isotonic", "sigmoid", "none"]
    x: tuple[float, ...]
    y: tuple[float, ...]
    of_the_score: float = _OF_THE_SCORE

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """None at all, unless another map surely predicts later rows of the calibration window better.

        Estimators are fitted by their likelihood, so their scores are probabilities, and a map from one window carries
        the base rate of that window into the next. The others are a sigmoid and, from 1,000 rows on, isotonic
        regression. They are fitted to the first half and judged on the third quarter, then fitted to three quarters
        and judged on the last.

        Args:
            scores: uncalibrated probabilities, (rows,), in order of opening.
            labels: 0 or 1, (rows,).
            weights: of the rows, (rows,); default: they count alike.
        """
        weights = np.ones(len(scores)) if weights is None else weights
        fits: dict[str, Callable[..., Self]] = {"none": cls._none, "sigmoid": cls._sigmoid}
        if len(scores) >= MIN_ISOTONIC_ROWS:
            fits["isotonic"] = cls._isotonic
        middle, third, end = (int(share * len(scores)) for share in (0.5, 0.75, 1.0))
        losses: dict[str, list[np.ndarray]] = {name: [] for name in fits}
        for earlier, later in ((slice(middle), slice(middle, third)), (slice(third), slice(third, end))):
            if len(np.unique(labels[earlier])) == 2:
                for name, fit in fits.items():
                    fitted = fit(scores[earlier], labels[earlier], weights[earlier])
                    losses[name].append(weights[later] * _losses(fitted(scores[later]), labels[later]))
        chosen, least = "none", 0.0
        for name in [name for name in fits if losses[name] and name != "none"]:
            gained = np.concatenate(losses["none"]) - np.concatenate(losses[name])
            # Few rows would choose by chance: a gain counts where it is larger than twice its standard error.
            gain = gained.sum() - 2 * gained.std() * np.sqrt(len(gained))
            if gain > least:
                chosen, least = name, gain
        return fits[chosen](scores, labels, weights)

    @classmethod
    def none(cls) -> Self:
        """Scores as they are."""
        return cls("none", (), (1.0, 0.0))

    @classmethod
    def _none(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        return cls.none()

    @classmethod
    def _sigmoid(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        return cls("sigmoid", (), _slope_and_intercept(scores, labels, weights))

    @classmethod
    def _isotonic(cls, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        from sklearn.isotonic import IsotonicRegression

        # Laplace's rule at both ends: no finite number of rows shows that something never happens.
        floor = 1 / (len(scores) / 15 + 2)
        isotonic = IsotonicRegression(y_min=floor, y_max=1 - floor).fit(scores, labels, sample_weight=weights)
        levels, block = np.unique(isotonic.predict(scores), return_inverse=True)
        centres = np.bincount(block, weights=scores * weights) / np.bincount(block, weights=weights)
        return cls("isotonic", tuple(centres.tolist()), tuple(levels.tolist()))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, (rows,)."""
        if self.method == "isotonic":
            mapped = np.interp(scores, self.x, self.y)
        else:
            slope, intercept = self.y
            mapped = logistic(slope * log_odds(scores) + intercept)
        return mapped if not self.of_the_score else mapped + self.of_the_score * (scores - mapped)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "x": list(self.x), "y": list(self.y), "of_the_score": self.of_the_score}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ProbabilityCalibrator":
        own_share = document.get("of_the_score", 0.0)
        return cls(document["method"], tuple(document["x"]), tuple(document["y"]), own_share)


def weights_by_group(groups: np.ndarray) -> np.ndarray:
    """Weights under which no group decides alone, (rows,): a group of n rows counts for 400 n / (400 + n), mean 1.

    Small groups keep their weight and large ones have a ceiling, while a group of a few rows is not blown up, as
    equal weights for all groups would do.
    """
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = (_ROWS_THAT_COUNT / (_ROWS_THAT_COUNT + sizes))[inverse]
    return weights / weights.mean()


def at_level_of(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scores whose mean is that of the labels, moved by the same log-odds each.

    A map that is fitted to them says how sure scores should be, and nothing of their level. An estimator that is fitted
    anew to the rows of the map has learnt their level by itself, and the map must not move it a second time.

    Args:
        labels: 0 or 1, of both kinds, (rows,).
        scores: probabilities, (rows,).
        weights: of the rows, (rows,).
    """
    from scipy.optimize import brentq

    z, level = log_odds(scores), np.average(labels, weights=weights)
    step = brentq(lambda step: np.average(logistic(z + step), weights=weights) - level, -30, 30)
    return logistic(z + step)


def neighbours_out_of_order(scores: np.ndarray, answers: np.ndarray, *, ties_count: bool = True) -> int:
    """How many neighbours in order of their score the answers put the other way round, or tie.

    Args:
        scores, answers: (rows,).
        ties_count: whether an answer that is the same for two scores is out of order, too.
    """
    order = np.lexsort((answers, scores))
    risen, given = np.diff(scores[order]), np.diff(answers[order])
    # Scores that differ in the last digits only may well be answered alike.
    apart = risen > 1e-9
    return int(np.count_nonzero(apart & (given <= 0 if ties_count else given < -1e-9)))


def _slope_and_intercept(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Maximum of the weighted likelihood, with a slope that is positive.

    The logarithm of the slope has a standard normal prior: a few rows of other base rates cannot turn it round, and
    many rows decide it.
    """
    from scipy.optimize import minimize

    z = log_odds(scores)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        intercept, log_slope = parameters
        slope = np.exp(log_slope)
        margin = slope * z + intercept
        excess = weights * (logistic(margin) - labels)
        value = weights @ (np.logaddexp(0, margin) - labels * margin) + log_slope**2 / 2
        return float(value), np.array([excess.sum(), slope * (excess @ z) + log_slope])

    minimum = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-30, 30), (-5, 3)])
    intercept, log_slope = minimum.x
    return float(np.exp(log_slope)), float(intercept)


def _losses(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = np.clip(p, _CLIP, 1 - _CLIP)
    return -(labels * np.log(p) + (1 - labels) * np.log(1 - p))


def log_odds(p: np.ndarray) -> np.ndarray:
    """Of probabilities, of which none is quite 0 or 1."""
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))


def logistic(log_odds: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds."""
    return 1 / (1 + np.exp(-log_odds))
