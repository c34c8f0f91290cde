"""How champions do after their training: by week, against what happened; and whether their inputs have moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning.metrics.bootstrap import MIN_ROWS, Estimate, evaluate, paired_differences
from qc_assets.learning.metrics.units import units_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Known

# Usual in credit scoring (Siddiqi, 2006): below 0.1 stable, above 0.25 shifted.
PSI_LIMIT = 0.25
ANSWERS = "answers"  # what drift calls the champion's predictions
_LOST = 0.25  # an input that is unknown for so much larger a share of rows
RECENT = timedelta(days=28)
# Seen in each bin beside what was (Jeffreys): an empty one has no share of nothing, whose logarithm knows no end.
_BESIDE = 0.5
_WEEK = {
    "week": pl.Date, "items": pl.Int64, "decided": pl.Int64, "mean_prediction": pl.Float64, "observed": pl.Float64,
    "quality": pl.String, "quality_value": pl.Float64, "error": pl.String, "error_value": pl.Float64,
    "score_psi": pl.Float64, "uncertain": pl.Float64, "label_delay_hours": pl.Float64,
}  # fmt: skip


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
        return Live(self.frame.filter(pl.Series(mask)), self.known[mask], self.answers[mask], self.delay[mask])

    @property
    def decided(self) -> np.ndarray:
        return self.known.weights > 0


def beside_outcomes(
    spec: ModelSpec, scored: pl.DataFrame, features: pl.DataFrame, context: Mapping[str, Any] | None = None
) -> Live:
    """Put outcomes beside predictions.

    Args:
        spec: the model.
        scored: key, prediction, lower, upper, answer, and is_test: whether the version was judged on it.
        features: usable rows of the model.
        context: of the version, see `Bundle.context`.
    """
    task = task_of(spec)
    columns = ["is_test", "prediction", "lower", "upper", "answer"]
    frame = scored.select(*spec.key, *columns).join(features, on=spec.key, how="inner").sort(spec.opened_at, *spec.key)
    known, answers = task.live(spec, frame, context or {})
    known = replace(known, units=units_of(frame, frame[spec.opened_at].to_numpy()))
    return Live(frame, known, answers, np.where(known.weights > 0, task.hours_to_label(spec, frame), np.nan))


def by_week(spec: ModelSpec, live: Live) -> pl.DataFrame:
    """Rows of reports.monitoring, but for the names of the model."""
    task, (alike, _) = task_of(spec), _counted_alike(spec, live)
    week = live.frame.select(pl.col(spec.opened_at).dt.truncate("1w").dt.date()).to_series()
    reference = live.frame.filter("is_test")["prediction"].to_numpy()
    rows = []
    for monday in week.unique().sort():
        mask = (week == monday).to_numpy()
        part, decided = live.where(mask), alike.where(mask & alike.decided)
        measured = {} if len(decided.frame) < MIN_ROWS else task.live_metrics(decided.known, decided.answers)
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
                "quality": task.quality,
                "quality_value": measured.get(task.quality),
                "error": task.error,
                "error_value": measured.get(task.error),
                "score_psi": stability(reference, part.frame["prediction"].to_numpy()) if enough else None,
                "uncertain": task.uncertain_share(part.frame["answer"]),
                "label_delay_hours": float(np.median(delays)) if len(delays) else None,
            }
        )
    return pl.DataFrame(rows, schema=_WEEK)


def means(spec: ModelSpec, decided: Live) -> tuple[float | None, float | None]:
    """Mean prediction and mean outcome of decided rows; averaged as labels are learnt, told as answers are."""
    if not len(decided.frame):
        return None, None
    task, weights = task_of(spec), decided.known.weights
    predicted = np.average(task.on_label_scale(decided.frame["prediction"].to_numpy()), weights=weights)
    observed = np.average(decided.known.y, weights=weights)
    return float(task.from_label_scale(predicted)), float(task.from_label_scale(observed))


def verdict(spec: ModelSpec, live: Live, *, resamples: int, seed: int) -> tuple[bool, str]:
    """Do the predictions of the newest decided items hold: on average right, and still in the right order?

    Both must be refuted, not merely unproven: a difference counts only if its 95 % interval excludes what is allowed.

    Returns:
        Whether they hold, and a sentence with the numbers.
    """
    alike, most = _counted_alike(spec, live)
    decided = alike.where(alike.decided)
    if len(decided.frame):
        newest = decided.frame[spec.opened_at].max()
        decided = decided.where((decided.frame[spec.opened_at] > newest - RECENT).to_numpy())  # type: ignore[operator]
    n = len(decided.frame)
    if n < MIN_ROWS:
        return True, f"{n} decided items in the last {RECENT.days} days of outcomes; {MIN_ROWS} are needed to judge"
    task, sampling = task_of(spec), {"resamples": resamples, "seed": seed}
    # Whatever was predicted to last for longer than it was watched for, and did, differs by nothing: that may refute
    # predictions, and never shows that they are right.
    reached = decided.where((decided.frame["prediction"] < most).to_numpy())
    k = len(reached.frame)
    parts = [reached, decided] if MIN_ROWS <= k < n else [decided]
    gaps = [_excess(spec, part, **sampling) for part in parts]
    is_calibrated = not any(gap.is_surely_above(task.tolerance) or gap.is_surely_below(-task.tolerance) for gap in gaps)
    sentence = f"{k} of {n} decided items were predicted to end while they were watched; {MIN_ROWS} are needed"
    if k >= MIN_ROWS or not is_calibrated:
        over = f"over {len(parts[0].frame)} items, up to ±{task.tolerance} allowed"
        sentence = f"predictions minus outcomes {gaps[0]:+.3f} {over}"
    is_ranked, numbers = task.order_holds(spec, decided.known, decided.answers, **sampling)
    return is_calibrated and is_ranked, f"{sentence}; {numbers}" if numbers else sentence


def _excess(spec: ModelSpec, decided: Live, *, resamples: int, seed: int) -> Estimate:
    """How far predictions of decided rows lie above their outcomes, see `Task.excess`."""
    task, known = task_of(spec), decided.known
    predicted = task.on_label_scale(decided.frame["prediction"].to_numpy())

    def excess(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"excess": task.excess(predicted, known.y, weights)}

    needs = {"excess": "decided items"}
    return evaluate(excess, excess, known.weights, needs, resamples=resamples, seed=seed, units=known.units)["excess"]


def stability(reference: np.ndarray, current: np.ndarray) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over tenths of the reference and one bin for NaN.

    Args:
        reference, current: values, (n,) and (m,), NaN for unknown.
    """
    p, q = _shares(reference, current)
    return float(np.sum((p - q) * np.log(p / q)))


