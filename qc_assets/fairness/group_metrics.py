"""What is measured of each group, and how sure it is.

Every judged metric has an expected value: what the group would have if it were treated as everybody is.

- Probabilities: the predictions are recalibrated on all other groups (slope and intercept on the logit scale; Cox,
  1958), and a group's labels are expected to follow them. Groups whose base rates differ have different Brier scores
  and error rates even if every prediction is right (Corbett-Davies and Goel, 2018), so comparing these with the
  overall value would accuse a sound model; comparing with what its own predictions promise does not.
- Durations and other numbers: the metric over all rows, whose errors a group would share if it did not matter.
- Rankings: the mean over all queries.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qc_assets.fairness.expected import Rows, promised_by_others, recalibrated, scatter_among_authors, sum_by_group
from qc_assets.learning.metrics.bootstrap import draws
from qc_assets.learning.metrics.units import effective_units, independent

THRESHOLDS = (0.5, 0.7, 0.9)  # where the confidence buckets of p0 begin
_NULL_DRAWS = 400


@dataclass(frozen=True)
class Judged:
    """A metric of every group beside what is expected of it.

    Attributes:
        value, expected: (groups,); NaN where the metric does not exist.
        scale: what a gap is divided by to be relative, (groups,).
        deviation: standard deviation of the value if the group were treated as everybody is, (groups,).
        lower, upper: 95 % bootstrap interval of the gap, value - expected, (groups,).
        freedom: degrees of freedom of Student's t for that deviation, (groups,); infinite where it is promised.
    """

    value: np.ndarray
    expected: np.ndarray
    scale: np.ndarray
    deviation: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    freedom: np.ndarray


@dataclass(frozen=True)
class Shown:
    """A metric that is not judged by itself, with its 95 % bootstrap interval, (groups,) each; NaN where unknown."""

    value: np.ndarray
    overall: float
    lower: np.ndarray
    upper: np.ndarray


Measured = tuple[dict[str, Judged], dict[str, Shown]]


def measures_of_probabilities(rows: Rows, *, resamples: int, seed: int) -> Measured:
    """Judged: ``observed_rate`` (share of ones, against what was predicted), ``brier`` and ``roc_auc``. Shown: mean
    prediction, ECE, and selection, false-positive and false-negative rate at `THRESHOLDS`."""
    y, p = rows.y, rows.p
    q, doubt = promised_by_others(rows)
    expected_loss = q - 2 * p * q + p**2
    columns = {"one": np.ones_like(y), "y": y, "p": p, "residual": y - q, "excess": (y - p) ** 2 - expected_loss}
    for at in THRESHOLDS:
        chosen = (p >= at).astype(np.float64)
        columns |= {f"chosen_{at}": chosen, f"wrong_{at}": chosen * (1 - y), f"missed_{at}": (1 - chosen) * y}
    drawn = _group_sums(rows, columns, resamples, seed)
    n = sum_by_group(rows, columns["one"])
    variance = q * (1 - q)

    def against(value: np.ndarray, expected: np.ndarray, slope: np.ndarray, drawn_gap: np.ndarray) -> Judged:
        """Means of a group whose rows change by `slope` for each label, against what the others promise."""
        promised = sum_by_group(rows, slope**2 * variance) / n**2
        among_authors, freedom = scatter_among_authors(rows, value - expected)
        own_variance = np.maximum(promised, among_authors)
        # The others have authors, too.
        variance_of_others = doubt(slope) * max(1.0, among_authors @ n**2 / max(promised @ n**2, 1e-12))
        wider = np.sqrt(1 + _ratio(variance_of_others, own_variance))
        observed, expected_mean = sum_by_group(rows, value) / n, sum_by_group(rows, expected) / n
        gap, (lower, upper) = observed - expected_mean, _interval(drawn_gap)
        return Judged(
            observed,
            expected_mean,
            expected_mean,
            np.sqrt(own_variance + variance_of_others),
            gap - (gap - lower) * wider,
            gap + (upper - gap) * wider,
            np.where(among_authors > promised, freedom, np.inf),
        )

    judged = {
        "observed_rate": against(y, q, np.ones_like(p), _ratio(drawn["residual"], drawn["one"])),
        "brier": against((y - p) ** 2, expected_loss, 1 - 2 * p, _ratio(drawn["excess"], drawn["one"])),
        "roc_auc": _roc_auc(rows, recalibrated(rows), resamples, seed),
    }
    intervals = {"mean_prediction": _interval(_ratio(drawn["p"], drawn["one"]))}
    for at in THRESHOLDS:
        intervals |= {
            f"selection_rate_{at}": _interval(_ratio(drawn[f"chosen_{at}"], drawn["one"])),
            f"false_positive_rate_{at}": _interval(_ratio(drawn[f"wrong_{at}"], drawn["one"] - drawn["y"])),
            f"false_negative_rate_{at}": _interval(_ratio(drawn[f"missed_{at}"], drawn["y"])),
        }
    return judged, _shown(rows, _shown_of_probabilities, SHOWN_OF_PROBABILITIES, intervals)


def measures_of_numbers(rows: Rows, *, resamples: int, seed: int) -> Measured:
    """Judged: ``mae``, and ``mean_error`` (prediction - truth, relative to the overall MAE). Shown: RMSE and R²."""
    error = rows.p - rows.y
    drawn = _group_sums(rows, {"one": np.ones_like(error), "mae": np.abs(error), "mean_error": error}, resamples, seed)
    total = rows.weights.sum()
    mae = float(rows.weights @ np.abs(error) / total)
    judged = {
        name: _against_all(rows, values, np.full(len(rows.sizes), mae), drawn[name], drawn["one"])
        for name, values in (("mae", np.abs(error)), ("mean_error", error))
    }
    return judged, _shown(rows, _shown_of_numbers, SHOWN_OF_NUMBERS, {})


def _shown(
    rows: Rows,
    metrics: Callable[..., np.ndarray],
    names: tuple[str, ...],
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, Shown]:
    groups = [metrics(rows.y[part], rows.p[part], rows.weights[part]) for part in rows.parts]
    values, nothing = np.stack(groups), np.full(len(rows.sizes), np.nan)
    overall = metrics(rows.y, rows.p, rows.weights)
    return {
        name: Shown(values[:, index], float(overall[index]), *intervals.get(name, (nothing, nothing)))
        for index, name in enumerate(names)
    }


def measures_of_queries(rows: Rows, values: Mapping[str, np.ndarray], *, resamples: int, seed: int) -> Measured:
    """Means over queries of values that each has, such as NDCG; a row of `rows` is a query."""
    drawn = _group_sums(rows, {"one": np.ones(len(rows.y)), **values}, resamples, seed)
    return {
        name: _against_all(rows, each, np.full(len(rows.sizes), each.mean()), drawn[name], drawn["one"])
        for name, each in values.items()
    }, {}


def _against_all(
    rows: Rows, values: np.ndarray, scale: np.ndarray, drawn: np.ndarray, drawn_weight: np.ndarray
) -> Judged:
    """A weighted mean by group against that over all rows; its deviation is that of as many rows drawn from all."""
    w, total = rows.weights, rows.weights.sum()
    mean = float(w @ values / total)
    variance = float(w @ (values - mean) ** 2 / total)
    weight = sum_by_group(rows, np.ones_like(values))
    value = sum_by_group(rows, values) / weight
    squares = np.add.reduceat(w**2, rows.starts) / weight**2
    among_authors, freedom = scatter_among_authors(rows, values)
    alike = variance * squares
    deviation = np.sqrt(np.maximum(alike, among_authors) * np.clip(1 - weight / total, 0, 1))
    overall = drawn.sum(axis=1) / drawn_weight.sum(axis=1)
    gaps = _ratio(drawn, drawn_weight) - overall[:, None]
    return Judged(
        value,
        np.full(len(value), mean),
        np.abs(scale),
        deviation,
        *_interval(gaps),
        np.where(among_authors > alike, freedom, np.inf),
    )


def _roc_auc(rows: Rows, q: np.ndarray, resamples: int, seed: int) -> Judged:
    """ROC AUC of each group against that of labels drawn from `q`, a bootstrap under the model's own promise."""
    from scipy.stats import rankdata

    from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

    groups = []
    rng = np.random.default_rng(seed + 1)
    for part, size in zip(rows.parts, rows.sizes, strict=True):
        y, p, chance = rows.y[part], rows.p[part], q[part]
        if not 0 < y.sum() < size:
            groups.append((np.nan,) * 6)
            continue
        ranks = rankdata(p)
        drawn = np.concatenate([_auc(ranks, rng.random((k, size)) < chance) for k in _steps(_NULL_DRAWS, size)])
        metrics = WeightedMetrics(y, p)
        codes = None if rows.units is None else independent(rows.units[part], np.ones(size))
        booted = np.concatenate([metrics(w)["roc_auc"] for w in draws(size, resamples, seed, codes)])
        expected = float(np.nanmean(drawn))
        lower, upper = np.nanpercentile(booted - expected, [2.5, 97.5])
        deviation, among_authors = float(np.nanstd(drawn)), float(np.nanstd(booted)) * (codes is not None)
        freedom = effective_units(np.ones(size), codes) - 1 if among_authors > deviation else np.inf
        value = float(_auc(ranks, y[None, :] > 0)[0])
        groups.append((value, expected, max(deviation, among_authors), lower, upper, freedom))
    value, expected, deviation, lower, upper, freedom = np.array(groups).T
    return Judged(value, expected, expected, deviation, lower, upper, freedom)


