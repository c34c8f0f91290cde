"""A logistic regression on ranks as flat arrays: scikit-learn's answers, without its fixed cost for a few rows."""

from typing import Any

import numpy as np

# Up to so many comparisons, to look at every knot takes less time than to search each column by itself.
_FEW_COMPARISONS = 500_000


class FlatLine:
    """The steps of a pipeline of imputer, quantiles, scaler and logistic regression as one function of each column.

    scikit-learn takes about 6 ms for a single row, nearly all of it for checks of its input; this takes a hundredth. A
    column adds to the log-odds what is linear in its rank, and its rank is linear between the quantiles: so it is known
    at the quantiles (`at`), and from each on up to the next (`after`, `slopes`).

    Args:
        pipeline: fitted, see `qc_assets.learning.estimators.fit_classifier`.
    """

    def __init__(self, pipeline: Any) -> None:
        imputer, quantiles, scaler, model = (step for _, step in pipeline.steps)
        self.usual = np.nan_to_num(imputer.statistics_)
        self.flagged = imputer.indicator_.features_
        self.intercept = float(model.intercept_[0])
        weights = model.coef_[0] / scaler.scale_
        tables = [_knots(column, quantiles.references_) for column in quantiles.quantiles_.T]
        self._searched = [knots for knots, _, _, _ in tables]
        width = max(map(len, self._searched))

        def padded(part: int, filling: float) -> np.ndarray:
            columns = [np.pad(each[part], (0, width - len(each[part])), constant_values=filling) for each in tables]
            return np.array(columns)

        self._knots = padded(0, np.inf)
        self._anchors = np.where(np.isfinite(self._knots), self._knots, 0.0).ravel()
        self._at = ((padded(1, 0.0) - scaler.mean_[:, None]) * weights[:, None]).ravel()
        self._after = ((padded(2, 0.0) - scaler.mean_[:, None]) * weights[:, None]).ravel()
        self._slopes = (padded(3, 0.0) * weights[:, None]).ravel()
        self._offsets = np.arange(len(tables)) * width

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether a model is such a pipeline."""
        names = [type(step).__name__ for _, step in getattr(model, "steps", [])]
        return names == ["SimpleImputer", "QuantileTransformer", "StandardScaler", "LogisticRegression"]

    def score(self, x: np.ndarray) -> np.ndarray:
        """Probabilities, (rows,), for features (rows, inputs) with NaN."""
        unknown = np.isnan(x)
        filled = np.hstack([np.where(unknown, self.usual, x), unknown[:, self.flagged]])
        place = self._last_knots(filled) + self._offsets
        beyond = filled - self._anchors[place]
        log_odds = np.where(beyond == 0, self._at[place], self._after[place] + self._slopes[place] * beyond)
        return 1 / (1 + np.exp(-(log_odds.sum(axis=1) + self.intercept)))

    def _last_knots(self, filled: np.ndarray) -> np.ndarray:
        """The last knot of each column that is no larger than the value, (rows, columns)."""
        if len(filled) * self._knots.size <= _FEW_COMPARISONS:
            return (self._knots <= filled[:, :, None]).sum(axis=2) - 1
        columns = enumerate(self._searched)
        return np.stack([np.searchsorted(knots, filled[:, n], "right") - 1 for n, knots in columns], axis=1)


def _knots(quantiles: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where a column's rank bends, (knots,) each: the values, the rank at each, the rank right after it, its slope.

    The first knot stands for all that is smaller. Where quantiles repeat, the rank is the middle of theirs, but at the
    ends, as in scikit-learn.
    """
    values, first = np.unique(quantiles, return_index=True)
    last = np.r_[first[1:], len(quantiles)] - 1
    at = 0.5 * (ranks[first] + ranks[last])
    at[-1] = 1.0
    at[0] = 0.0  # of a column that is the same throughout, too
    slopes = np.r_[(ranks[first[1:]] - ranks[last[:-1]]) / np.diff(values), 0.0]
    return np.r_[-np.inf, values], np.r_[0.0, at], np.r_[0.0, ranks[last]], np.r_[0.0, slopes]
