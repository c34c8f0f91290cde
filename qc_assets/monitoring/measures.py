"""How champions do after their training: by week, against what happened; and whether their inputs have moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning.dataset import Dataset, matrix
from qc_assets.learning.metrics.bootstrap import evaluate, paired_differences
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.task.interface import Known

# Fewer rows than this say nothing about a week, or about a model.
MIN_ROWS = 30
# Usual in credit scoring (Siddiqi, 2006): below 0.1 stable, above 0.25 shifted.
PSI_LIMIT = 0.25
RECENT = timedelta(days=28)
# Mean prediction and outcome may differ by so much before it matters.
TOLERANCE = {"probability": 0.05, "duration": 0.15, "category": 0.07}
_QUALITY = {"probability": "roc_auc", "duration": "concordance", "category": "accuracy"}
_ERROR = {"probability": "brier", "duration": "log_mae", "category": "log_loss"}
_FLOOR = 1e-4
_WEEK = {
    "week": pl.Date, "items": pl.Int64, "decided": pl.Int64, "mean_prediction": pl.Float64, "observed": pl.Float64,
    "quality": pl.String, "quality_value": pl.Float64, "error": pl.String, "error_value": pl.Float64,
    "score_psi": pl.Float64, "uncertain": pl.Float64, "label_delay_hours": pl.Float64,
}  # fmt: skip
_END = np.datetime64("9999-01-01", "us")


@dataclass(frozen=True)
class Live:
    """Predictions beside their outcomes, as far as these are known and had time to mature; n rows.

    Attributes:
        frame: is_test, prediction, lower, upper, answer, and the feature table's columns; by opening.
        known: labels, weight 0 where there is none yet.
        answers: predictions in the shape that the task's metrics take, (n, …).
        delay: hours from the opening to the label, NaN where there is none, (n,).
    """

    frame: pl.DataFrame
    known: Known
    answers: np.ndarray
    delay: np.ndarray

    def where(self, mask: np.ndarray) -> "Live":
        """Only some rows."""
        known = Known(self.known.y[mask], self.known.weights[mask])
        return Live(self.frame.filter(pl.Series(mask)), known, self.answers[mask], self.delay[mask])

    @property
    def decided(self) -> np.ndarray:
        return self.known.weights > 0


def join(spec: ModelSpec, scored: pl.DataFrame, features: pl.DataFrame, horizon_hours: float | None = None) -> Live:
    """Put outcomes beside predictions.

    Args:
        spec: the model.
        scored: key, prediction, lower, upper, answer, and is_test: whether the version was judged on it.
        features: rows of section ``usable`` of the spec's table.
        horizon_hours: of durations.
    """
    about = ["is_test", "prediction", "lower", "upper", "answer"]
    frame = scored.select(*spec.key, *about).join(features, on=spec.key, how="inner").sort(spec.opened_at, *spec.key)
    if spec.task == "duration":
        data = Dataset.from_frame(spec, frame)
        known = task_of(spec).known(data, np.arange(len(frame)), _END, {"horizon_hours": horizon_hours})
        answers = frame.select("lower", "prediction", "upper").to_numpy()
        ended = pl.col("closed_at")
    else:
        matured = (pl.col(spec.opened_at) < pl.col("observed_until") - spec.maturity) & pl.col(
            spec.target
        ).is_not_null()
        weights = frame.select(matured.fill_null(False)).to_series().cast(pl.Float64).to_numpy()
        if spec.task == "category":
            # What can be judged is whether an answer was right; UNCERTAIN is none.
            y = (frame["answer"] == frame[spec.target]).fill_null(False).cast(pl.Float64).to_numpy()
            weights = np.where(frame["answer"] == UNCERTAIN, 0.0, weights)
        else:
            y = frame[spec.target].cast(pl.Float64).fill_null(0.0).to_numpy()
        known, answers = Known(y, weights), frame["prediction"].to_numpy()
        ended = pl.col(spec.known_at)
    if spec.known_at == spec.opened_at and spec.task != "duration":  # a label that belongs to the text has no delay
        return Live(frame, known, answers, np.full(len(frame), np.nan))
    hours = frame.select(((ended - pl.col(spec.opened_at)).dt.total_seconds() / 3600).cast(pl.Float64)).to_series()
    return Live(frame, known, answers, np.where(known.weights > 0, hours.fill_null(np.nan).to_numpy(), np.nan))


def by_week(spec: ModelSpec, live: Live) -> pl.DataFrame:
    """Rows of reports.monitoring, but for the names of the model."""
    week = live.frame.select(pl.col(spec.opened_at).dt.truncate("1w").dt.date()).to_series()
    reference = live.frame.filter("is_test")["prediction"].to_numpy()
    rows = []
    for monday in week.unique().sort():
        part = live.where((week == monday).to_numpy())
        decided = part.where(part.decided)
        measured = _measure(spec, decided)
        quality, error = _QUALITY[spec.task], _ERROR[spec.task]
        predicted, observed = means(spec, decided)
        delays = decided.delay[~np.isnan(decided.delay)]
        enough = min(len(reference), len(part.frame)) >= MIN_ROWS
        rows.append(
            {
                "week": monday,
                "items": len(part.frame),
                "decided": len(decided.frame),
                "mean_prediction": predicted,
                "observed": observed,
                "quality": quality,
                "quality_value": measured.get(quality),
                "error": error,
                "error_value": measured.get(error),
                "score_psi": stability(reference, part.frame["prediction"].to_numpy()) if enough else None,
                "uncertain": _uncertain(spec, part.frame),
                "label_delay_hours": float(np.median(delays)) if len(delays) else None,
            }
        )
    return pl.DataFrame(rows, schema=_WEEK)


def means(spec: ModelSpec, decided: Live) -> tuple[float | None, float | None]:
    """Mean prediction and mean outcome of decided rows; of durations, of log hours, told in hours."""
    if not len(decided.frame):
        return None, None
    weights, predicted = decided.known.weights, decided.frame["prediction"].to_numpy()
    if spec.task == "duration":
        typical = np.average(np.log1p(predicted), weights=weights), np.average(decided.known.y, weights=weights)
        return float(np.expm1(typical[0])), float(np.expm1(typical[1]))
    return float(np.average(predicted, weights=weights)), float(np.average(decided.known.y, weights=weights))


def _measure(spec: ModelSpec, decided: Live) -> dict[str, float]:
    if len(decided.frame) < MIN_ROWS:
        return {}
    if spec.task == "category":
        p = np.clip(decided.answers, _FLOOR, 1 - _FLOOR)
        right = decided.known.y
        losses = -(right * np.log(p) + (1 - right) * np.log(1 - p))
        return {"accuracy": float(right.mean()), "log_loss": float(losses.mean())}
    if task_of(spec).why_not(decided.known):
        return {}
    found = task_of(spec).statistics(decided.known.y, decided.answers)(decided.known.weights[None, :])
    return {name: float(value[0]) for name, value in found.items()}


def _uncertain(spec: ModelSpec, frame: pl.DataFrame) -> float | None:
    if spec.task != "category":
        return None
    return float((frame["answer"] == UNCERTAIN).sum() / max(1, len(frame)))


def verdict(spec: ModelSpec, live: Live, *, resamples: int, seed: int) -> tuple[bool, str]:
    """Do the predictions of the newest decided items hold: on average right, and still in the right order?

    Both must be refuted, not merely unproven: a difference counts only if its 95 % interval excludes what is allowed.

    Returns:
        Whether they hold, and a sentence with the numbers.
    """
    decided = live.where(live.decided)
    if len(decided.frame):
        newest = decided.frame[spec.opened_at].max()
        decided = decided.where((decided.frame[spec.opened_at] > newest - RECENT).to_numpy())  # type: ignore[operator]
    n = len(decided.frame)
    if n < MIN_ROWS:
        return True, f"{n} decided items in the last {RECENT.days} days of outcomes; {MIN_ROWS} are needed to judge"
    weights = decided.known.weights
    predicted, observed = decided.frame["prediction"].to_numpy(), decided.known.y
    if spec.task == "duration":
        predicted = np.log1p(predicted)

    def gap(w: np.ndarray) -> dict[str, np.ndarray]:
        return {"gap": w @ (predicted - observed) / w.sum(axis=1)}

    found = evaluate(gap, gap, weights, resamples=resamples, seed=seed)["gap"]
    limit = TOLERANCE[spec.task]
    calibrated = not (found.lower > limit or found.upper < -limit)
    sentence = (
        f"predictions minus outcomes {found.value:+.3f} ({found.lower:+.3f} to {found.upper:+.3f}) over {n} items, "
        f"up to ±{limit} allowed"
    )
    ranked = True
    if spec.task == "probability" and task_of(spec).why_not(decided.known) is None:
        statistics = task_of(spec).statistics(observed, decided.answers)
        auc = evaluate(statistics, statistics, weights, resamples=resamples, seed=seed)["roc_auc"]
        ranked = auc.upper >= spec.min_auc
        sentence += f"; ROC AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f}), threshold {spec.min_auc:.2f}"
    return calibrated and ranked, sentence


def stability(reference: np.ndarray, current: np.ndarray, bins: int = 10) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over tenths of the reference and one bin for NaN.

    Args:
        reference, current: values, (n,) and (m,), NaN for unknown.
    """
    p, q = _shares(reference, current, bins)
    return float(np.sum((p - q) * np.log(p / q)))


