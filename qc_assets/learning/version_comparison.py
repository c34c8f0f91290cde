"""Two versions of a model on the same rows: how much better, how calibrated, which answers and which features moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning import plots
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.metrics.bootstrap import paired_differences
from qc_assets.learning.task import task_of
from qc_assets.learning.trained import Options, Trained
from qc_assets.learning.training import evaluation_windows

_ROWS_SHUFFLED = 300
_A_DAY, _A_WEEK = 24, 168
NEW, OLD = "new version", "champion"


@dataclass(frozen=True)
class VersionComparison:
    """A new version beside the champion, on the test window of the new one.

    Args:
        trained: the training of the new version.
        version: its bundle.
        champion: the champion's.
        options: of the bootstrap.
    """

    trained: Trained
    version: Bundle
    champion: Bundle
    options: Options

    @cached_property
    def _rows(self) -> pl.DataFrame:
        return self.trained.data.frame[self.trained.split.test]

    @cached_property
    def answers(self) -> dict[str, np.ndarray]:
        """What each says of the rows, by estimators that had not seen them; see `Bundle.predict`."""
        champion = self.champion.as_judged
        return {NEW: self.trained.best.predictions, OLD: champion.predict(champion.with_unknown(self._rows))}

    @cached_property
    def differences(self) -> pl.DataFrame:
        """Every metric of both by window, with the paired difference, its 95 % interval, and what it says."""
        task, rows = task_of(self.trained.spec), []
        for window, mask in evaluation_windows(self.trained.data, self.trained.split).items():
            known = self.trained.known["test"][mask]
            weights = known.weights
            ours, theirs = (task.statistics(known.y, self.answers[name][mask]) for name in (NEW, OLD))
            resampled = {"resamples": self.options.resamples, "seed": self.options.seed}
            differences = paired_differences(ours, theirs, weights, task.needs, **resampled, units=known.units)
            values = [statistics(weights[None, :]) for statistics in (theirs, ours)]
            for name, metric in task.metrics.items():
                gain = metric.gain(differences[name], *(float(value[name][0]) for value in values))
                sure = "surely better" if gain.is_surely_above(0) else "surely worse" if gain.is_surely_below(0) else ""
                rows.append(
                    {"metric": metric.label, "window": window.replace("_", " ")}
                    | {named: _number(value[name][0]) for named, value in zip((OLD, NEW), values, strict=True)}
                    | {"difference": differences[name].value, "from": differences[name].lower}
                    | {"to": differences[name].upper, "verdict": differences[name].reason or sure or "within chance"}
                )
        numbers = dict.fromkeys((OLD, NEW, "difference", "from", "to"), pl.Float64)
        return pl.DataFrame(rows, schema_overrides=numbers)

    @cached_property
    def sides(self) -> dict[str, pl.Series]:
        """What each answers in words; durations: within a day, within a week, later."""
        spec, task = self.trained.spec, task_of(self.trained.spec)
        tables = {name: task.worded(spec, task.table(spec.classes, answers)) for name, answers in self.answers.items()}
        return {
            name: _by_duration(table["prediction"]) if table["answer"].null_count() == len(table) else table["answer"]
            for name, table in tables.items()
        }

    @cached_property
    def moved(self) -> pl.DataFrame:
        """Rows on which the two answer otherwise, those first whose loss changes most.

        The key, `repo` if the rows have it, when it was opened, both answers in words and numbers, what happened, and
        by how much the loss falls; null where nobody knows yet.
        """
        spec, task, known = self.trained.spec, task_of(self.trained.spec), self.trained.known["test"]
        rows = np.flatnonzero((self.sides[NEW] != self.sides[OLD]).to_numpy())
        named = ["repo", *(name for name in spec.key if name != "repo_id")]
        named = named if "repo" in self._rows.columns else [*spec.key]
        shown = self._rows[rows].select(*named, pl.col(spec.opened_at).dt.truncate("1m").alias("opened"))
        columns: dict[str, Any] = {}
        losses: dict[str, np.ndarray] = {}
        for name in (OLD, NEW):
            answers = self.answers[name][rows]
            columns[f"{name} says"] = self.sides[name][rows]
            columns[name] = task.table(spec.classes, answers)["prediction"]
            # Weights that see one row each give each row's own loss.
            each = task.statistics(known.y[rows], answers)(np.eye(len(rows))) if len(rows) else {}
            losses[name] = each.get(task.loss, np.array([]))
        happened = task.outcomes(spec.classes, known, self.trained.best.predictions)[rows]
        fallen = pl.Series(losses[OLD] - losses[NEW], dtype=pl.Float64)
        is_known = pl.Series(known.weights[rows] > 0, dtype=pl.Boolean)
        ended = happened["outcome"].fill_null(happened["label"].round(2).cast(pl.String))
        if task.is_binary and spec.words:
            ended = ended.replace({"1.0": spec.words[0], "0.0": spec.words[1]})
        return (
            shown.with_columns(**columns)
            .with_columns(happened=ended)
            .with_columns(
                pl.when(is_known).then(fallen.fill_nan(None)).alias(f"{task.metrics[task.loss].label} falls by")
            )
            .sort(pl.last().abs(), descending=True, nulls_last=True)
        )

    @property
    def moved_in_words(self) -> str:
        """How many rows changed sides, and for how many of them that was better."""
        loss = self.moved[:, -1].drop_nulls()
        unknown = f", and of {len(self.moved) - len(loss)} nobody knows yet" if len(loss) < len(self.moved) else ""
        return (
            f"{len(self.moved):,} of {len(self._rows):,} rows changed sides: {(loss > 0).sum():,} are nearer to what "
            f"happened now, {(loss < 0).sum():,} were before{unknown}."
        )

    @cached_property
    def reach(self) -> pl.DataFrame | None:
        """How far answers move on average when a feature is shuffled, for both; None for models of texts alone.

        Of a probability that is in its units, of a duration in logarithms of hours.
        """
        rows = self._rows[-_ROWS_SHUFFLED:]
        reaches = {}
        for name, bundle in ((OLD, self.champion.as_judged), (NEW, self.version.as_judged)):
            x = bundle.matrix(bundle.with_unknown(rows))
            if x.dtype != np.float64:
                return None
            orders = np.random.default_rng(self.options.seed).permuted(
                np.tile(np.arange(len(x)), (len(bundle.inputs), 1)), axis=1
            )
            shuffled = np.tile(x, (len(bundle.inputs) + 1, 1)).reshape(-1, *x.shape)
            for index, order in enumerate(orders):
                shuffled[index, :, index] = x[order, index]
            answers = bundle.predict_matrix(shuffled.reshape(-1, x.shape[1]))
            parts = np.split(answers, len(shuffled))
            moves = [_distance(part, parts[-1], bundle.classes) for part in parts[:-1]]
            reaches[name] = pl.DataFrame({"feature": list(bundle.inputs), name: moves})
        joined = reaches[OLD].join(reaches[NEW], on="feature", how="full", coalesce=True)
        change = (pl.col(NEW).fill_null(0) - pl.col(OLD).fill_null(0)).alias("change")
        return joined.with_columns(change).sort(pl.col("change").abs(), descending=True)

    def calibration(self) -> bytes:
        """Both calibration curves, or the coverage of both intervals, in one picture (PNG)."""
        known, task = self.trained.known["test"], task_of(self.trained.spec)
        seen = known.weights > 0
        if not self.version.classes and self.answers[NEW].ndim > 1:
            hours = np.expm1(known.y[seen])
            return plots.coverages(hours, {name: answers[seen] for name, answers in self.answers.items()})
        curves: Mapping[str, Any] = {
            name: task.reliable(known[seen], answers[seen])[1::-1] for name, answers in self.answers.items()
        }
        return plots.calibration_curves(curves)


def _distance(answers: np.ndarray, others: np.ndarray, classes: Any) -> float:
    if answers.ndim > 1 and classes:
        return float(np.abs(answers - others).sum(axis=1).mean() / 2)
    if answers.ndim > 1:
        return float(np.abs(np.log1p(answers[:, 1]) - np.log1p(others[:, 1])).mean())
    return float(np.abs(answers - others).mean())


def _by_duration(hours: pl.Series) -> pl.Series:
    names = ["within a day", "within a week", "later"]
    return hours.cut([_A_DAY, _A_WEEK], labels=names).cast(pl.String)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
