"""Features that an answer may only rise with, or only fall with: a pass more on an author's record never costs them.

Trees keep that while they grow; a line keeps it by the signs of its weights; heads keep it as the one that says which
way is taken does not read such features. What another project published may bend, so it is measured on the test window.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qc_assets.learning.spec import ModelSpec

# Less than a hundredth moves no payout that anybody would mind; and a row in a hundred is nobody's rule.
_NOTABLE, _FEW = 0.01, 0.01
# A step up is to the next of so many quantiles, so that it is one that can be seen.
_STEPS = 21


@dataclass(frozen=True)
class Monotony:
    """How far answers keep to the signs of their spec.

    Attributes:
        share: of the rows, those whose answer moves the wrong way by a hundredth or more when a single feature takes a
            step; 0 to 1.
        most: the largest wrong move.
        feature: whose; empty if there is none.
    """

    share: float
    most: float
    feature: str

    @property
    def holds(self) -> bool:
        return self.share <= _FEW

    def __str__(self) -> str:
        if not self.feature:
            return "no answer moves the wrong way with a step of one of these features"
        most = f"the most is {self.most:.3f}, with {self.feature}"
        return f"{self.share:.1%} of the answers move the wrong way by .01 or more; {most}"


def measure_monotony(spec: ModelSpec, x: np.ndarray, answer: Callable[[np.ndarray], np.ndarray]) -> Monotony | None:
    """Let each monotone feature take a step by itself: to the next of twenty quantiles of these rows.

    Args:
        spec: the model.
        x: features, (rows, features) with NaN; what is unknown takes no step.
        answer: from features to answers, (rows,).

    Returns:
        None where the spec has no such feature.
    """
    if not spec.monotone:
        return None
    before = answer(x)
    wrong = np.zeros(len(x))
    most, feature = 0.0, ""
    for index, direction in enumerate(spec.signs):
        values = x[:, index]
        if not direction or np.isnan(values).all():
            continue
        steps = np.unique(np.nanquantile(values, np.linspace(0, 1, _STEPS), method="nearest"))
        moved = x.copy()
        places = np.searchsorted(steps, values, "right")
        moved[:, index] = np.where(places < len(steps), steps[np.minimum(places, len(steps) - 1)], values)
        falls = np.nan_to_num(direction * (before - answer(moved)))
        wrong = np.maximum(wrong, falls)
        if falls.max() > max(most, 1e-9):
            most, feature = float(falls.max()), spec.features[index]
    return Monotony(float(np.mean(wrong >= _NOTABLE)), most, feature)


def turn_signs(pipeline: Any, x: np.ndarray, y: np.ndarray, weights: np.ndarray, signs: tuple[int, ...]) -> None:
    """Give a fitted logistic regression the best weights whose signs are right, by L-BFGS-B (Byrd and others, 1995).

    Args:
        pipeline: scikit-learn's, whose last step is a ``LogisticRegression`` with an L2 penalty; its steps before keep
            the order of each column. Weights and intercept are replaced where a sign was wrong.
        x: features, (rows, features) with NaN.
        y: labels 0 or 1, (rows,).
        weights: of the rows, (rows,).
        signs: 1, -1 or 0 of each feature; what imputation adds behind them is free.
    """
    model = pipeline[-1]
    bound = np.zeros(model.coef_.shape[1])
    bound[: len(signs)] = signs
    if (model.coef_[0] * bound >= 0).all():
        return
    from scipy.optimize import minimize
    from scipy.special import expit

    z = pipeline[:-1].transform(x)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        log_odds = z @ at[:-1] + at[-1]
        value = model.C * (weights @ (np.logaddexp(0, log_odds) - y * log_odds)) + 0.5 * at[:-1] @ at[:-1]
        slope = model.C * weights * (expit(log_odds) - y)
        return value, np.append(z.T @ slope + at[:-1], slope.sum())

    start = np.append(np.where(model.coef_[0] * bound < 0, 0.0, model.coef_[0]), model.intercept_)
    limits = [(0 if sign > 0 else None, 0 if sign < 0 else None) for sign in bound]
    solved = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*limits, (None, None)])
    model.coef_, model.intercept_ = solved.x[None, :-1], solved.x[-1:]