def _shares(reference: np.ndarray, current: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([])

    def shares(values: np.ndarray) -> np.ndarray:
        index = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        counts = np.bincount(index, minlength=len(edges) + 2)
        return np.maximum(counts / max(1, len(values)), _FLOOR)

    return shares(reference), shares(current)


def drift(features: Sequence[str], reference: np.ndarray, current: np.ndarray) -> pl.DataFrame:
    """Stability index of each feature, and what chance does to it (Yurdakul and Naranjo, 2020).

    Args:
        features: names, (k,).
        reference, current: (n, k) and (m, k) with NaN.

    Returns:
        Columns of reports.drift but for the names of the model, strongest drift first.
    """
    from scipy.stats import chi2

    n, m = len(reference), len(current)
    rows: list[dict[str, Any]] = []
    for index, feature in enumerate(features):
        p, _ = _shares(reference[:, index], current[:, index], 10)
        freedom = max(1, int((p > _FLOOR).sum()) - 1)
        by_chance = float(chi2.ppf(0.999, freedom) * (1 / n + 1 / m))
        psi = stability(reference[:, index], current[:, index])
        rows.append(
            {
                "feature": feature,
                "reference_rows": n,
                "current_rows": m,
                "psi": psi,
                "by_chance": by_chance,
                "is_drifting": psi > max(PSI_LIMIT, by_chance),
            }
        )
    return pl.DataFrame(rows).sort("psi", descending=True)


def inputs(spec: ModelSpec, frame: pl.DataFrame) -> tuple[list[str], np.ndarray]:
    """What drift is looked for in: the features; of texts, their length."""
    if spec.task == "category":
        return ["body_length"], frame.select(pl.col("body").str.len_chars().cast(pl.Float64)).to_numpy()
    return list(spec.features), matrix(frame, spec.features, spec.categories)


def compare(spec: ModelSpec, champion: Live, challenger: Live, *, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Rows of reports.champion_challenger: both on the items that both predicted."""
    ours, theirs = _shared(spec, champion, challenger), _shared(spec, challenger, champion)
    ours, theirs = ours.where(ours.decided), theirs.where(theirs.decided)
    n = len(ours.frame)
    names = [_QUALITY[spec.task], _ERROR[spec.task]]
    if n < MIN_ROWS or spec.task == "category" or task_of(spec).why_not(ours.known):
        return [{"metric": name, "items": n} for name in names]
    task, weights = task_of(spec), ours.known.weights
    mine, other = task.statistics(ours.known.y, ours.answers), task.statistics(ours.known.y, theirs.answers)
    differences = paired_differences(other, mine, weights, resamples=resamples, seed=seed)
    values = mine(weights[None, :]), other(weights[None, :])
    return [
        {
            "metric": name,
            "items": n,
            "champion_value": float(values[0][name][0]),
            "challenger_value": float(values[1][name][0]),
            "difference": differences[name][0],
            "lower": differences[name][1],
            "upper": differences[name][2],
        }
        for name in names
    ]


def _shared(spec: ModelSpec, one: Live, other: Live) -> Live:
    """Rows of `one` whose items `other` has, too; both are sorted alike."""
    rows = one.frame.with_row_index("row").join(other.frame, on=spec.key, how="semi")["row"].to_numpy()
    mask = np.zeros(len(one.frame), dtype=bool)
    mask[rows] = True
    return one.where(mask)
