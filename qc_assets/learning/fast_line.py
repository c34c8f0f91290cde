"""A logistic regression on ranks as flat arrays: scikit-learn's answers, without its fixed cost for a few rows."""

from typing import Any

import numpy as np


class FlatLine:
    """The steps of a pipeline of imputer, quantiles, scaler and logistic regression, one after the other.

    scikit-learn takes about 6 ms for a single row, nearly all of it for checks of its input; this takes a tenth.

    Args:
        pipeline: fitted, see `qc_assets.learning.estimators.fit_classifier`.
    """

    def __init__(self, pipeline: Any) -> None:
        imputer, quantiles, scaler, model = (step for _, step in pipeline.steps)
        self.usual = np.nan_to_num(imputer.statistics_)
        self.flagged = imputer.indicator_.features_
        self.quantiles = np.ascontiguousarray(quantiles.quantiles_.T)
        self.ranks = quantiles.references_
        self.mean, self.scale = scaler.mean_, scaler.scale_
        self.weights, self.intercept = model.coef_[0], float(model.intercept_[0])

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether a model is such a pipeline."""
        names = [type(step).__name__ for _, step in getattr(model, "steps", [])]
        return names == ["SimpleImputer", "QuantileTransformer", "StandardScaler", "LogisticRegression"]

    def score(self, x: np.ndarray) -> np.ndarray:
        """Probabilities, (rows,), for features (rows, inputs) with NaN."""
        unknown = np.isnan(x)
        filled = np.hstack([np.where(unknown, self.usual, x), unknown[:, self.flagged]])
        for column, quantiles in enumerate(self.quantiles):
            values = filled[:, column]
            # The mean of both directions, as there: where quantiles repeat, each gives another end of their ranks.
            up = np.interp(values, quantiles, self.ranks)
            down = np.interp(-values, -quantiles[::-1], -self.ranks[::-1])
            ranked = 0.5 * (up - down)
            ranked[values == quantiles[-1]] = 1.0
            ranked[values == quantiles[0]] = 0.0
            filled[:, column] = ranked
        return 1 / (1 + np.exp(-(((filled - self.mean) / self.scale) @ self.weights + self.intercept)))