def _auc(ranks: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """ROC AUC of labels (draws, rows) from the ranks of the scores, ties shared (Mann and Whitney, 1947)."""
    n_ones = ones.sum(axis=1)
    n_zeros = ones.shape[1] - n_ones
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ones @ ranks - n_ones * (n_ones + 1) / 2) / (n_ones * n_zeros)


def _steps(total: int, size: int) -> Iterator[int]:
    step = max(1, 2_000_000 // size)
    yield from (min(step, total - start) for start in range(0, total, step))


def _group_sums(rows: Rows, columns: Mapping[str, np.ndarray], resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Weighted sums by group under every resample, (resamples, groups) by column."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    codes = None if rows.units is None else independent(rows.units, np.ones(len(rows.y)))
    for drawn in draws(len(rows.y), resamples, seed, codes):
        drawn *= rows.weights
        for name, values in columns.items():
            parts[name].append(np.add.reduceat(drawn * values, rows.starts, axis=1))
    return {name: np.concatenate(sums) for name, sums in parts.items()}


def _ratio(sums: np.ndarray, of: np.ndarray) -> np.ndarray:
    """NaN where a resample has none of a group's rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / of


def _interval(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5 % and 97.5 % points over the resamples; NaN where none of them has the metric."""
    known = np.where(np.isfinite(drawn), drawn, np.nan)
    ends = np.full((2, known.shape[1]), np.nan)
    some = ~np.isnan(known).all(axis=0)
    ends[:, some] = np.nanpercentile(known[:, some], [2.5, 97.5], axis=0)
    return ends[0], ends[1]


SHOWN_OF_PROBABILITIES = (
    "mean_prediction",
    "ece",
    *(f"{rate}_{at}" for at in THRESHOLDS for rate in ("selection_rate", "false_positive_rate", "false_negative_rate")),
)
SHOWN_OF_NUMBERS = ("rmse", "r2")


def _shown_of_probabilities(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Metrics in the order of their names; a rate of no rows at all is NaN."""
    from qc_assets.learning.metrics.probability_metrics import expected_calibration_error

    values = [p.mean(), expected_calibration_error(y, p)]
    for at in THRESHOLDS:
        chosen = p >= at
        values += [chosen.mean(), _share(chosen[y == 0]), _share(~chosen[y == 1])]
    return np.array(values)


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _shown_of_numbers(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """RMSE and R² with weights, in the order of their names."""
    squares = float(np.average((p - y) ** 2, weights=w))
    spread = float(np.average((y - np.average(y, weights=w)) ** 2, weights=w))
    return np.array([np.sqrt(squares), 1 - squares / spread if spread > 0 else np.nan])
