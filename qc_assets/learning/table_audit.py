"""How much of a score is look-ahead, missingness, or telling repositories apart: for anybody's table of features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.errors import TrainingError
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

_RESAMPLES = 200
_TEST_SHARE = 0.15


@dataclass(frozen=True)
class AuditLine:
    """The area under the ROC curve of a model on the newest rows, with its 95 % interval; a half is chance.

    Attributes:
        what: what the model knew.
        within: the same among rows of the same repository only; None if there is no repository to tell.
    """

    what: str
    auc: float
    lower: float
    upper: float
    within: float | None = None


def audit_table(
    table: pl.DataFrame,
    *,
    label: str,
    time: str,
    features: Sequence[str],
    cut_back: Mapping[str, str],
    repository: str | None = None,
) -> list[AuditLine]:
    """Train the same plain LightGBM on the older rows with more and less of what they say; judge it on the newest 15 %.

    Args:
        table: one row an item.
        label: column with the outcome, two values, NULL while it is not known.
        time: column with when the item began, of any type that can be ordered; texts begin with YYYY-MM-DD.
        features: columns that the model under audit knows: numbers, booleans or texts with few values.
        cut_back: by feature, the column with its value as of the beginning. A feature that is not in it is left out
            by itself, to see what it is worth.
        repository: column with whose items they are.

    Returns:
        All features first, then with those cut back, without each, the pattern of NULLs, and the repository's name.

    Raises:
        TrainingError: if a column is missing or cannot be ordered, or there is nothing to learn.
    """
    needed = [label, time, *features, *cut_back.values(), *([repository] if repository else [])]
    missing = [name for name in needed if name not in table.columns]
    if missing or not features:
        raise TrainingError(f"no column {missing[0]}" if missing else "no features: name at least one column")
    if idle := sorted(set(cut_back) - set(features)):
        raise TrainingError(f"{idle[0]} is cut back and no feature: name it among the features, too")
    rows = table.filter(pl.col(label).is_not_null() & pl.col(time).is_not_null()).sort(time, maintain_order=True)
    if rows.schema[time] == pl.String and not rows[time].str.contains(r"^\d{4}-\d{2}-\d{2}").all():
        raise TrainingError(
            f"{time} is text such as {rows[time][0][:40]!r}, whose order is not time's: write YYYY-MM-DD"
        )
    outcomes = rows[label].cast(pl.Float64).to_numpy() if rows.schema[label] != pl.String else rows[label].to_numpy()
    values = np.unique(outcomes)
    if len(values) != 2:
        raise TrainingError(f"{label} has {len(values)} values; an audit needs two")
    y = (outcomes == values[1]).astype(float)
    first = int(len(y) * (1 - _TEST_SHARE))
    if min(y[:first].sum(), (1 - y[:first]).sum(), y[first:].sum(), (1 - y[first:]).sum()) < 10:
        raise TrainingError("too few rows of both outcomes among the older or the newest rows")
    numbers = {name: _numbers(rows[name]) for name in dict.fromkeys(needed) if name not in (label, time)}
    where = rows[repository].to_physical().rank("dense").to_numpy() if repository else None

    def line(what: str, columns: Sequence[np.ndarray]) -> AuditLine:
        x = np.column_stack(columns)
        p = plain_answers(x[:first], y[:first], x[first:])
        weights = np.random.default_rng(0).poisson(1, (_RESAMPLES, len(p))).astype(float)
        point = WeightedMetrics(y[first:], p)
        lower, upper = np.nanquantile(point(weights)["roc_auc"], [0.025, 0.975])
        within = None if where is None else _within(y[first:], p, where[first:])
        return AuditLine(what, float(point(np.ones((1, len(p))))["roc_auc"][0]), float(lower), float(upper), within)

    told = [numbers[name] for name in features]
    lines = [line("all features", told)]
    if cut_back:
        lines.append(line("those that can be, cut back", [numbers[cut_back.get(name, name)] for name in features]))
        without = [numbers[name] for name in features if name not in cut_back]
        lines += [line("without those that can be cut back", without)] if without else []
    for name in features:
        rest = [numbers[other] for other in features if other != name]
        if name in cut_back:
            known = 1 - float(np.isnan(numbers[cut_back[name]]).mean())
            of_whom = "" if known == 1 else f" (known of {known:.0%})"
            lines.append(line(f"{name} as of the beginning{of_whom}", [*rest, numbers[cut_back[name]]]))
        if rest:
            lines.append(line(f"without {name}", rest))
        lines.append(line(f"{name} alone", [numbers[name]]))
    gaps = [np.isnan(column).astype(float) for column in told if np.isnan(column).any()]
    if gaps:
        lines.append(line("nothing but which values are missing", gaps))
    # Whoever cannot look something up often writes 0.
    blanks = [(np.nan_to_num(column) == 0).astype(float) for column in told]
    lines.append(line("nothing but which values are missing or 0", blanks))
    if where is not None:
        rate = [_rate(where, y, first)]
        lines.append(line("nothing but the repository's earlier rate", rate))
    return lines


def _numbers(column: pl.Series) -> np.ndarray:
    """As floats, NULL as NaN; texts by the order of their values."""
    if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
        column = column.to_physical() if column.dtype.is_temporal() else column.cast(pl.String).rank("dense")
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _rate(where: np.ndarray, y: np.ndarray, first: int) -> np.ndarray:
    """Of each row its repository's share of ones among the older rows, drawn to that of all with the weight of four."""
    usual = y[:first].mean()
    n = int(where.max()) + 1
    hits, total = (np.bincount(where[:first], weights, minlength=n) for weights in (y[:first], None))
    return ((hits + 4 * usual) / (total + 4))[where]


def _within(y: np.ndarray, p: np.ndarray, where: np.ndarray) -> float | None:
    """The AUC over all pairs of two rows of one repository."""
    hits = pairs = 0.0
    for place in np.unique(where):
        rows = where == place
        n = y[rows].sum() * (1 - y[rows]).sum()
        if n:
            hits += n * WeightedMetrics(y[rows], p[rows])(np.ones((1, int(rows.sum()))))["roc_auc"][0]
            pairs += n
    return float(hits / pairs) if pairs else None


def plain_answers(x: np.ndarray, y: np.ndarray, newest: np.ndarray) -> np.ndarray:
    """What a LightGBM with its defaults, fitted to `x` (rows, features) and `y` of 0 and 1, says of newer rows."""
    import lightgbm

    parameters = {"objective": "binary", "verbose": -1, "seed": 0, "deterministic": True, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), num_boost_round=100)
    return np.asarray(booster.predict(newest))