def _shares(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of both in the bins that either reaches."""
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)[1:-1])) if len(known) else np.array([])

    def counts(values: np.ndarray) -> np.ndarray:
        index = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        return np.bincount(index, minlength=len(edges) + 2)

    both = np.stack([counts(reference), counts(current)])
    both = both[:, both.sum(axis=0) > 0] + _BESIDE
    p, q = both / both.sum(axis=1, keepdims=True)
    return p, q


def drift(features: Sequence[str], reference: np.ndarray, current: np.ndarray) -> pl.DataFrame:
    """Stability index of each feature, and what chance does to it (Yurdakul and Naranjo, 2020).

    Args:
        features: names, (k,).
        reference, current: (n, k) and (m, k) with NaN.

    Returns:
        Columns of reports.drift but for the names of the model, strongest drift first; no rows where either has
        fewer than 30, which say nothing.
    """
    from scipy.stats import chi2

    n, m = len(reference), len(current)
    if min(n, m) < MIN_ROWS:
        return pl.DataFrame()
    rows: list[dict[str, Any]] = []
    for index, feature in enumerate(features):
        p, _ = _shares(reference[:, index], current[:, index])
        freedom = max(1, len(p) - 1)
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
                "unknown_before": float(np.isnan(reference[:, index]).mean()),
                "unknown_now": float(np.isnan(current[:, index]).mean()),
            }
        )
    return pl.DataFrame(rows).sort("psi", descending=True)


def what_to_do(drifts: pl.DataFrame) -> tuple[bool, str]:
    """Whether nothing needs to be done about what moved, and a sentence on what did.

    Something does where an input is no longer known, which loading can mend, and where the champion's answers move
    along with its inputs, which a training can. Inputs that move and change no answer are told, and no more.

    Args:
        drifts: what `drift` says of the inputs and of `ANSWERS`; no rows if nothing was compared.
    """
    if drifts.is_empty():
        return True, f"fewer than {MIN_ROWS} rows to compare"
    inputs, answers = drifts.filter(pl.col("feature") != ANSWERS), drifts.filter(feature=ANSWERS)
    moved = inputs.filter("is_drifting")
    lost = inputs.filter(pl.col("unknown_now") - pl.col("unknown_before") > _LOST)
    if moved.is_empty() and not answers["is_drifting"].any():
        return True, "no input has moved far"
    shown = ", ".join(f"{row['feature']} ({row['psi']:.2f})" for row in moved.head(3).to_dicts()) or "none far"
    sentences = [f"{len(moved)} of {len(inputs)} inputs have moved: {shown}{' and others' if len(moved) > 3 else ''}"]
    sentences += [
        f"{row['feature']} is unknown for {row['unknown_now']:.0%} instead of {row['unknown_before']:.0%}: see loads"
        for row in lost.to_dicts()
    ]
    is_off = bool(answers["is_drifting"].any())
    sentences.append("the answers have moved, too: train anew" if is_off else "the answers have not moved")
    return not is_off and lost.is_empty(), "; ".join(sentences)


def compare_live(
    spec: ModelSpec, champion: Live, challenger: Live, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of reports.champion_challenger: both on the items that both predicted."""
    ours, theirs = (
        _counted_alike(spec, live)[0]
        for live in (_shared(spec, champion, challenger), _shared(spec, challenger, champion))
    )
    ours, theirs = ours.where(ours.decided), theirs.where(theirs.decided)
    task, n = task_of(spec), len(ours.frame)
    needs = {name: task.needs[name] for name in (task.quality, task.error)}
    if n < MIN_ROWS or not task.compares_live or task.why_not(ours.known):
        return [{"metric": name, "items": n} for name in needs]
    weights = ours.known.weights
    of_champion = task.statistics(ours.known.y, ours.answers)
    of_challenger = task.statistics(ours.known.y, theirs.answers)
    sampling = {"resamples": resamples, "seed": seed}
    differences = paired_differences(of_challenger, of_champion, weights, needs, **sampling, units=ours.known.units)
    champion_values, challenger_values = of_champion(weights[None, :]), of_challenger(weights[None, :])
    return [
        {
            "metric": name,
            "items": n,
            "champion_value": _finite(champion_values[name]),
            "challenger_value": _finite(challenger_values[name]),
            "difference": difference.value,
            "lower": difference.lower,
            "upper": difference.upper,
        }
        for name, difference in differences.items()
    ]


def _counted_alike(spec: ModelSpec, live: Live) -> tuple[Live, float]:
    """Predictions and outcomes by which parts of rows can be compared, and up to where; see `Task.counted_alike`."""
    known, most = task_of(spec).counted_alike(live.known)
    frame = live.frame.with_columns(pl.col("prediction").clip(upper_bound=most))
    return Live(frame, known, np.minimum(live.answers, most), live.delay), most


def _finite(value: np.ndarray) -> float | None:
    return float(value[0]) if np.isfinite(value[0]) else None


def _shared(spec: ModelSpec, live: Live, other: Live) -> Live:
    """Rows of `live` whose items `other` has, too; both are sorted alike."""
    rows = live.frame.with_row_index("row").join(other.frame, on=spec.key, how="semi")["row"].to_numpy()
    mask = np.zeros(len(live.frame), dtype=bool)
    mask[rows] = True
    return live.where(mask)
