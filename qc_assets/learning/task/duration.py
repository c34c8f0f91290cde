"""Hours until something ends, with items that have not ended yet: a median and an 80 % interval.

Open items are right-censored at the end of the covered time. Dropping them would make everything look quick, so:
durations are counted up to a horizon (an item that is open for longer counts as the horizon, as a median below it
is the same with or without what lies beyond), and an item whose end was seen, or that was watched up to the
horizon, stands for those opened too late to be watched that long: its weight is the inverse of the share of items
watched for at least its duration (inverse probability of censoring weighting, Robins and Rotnitzky, 1992; Graf et
al., 1999). Everybody is watched until the same moment, so that share is counted, not estimated; where items may leave
before (`ModelSpec.left_at`), when the others would have left is not known, and the share is Kaplan and Meier's. Weights
serve all candidates alike; an AFT objective would serve XGBoost only, and claim a distribution.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
import polars as pl

from qc_assets.learning import estimators, plots
from qc_assets.learning.calibration import neighbours_out_of_order
from qc_assets.learning.conformal import COVERAGE, ROWS_OF_A_REPOSITORY, Intervals
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics, shown
from qc_assets.learning.metrics.duration_metrics import DurationMetrics, are_inside, still_watched, weighted_quantile
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task.interface import Task
from qc_assets.learning.task.terms import Calibrator, Estimator, Fitting, Gate, Known, Metric

# At the horizon this share of a window's items must still be watched: no item stands for more than five.
_WATCHED = 0.2
_END = np.datetime64("9999-01-01", "us")
_HOUR = np.timedelta64(3_600_000_000, "us")
_TOLERANCE = 0.03
# Parts are compared by what happened within the time that this share of items was watched for; others are left out.
_WATCHED_BY_NEARLY_ALL = 0.9
_MOST_HOURS = 24 * 366 * 30.0


class Duration(Task):
    """See `Task`. Labels are log1p hours, counted up to the horizon."""

    name = "duration"
    metrics = {  # noqa: RUF012  # declared as ClassVar in Task
        "mae": Metric("MAE, hours", False),
        "rmse": Metric("RMSE, hours", False),
        "r2": Metric("R², hours", True, "rows that took different times"),
        "median_ae": Metric("median absolute error, hours", False),
        "log_mae": Metric("MAE, log hours", False),
        "log_rmse": Metric("RMSE, log hours", False),
        "log_r2": Metric("R², log hours", True, "rows that took different times"),
        "log_median_ae": Metric("median absolute error, log hours", False),
        "concordance": Metric("concordance index", True, "rows that took different times"),
        "coverage": Metric("share within the 80 % interval", True, aim=COVERAGE),
        "interval_width": Metric("width of the interval, log hours", False),
    }
    selection = loss = "log_mae"
    quality, error, tolerance = "concordance", "log_mae", 0.15
    gates = {  # noqa: RUF012
        "beats_constant": "The error in log hours on the test window is lower than for always predicting the median.",
        "interval_covers": "The 80 % interval holds 80 ± 3 % of the test window, as far as the rows can tell.",
    }
    rivals = (Candidate("linear", {"alpha": 1.0}), Candidate("lightgbm", {}))
    trivial_name = "median alone"
    method = "on log hours, weighted by inverse probability of censoring"
    answers_with = "A median with an 80 % interval"
    directions = ("makes it longer", "makes it shorter")
    answer_fields = ("hours", "lower", "upper", "horizon_hours")
    unended_is_a_label = True
    groups_as = "number"

    def labels(self, spec: ModelSpec, target: pl.Series) -> np.ndarray:
        return target.cast(pl.Float64).fill_null(np.inf).to_numpy()

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        """The horizon: the longest time, in whole days, that a fifth of each window's items were watched for."""
        windows = [(split.calibration, split.as_of["calibration"]), (split.test, split.as_of["test"])]
        half = split.train[len(split.train) // 2 :]
        windows.append((half, split.as_of["train"]))
        longest = [_longest_watch(data, rows, as_of) for rows, as_of in windows]
        days = min([spec.max_horizon.days, *(int(hours // 24) for hours in longest)])
        return {"horizon_hours": 24.0 * max(1, days)}

    def known(self, data: Dataset, rows: np.ndarray, as_of: np.datetime64, context: Mapping[str, Any]) -> Known:
        watched = _watched(data, rows, as_of)
        hours = np.minimum(data.y[rows], context["horizon_hours"])
        seen = hours <= watched
        if data.left_hours is None:
            share = 1 - np.searchsorted(np.sort(watched), hours, side="left") / max(1, len(rows))
        else:
            share = still_watched(np.minimum(hours, watched), ~seen, hours)
        weights = np.where(seen, 1 / np.maximum(share, 1 / max(1, len(rows))), 0.0)
        lasted, watchable = np.minimum(hours, watched), _watchable(data, rows, as_of)
        return Known(np.log1p(np.where(seen, hours, 0.0)), weights, lasted=lasted, watchable=watchable)

    def why_not(self, known: Known) -> str | None:
        seen = known.y[known.weights > 0]
        if len(seen) < 2:
            return "too few endings were seen"
        return None if np.ptp(seen) > 0 else f"all {len(seen)} rows took the same time"

    def fit(self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, **how: Unpack[Fitting]) -> Estimator:
        seen = known.weights > 0
        return estimators.fit_regressor(
            kind, parameters, x[seen], known.y[seen], known.weights[seen], seed=how["seed"], threads=how["threads"]
        )

    def load(self, folder: Path) -> Estimator:
        return estimators.load_estimator(folder)

    def calibrate(
        self, scores: np.ndarray, known: Known, context: Mapping[str, Any], *, carries: bool = True
    ) -> Intervals:
        return Intervals.fit(scores, known.y, known.weights, context["horizon_hours"], known.groups)

    def at_new_level(self, scores: np.ndarray, refitted: Callable[[], np.ndarray], known: Known) -> np.ndarray:
        # Losses that heed outliers little need not bring an estimator to the level of its labels: only what it has
        # learnt of it is taken off.
        return scores + np.average(refitted() - scores, weights=known.weights)

    def answers(self, calibrator: Calibrator, scores: np.ndarray, repositories: np.ndarray | None) -> np.ndarray:
        return cast(Intervals, calibrator)(scores, repositories)

    def calibrator_from_json(self, document: dict[str, Any]) -> Intervals:
        return Intervals.from_json(document)

    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        hours = np.expm1(np.clip(scores, 0, np.log1p(context["horizon_hours"])))
        return np.stack([hours, hours, hours], axis=1)

    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        return Intervals.fit(np.zeros(len(known.y)), known.y, known.weights, context["horizon_hours"])(np.zeros(1))

    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        return DurationMetrics(np.expm1(y), answers)

    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        error, coverage = test["log_mae"], test["coverage"]
        # The ends of the interval were read off rows, too: few of them miss by so much, 19 times in 20.
        allowed = _TOLERANCE + 1.96 * float(np.sqrt(COVERAGE * (1 - COVERAGE) / calibration_rows))
        is_off = coverage.is_surely_below(COVERAGE - allowed) or coverage.is_surely_above(COVERAGE + allowed)
        return [
            Gate(
                "beats_constant",
                error.is_below_baseline,
                f"MAE {error:.3f} log hours against {shown(error.baseline, '.3f')} for the median alone",
            ),
            Gate(
                "interval_covers",
                None if coverage.lower is None else not is_off,
                f"{coverage:.1%} within the interval, "
                f"80 % ± {allowed:.1%} expected after a calibration on {calibration_rows} rows",
            ),
        ]

    def out_of_order(self, scores: np.ndarray, answers: np.ndarray, context: Mapping[str, Any]) -> int:
        # At the horizon, and at no time at all, what differs in its score is answered alike.
        return neighbours_out_of_order(scores, answers[:, 1], ties_count=False)

    def reliable(self, known: Known, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        seen, upper = known.weights > 0, answers[:, 2]
        inside = (seen & are_inside(np.expm1(known.y), answers)) * 1.0
        weights = known.weights
        if known.lasted is not None and known.watchable is not None:
            # Of what was opened too late to be watched until its upper end only the quick are seen: in the newest month
            # every interval would seem to hold too much. The others are known once that has passed, ended or not.
            weights = _weights_of_judged(seen, known.lasted, known.watchable, upper)
        error = float(np.sqrt(COVERAGE * (1 - COVERAGE) / ROWS_OF_A_REPOSITORY))
        return np.full(len(inside), COVERAGE), inside, weights, error

    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        try:
            hours = float(label)
        except ValueError:
            hours = float("nan")
        if 0 <= hours <= _MOST_HOURS:
            return None
        return f"label {label!r} is no number of hours from 0 to {_MOST_HOURS:.0f}"

    def labels_given(self, spec: ModelSpec, labels: pl.Series) -> pl.Series:
        return labels.cast(pl.Float64)

    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        median = np.expm1(weighted_quantile(known.y, known.weights, 0.5))
        return (
            f"median {median:.0f} h; {(known.weights == 0).mean():.1%} open when last seen (censored); "
            f"counted up to {context['horizon_hours'] / 24:.0f} days"
        )

    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        lower, median, upper = answers.T
        return pl.DataFrame({"prediction": median, "lower": lower, "upper": upper}).with_columns(
            answer=pl.lit(None, dtype=pl.String)
        )

    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        hours = np.where(known.weights > 0, np.expm1(known.y), np.nan)
        return pl.DataFrame({"label": pl.Series(hours).fill_nan(None)}).with_columns(
            outcome=pl.lit(None, dtype=pl.String)
        )

    def answer(
        self, row: Mapping[str, Any], raw: np.ndarray, classes: Sequence[str], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        interval = {"hours": row["prediction"], "lower": row["lower"], "upper": row["upper"]}
        return interval | {"horizon_hours": context["horizon_hours"]}

    def difference(self, before: float, after: float) -> str | None:
        return f"{after - before:+.0f} hours" if abs(after - before) >= max(1.0, _TOLERANCE * before) else None

    def figures(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> dict[str, bytes]:
        seen = known.weights > 0
        hours = np.expm1(known.y[seen])
        return {"residuals": plots.residuals(hours, answers[seen]), "coverage": plots.coverage(hours, answers[seen])}

    def live(self, spec: ModelSpec, frame: pl.DataFrame, context: Mapping[str, Any]) -> tuple[Known, np.ndarray]:
        data = Dataset.from_frame(spec, frame, self.labels)
        answers = frame.select("lower", "prediction", "upper").to_numpy()
        return self.known(data, np.arange(len(frame)), _END, context), answers

    def hours_to_label(self, spec: ModelSpec, frame: pl.DataFrame) -> np.ndarray:
        return frame[spec.target].cast(pl.Float64).fill_null(np.nan).to_numpy()

    def counted_alike(self, known: Known) -> tuple[Known, float]:
        """Durations up to the time that nearly all items could be watched for, and that time in hours.

        Of what was opened lately only quick ends are seen, and those who stand for the others are opened earlier: up
        to the horizon, a new group or a new month would seem to be quicker than it is.
        """
        if known.lasted is None or known.watchable is None or not len(known.y):
            return known, np.inf
        end = float(np.quantile(known.watchable, 1 - _WATCHED_BY_NEARLY_ALL))
        weights = _weights_of_judged(known.weights > 0, known.lasted, known.watchable, end)
        return replace(known, y=np.log1p(np.minimum(known.lasted, end)), weights=weights), end

    def excess(self, predicted: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        # Predictions are medians, and durations that are counted up to some time have a mean below their median.
        return np.array([weighted_quantile(predicted - y, weighting, 0.5) for weighting in weights])

    def on_label_scale(self, prediction: np.ndarray) -> np.ndarray:
        return np.log1p(prediction)

    def from_label_scale(self, values: np.ndarray) -> np.ndarray:
        return np.expm1(values)

    def correctable(self, answers: np.ndarray, context: Mapping[str, Any]) -> tuple[np.ndarray, float] | None:
        return np.log1p(answers[:, 1]), float(np.log1p(context["horizon_hours"]))

    def corrected(self, answers: np.ndarray, moved: np.ndarray) -> np.ndarray:
        logs = np.log1p(answers)
        return np.expm1(np.maximum(0, logs + (moved - logs[:, 1])[:, None]))  # the interval goes along with its median


def _weights_of_judged(
    seen: np.ndarray, lasted: np.ndarray, watchable: np.ndarray, end: np.ndarray | float
) -> np.ndarray:
    """Inverse probabilities of still being there, of items that could be watched until `end`; 0 for others, (rows,).

    Args:
        seen: whether an item's end was seen, (rows,).
        lasted, watchable: see `Known`, (rows,).
        end: hours, of each item or of all.
    """
    judged, is_lost, lasted = watchable >= end, ~seen & (lasted < end), np.minimum(lasted, end)
    weights = np.zeros(len(lasted))
    share = still_watched(lasted[judged], is_lost[judged], lasted[judged])
    weights[judged] = np.where(is_lost[judged], 0.0, 1 / np.maximum(share, 1 / max(1, len(share))))
    return weights


def _watched(data: Dataset, rows: np.ndarray, as_of: np.datetime64) -> np.ndarray:
    """Hours for which each row could be watched until `as_of`, (rows,)."""
    hours = _watchable(data, rows, as_of)
    return hours if data.left_hours is None else np.minimum(hours, np.maximum(data.left_hours[rows], 0.0))


def _watchable(data: Dataset, rows: np.ndarray, as_of: np.datetime64) -> np.ndarray:
    """The same, had none of them left before, (rows,)."""
    until = np.minimum(data.observed_until[rows], as_of)
    return np.maximum((until - data.opened_at[rows]) / _HOUR, 0.0)


def _longest_watch(data: Dataset, rows: np.ndarray, as_of: np.datetime64) -> float:
    """The most hours for which a fifth of some rows' items were watched."""
    watched = _watched(data, rows, as_of)
    if data.left_hours is None:
        return float(np.quantile(watched, 1 - _WATCHED))
    lasted = np.minimum(data.y[rows], watched)
    share = still_watched(lasted, data.y[rows] > watched, lasted)
    return float(lasted[share >= _WATCHED].max(initial=0.0))
