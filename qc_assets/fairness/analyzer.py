"""BiasAnalyzer: compares groups, and says which gaps are large, supported and significant."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from qc_assets.errors import FairnessError
from qc_assets.fairness.comparison_kinds import COMPARISON_KINDS, NUMBER, PROBABILITY, RANKING
from qc_assets.fairness.expected import Rows, sum_by_group
from qc_assets.fairness.findings import FLAGGED, NO_GAP, SHOWN, TOO_SMALL, BiasAnalysis
from qc_assets.fairness.group_metrics import Judged, Measured, Shown
from qc_assets.learning.weights import inverse_frequency

Kind = Literal["probability", "number", "ranking"]
# Power of 80 % at a significance of 5 %: (z(0.975) + z(0.8)) standard deviations.
_DETECTABLE = 2.80

_SCHEMA: dict[str, Any] = {
    "group": pl.String,
    "metric": pl.String,
    "rows": pl.Int64,
    "value": pl.Float64,
    "expected": pl.Float64,
    "gap": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "relative_gap": pl.Float64,
    "detectable": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    "status": pl.String,
}


@dataclass(frozen=True)
class BiasAnalyzer:
    """Compares groups.

    Args:
        threshold: relative gap above which a gap is large.
        min_support: groups with fewer rows are "too small to say".
        significance: highest q value (false discovery rate over groups and judged metrics) of a flag.
        resamples: of the bootstrap behind the intervals.
        seed: of the bootstrap.
        top: for rankings, how far down NDCG looks.
    """

    threshold: float = 0.1
    _: KW_ONLY
    min_support: int = 30
    significance: float = 0.01
    resamples: int = 500
    seed: int = 0
    top: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise FairnessError(f"threshold is {self.threshold}: a relative gap lies between 0 and 1, such as 0.1")
        if not 0 < self.significance < 1:
            raise FairnessError(f"significance is {self.significance}: it lies between 0 and 1, such as 0.01")
        if self.min_support < 2:
            raise FairnessError(f"min_support is {self.min_support}: nothing can be said of fewer than 2 rows")

    def compare_slices(
        self,
        slices: Mapping[str, Any],
        y_true: str,
        y_pred: str,
        *,
        kind: Kind | None = None,
        weights: str | None = None,
        query: str | None = None,
        units: str | None = None,
        attribute: str = "group",
        judge: bool = True,
        note: str = "",
    ) -> BiasAnalysis:
        """Compare the groups of a `DataSlicer`.

        Args:
            slices: polars or pandas frames by group.
            y_true: column of the truth.
            y_pred: column of the prediction.
            kind: ``probability`` (truth 0 or 1), ``number`` or ``ranking``; default: ranking if there is a `query`,
                probability if all truths are 0 or 1 and all predictions within [0, 1], else number.
            weights: column of the rows' weights, for numbers.
            query: for rankings, column of what is ranked together; truth is then the relevance.
            units: column of whose the rows are, two numbers each (see `qc_assets.learning.metrics.units`): rows of one
                author say less than as many of many. Not for rankings.
            attribute: name of what the groups are groups of, for the report.
            judge: False shows every metric and flags none, as for groups that are made by the outcome itself.
            note: kept for the report.

        Raises:
            FairnessError: if there are no rows, a column is missing, or truths or predictions are not numbers.
        """
        rows, keys, empty = self._rows(slices, y_true, y_pred, weights, query, units)
        if kind:
            comparison = COMPARISON_KINDS[kind]
        else:
            comparison = RANKING if query else PROBABILITY if _is_probability(rows) else NUMBER
        values: dict[str, Any] = {}
        if comparison is RANKING:
            rows, by_query = _per_query(rows, keys, self.top)
            values = {"values": by_query}
        elif comparison is PROBABILITY and not _is_probability(rows):
            raise FairnessError(f"{y_true} must be 0 or 1 and {y_pred} within [0, 1] for probabilities")
        measured = comparison.measure(rows, **values, resamples=self.resamples, seed=self.seed)
        if len(rows.names) == 1:
            note = f"{note} There is one group only: nothing to compare it with.".strip()
        findings = self._findings(rows, measured, judge=judge and len(rows.names) > 1)
        limits = self.threshold, self.significance, self.min_support
        return BiasAnalysis(attribute, comparison, findings, _counts(rows, empty), *limits, note)

    def _rows(
        self,
        slices: Mapping[str, Any],
        y_true: str,
        y_pred: str,
        weights: str | None,
        query: str | None,
        units: str | None,
    ) -> tuple[Rows, np.ndarray | None, list[str]]:
        columns = [name for name in (y_true, y_pred, weights, query, units) if name]
        names, parts, empty = [], [], []
        for name, frame in slices.items():
            lacking = [column for column in columns if column not in frame.columns]
            if lacking:
                raise FairnessError(
                    f"group {name} lacks the column {' and '.join(lacking)}; "
                    f"it has {', '.join(map(str, frame.columns))}"
                )
            if len(frame) == 0:
                empty.append(str(name))
                continue
            names.append(str(name))
            parts.append({column: np.asarray(frame[column].to_numpy()) for column in columns})
        if not parts:
            raise FairnessError("there are no rows in any group: nothing can be compared")
        sizes = np.array([len(part[y_true]) for part in parts])
        numbers = {
            column: np.concatenate(
                [_numbers(part[column], column, name) for part, name in zip(parts, names, strict=True)]
            )
            for column in columns
            if column not in (query, units)
        }
        weighting = numbers[weights] if weights else np.ones(sizes.sum())
        whose = np.concatenate([part[units] for part in parts]) if units else None
        rows = Rows(tuple(names), sizes, numbers[y_true], numbers[y_pred], weighting, whose)
        if (weighting < 0).any() or (sum_by_group(rows, np.ones_like(rows.y)) <= 0).any():
            raise FairnessError(f"{weights} must not be negative, nor 0 throughout a group")
        keys = np.concatenate([part[query] for part in parts]) if query else None
        return rows, keys, empty

    def _findings(self, rows: Rows, measured: Measured, *, judge: bool) -> pl.DataFrame:
        judged, shown = measured
        frames = [self._judged(rows, name, metric, judge=judge) for name, metric in judged.items()]
        frames += [_shown(rows, name, metric) for name, metric in shown.items()]
        findings = pl.concat(frames)
        tested = findings["p_value"].is_not_null().to_numpy()
        if tested.any():
            from scipy.stats import false_discovery_control

            q = np.full(len(findings), np.nan)
            q[tested] = false_discovery_control(findings["p_value"].to_numpy()[tested], method="bh")
            findings = findings.with_columns(q_value=pl.Series(q).fill_nan(None))
        large = pl.col("relative_gap").abs() > self.threshold
        certain = (pl.col("q_value") <= self.significance) & ((pl.col("lower") > 0) | (pl.col("upper") < 0))
        flagged = (pl.col("status") == NO_GAP) & large & certain
        return findings.with_columns(status=pl.when(flagged).then(pl.lit(FLAGGED)).otherwise("status"))

    def _judged(self, rows: Rows, metric: str, judged: Judged, *, judge: bool) -> pl.DataFrame:
        from scipy.stats import t

        gap = judged.value - judged.expected
        with np.errstate(invalid="ignore", divide="ignore"):
            relative, detectable = gap / judged.scale, _DETECTABLE * judged.deviation / judged.scale
            p = 2 * t.sf(np.abs(gap) / judged.deviation, judged.freedom)
        supported = (rows.sizes >= self.min_support) & np.isfinite(gap) & (judged.deviation > 0)
        frame = pl.DataFrame(
            {
                "group": rows.names,
                "rows": rows.sizes,
                "value": judged.value,
                "expected": judged.expected,
                "gap": gap,
                "lower": judged.lower,
                "upper": judged.upper,
                "relative_gap": relative,
                "detectable": detectable,
                "p_value": np.where(supported & judge, p, np.nan),
                "status": np.where(supported, NO_GAP if judge else SHOWN, TOO_SMALL),
            }
        )
        return _completed(frame, metric)


def _shown(rows: Rows, metric: str, shown: Shown) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "group": rows.names,
            "rows": rows.sizes,
            "value": shown.value,
            "expected": shown.overall,
            "gap": shown.value - shown.overall,
            "lower": shown.lower,
            "upper": shown.upper,
            "relative_gap": (shown.value - shown.overall) / (shown.overall or np.nan),
            "status": [SHOWN] * len(rows.names),
        }
    )
    return _completed(frame, metric)


def _completed(frame: pl.DataFrame, metric: str) -> pl.DataFrame:
    """All columns of `_SCHEMA` in their order; what is not a number is NULL, as SQL says it."""
    frame = frame.with_columns(metric=pl.lit(metric))
    absent = [pl.lit(None, dtype=kind).alias(name) for name, kind in _SCHEMA.items() if name not in frame.columns]
    frame = frame.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())
    number = pl.col(pl.Float64)
    return frame.with_columns(pl.when(number.is_finite()).then(number))


def _counts(rows: Rows, empty: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "group": [*rows.names, *empty],
            "rows": [*rows.sizes.tolist(), *(0 for _ in empty)],
            "share": [*(rows.sizes / rows.sizes.sum()).tolist(), *(0.0 for _ in empty)],
            "weight": [*inverse_frequency(rows.sizes).tolist(), *(None for _ in empty)],
        },
        schema={"group": pl.String, "rows": pl.Int64, "share": pl.Float64, "weight": pl.Float64},
    )


def _is_probability(rows: Rows) -> bool:
    return bool(np.isin(rows.y, (0.0, 1.0)).all() and (rows.p >= 0).all() and (rows.p <= 1).all())


def _numbers(values: np.ndarray, column: str, group: str) -> np.ndarray:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise FairnessError(f"column {column} of group {group} holds {values.dtype}: it must hold numbers") from error
    unknown = int((~np.isfinite(numbers)).sum())
    if unknown:
        raise FairnessError(
            f"{unknown} of {len(numbers)} rows of group {group} have no finite {column}: "
            "leave them out, or find out why they have none"
        )
    return numbers


def _per_query(rows: Rows, keys: np.ndarray | None, top: int) -> tuple[Rows, dict[str, np.ndarray]]:
    """One row a query that has a relevant item and one that is less so, with its NDCG and reciprocal rank.

    NDCG after Järvelin and Kekäläinen (2002); the reciprocal rank is that of the best item of positive relevance.
    """
    from sklearn.metrics import ndcg_score

    if keys is None:
        raise FairnessError("a ranking needs `query`, the column of what is ranked together")
    values: dict[str, list[float]] = {f"ndcg_{top}": [], "mrr": []}
    sizes = np.zeros(len(rows.sizes), dtype=np.int64)
    for group, (start, size) in enumerate(zip(rows.starts, rows.sizes, strict=True)):
        rows_of_group = slice(start, start + size)
        _, query = np.unique(keys[rows_of_group], return_inverse=True)
        order = np.argsort(query, kind="stable")
        edges = np.flatnonzero(np.diff(query[order])) + 1
        for part in np.split(order, edges):
            y, p = rows.y[rows_of_group][part], rows.p[rows_of_group][part]
            if (y > 0).any() and y.min() < y.max():
                values[f"ndcg_{top}"].append(float(ndcg_score(y[None, :], p[None, :], k=top)))
                ranked = y[np.argsort(-p, kind="stable")]
                values["mrr"].append(1 / (1 + float(np.argmax(ranked > 0))))
                sizes[group] += 1
    some = sizes > 0
    if not some.any():
        raise FairnessError("no query has both a relevant item and one that is less so: nothing is ranked")
    names = tuple(name for name, kept in zip(rows.names, some, strict=True) if kept)
    nothing = np.zeros(int(sizes.sum()))
    return Rows(names, sizes[some], nothing, nothing, np.ones(len(nothing))), {
        name: np.array(numbers) for name, numbers in values.items()
    }
