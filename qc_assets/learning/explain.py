"""Why a model says what it says of one item: Shapley values, in words that a person can check."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import polars as pl

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.estimators import LightGBMEstimator, XGBoostEstimator
from qc_assets.learning.spec import Change
from qc_assets.learning.task import task_named
from qc_assets.learning.task.terms import Estimator

_ORDERS = 40


def tree_contributions(estimator: Estimator, x: np.ndarray) -> np.ndarray | None:
    """Exact Shapley values of boosted trees (TreeSHAP, Lundberg et al., 2020), or None for other estimators.

    Args:
        estimator: of a bundle.
        x: (rows, features).

    Returns:
        Contributions to the raw score: log-odds, or log hours; (rows, features).
    """
    if isinstance(estimator, LightGBMEstimator):
        return np.asarray(estimator.booster.predict(x, pred_contrib=True))[:, :-1]
    if isinstance(estimator, XGBoostEstimator):
        import xgboost

        return np.asarray(estimator.booster.predict(xgboost.DMatrix(x), pred_contribs=True), np.float64)[:, :-1]
    return None


def sampled_contributions(
    estimator: Estimator, row: np.ndarray, background: np.ndarray, *, seed: int = 0, orders: int = _ORDERS
) -> np.ndarray:
    """Shapley values of any estimator by sampling orders of features (Štrumbelj and Kononenko, 2014).

    Args:
        estimator: of a bundle.
        row: (features,).
        background: rows that stand for "not known", (rows, features).
        seed: of the sampling.
        orders: sampled orders; the error falls with its square root.

    Returns:
        Contributions to the score, (features,); they add up to the row's score less that of the sampled background.
    """
    rng = np.random.default_rng(seed)
    k = len(row)
    steps = np.empty((orders, k + 1, k))
    sequence = np.array([rng.permutation(k) for _ in range(orders)])
    for index, order in enumerate(sequence):
        current = background[rng.integers(len(background))].copy()
        steps[index, 0] = current
        for position, feature in enumerate(order, 1):
            current[feature] = row[feature]
            steps[index, position] = current
    scores = estimator.score(steps.reshape(-1, k)).reshape(orders, k + 1)
    contributions = np.zeros(k)
    for order, gains in zip(sequence, np.diff(scores, axis=1), strict=True):
        contributions[order] += gains
    return contributions / orders


def explain(
    bundle: Bundle,
    item: pl.DataFrame,
    background: pl.DataFrame,
    *,
    top: int = 8,
    changes: Mapping[str, Change] = MappingProxyType({}),
) -> pl.DataFrame:
    """What moved the score of one item the most.

    The components of a text mean nothing one by one, so they are added up under the name of the text.

    Args:
        bundle: a model of numbers.
        item: one row with the feature columns.
        background: rows to compare with, for estimators other than boosted trees.
        top: rows to return.
        changes: of the model's spec, for their words.

    Returns:
        feature, value (as text, empty if unknown), contribution, words; the largest first. Contributions are log-odds
        of boosted probabilities, log hours of durations, and shares of the score of other estimators.
    """
    x = bundle.matrix(item)
    contributions = tree_contributions(bundle.estimator, x)
    if contributions is None:
        contributions = sampled_contributions(bundle.estimator, x[0], bundle.matrix(background))[None, :]
    rows = pl.DataFrame({"input": bundle.inputs, "contribution": contributions[0]})
    # opened_title_text_3 belongs to the text of opened_title.
    feature = pl.col("input").str.replace(r"_text_\d+$", " (what it says)")
    rows = rows.group_by(feature.alias("feature"), maintain_order=True).agg(pl.col("contribution").sum())
    known = {name: item[name][0] for name in bundle.features}
    up, down = task_named(bundle.task).directions
    words = [
        f"{_named(feature, known.get(feature, ''), changes)} {down if contribution < 0 else up}"
        for feature, contribution in rows.iter_rows()
    ]
    return (
        rows.with_columns(value=pl.Series([_shown(known.get(name)) for name in rows["feature"]], dtype=pl.String))
        .select("feature", "value", "contribution", pl.Series("words", words, dtype=pl.String))
        .sort(pl.col("contribution").abs(), descending=True)
        .head(top)
    )


def _named(feature: str, value: object, changes: Mapping[str, Change]) -> str:
    if feature in changes and isinstance(value, int | float):
        return changes[feature].of(value)
    named, shown = feature.replace("_", " "), _shown(value)
    return f"{named}, unknown," if value is None else f"{named} of {shown}" if shown else named


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
