"""Probability of a Boolean label, calibrated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl

from qc_assets.learning import plots
from qc_assets.learning.calibration import ProbabilityCalibrator, at_level_of, weights_by_group
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.leaks import Dominance, dominant_feature
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics, evaluate, shown
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.learning.metrics.expected_metrics import expected_metrics, realised_metrics
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task import combined
from qc_assets.learning.task.interface import Task
from qc_assets.learning.task.terms import Estimator, Fitting, Gate, Known, Metric, RowsFitting
from qc_assets.learning.venn_abers import VennAbers

_NOTHING = (
    pl.Series("lower", [None], pl.Float64),
    pl.Series("upper", [None], pl.Float64),
    pl.Series("answer", [None], pl.String),
)


class Probability(Task):
    """See `Task`."""

    name = "probability"
    metrics = {  # noqa: RUF012  # declared as ClassVar in Task
        "roc_auc": Metric("ROC AUC", True, "labels of both kinds"),
        "pr_auc": Metric("PR AUC", True, "positive labels"),
        "brier": Metric("Brier score", False),
        "log_loss": Metric("log loss", False),
        "ece": Metric("calibration error (ECE)", False, beside_a_constant=False),
    }
    selection = "log_loss"
    loss = "log_loss"
    quality, error, tolerance = "roc_auc", "brier", 0.05
    gates = {  # noqa: RUF012
        "auc_above_threshold": "ROC AUC on the test window reaches the model's threshold.",
        "beats_base_rate": "Log loss on the test window is lower than for always predicting the base rate.",
    }
    rivals = (Candidate("logistic", {"C": 0.1}), Candidate("lightgbm", {}))
    trivial_name = "base rate alone"
    method = "by its likelihood"
    answers_with = "A calibrated probability"
    answer_fields = ("probability", "answer")
    is_binary = True
    # Within 0.45 and 0.55 the calibration error alone can turn the answer round.
    min_confidence = 0.55

    def labels(self, spec: ModelSpec, target: pl.Series) -> np.ndarray:
        return target.cast(pl.Float64).to_numpy()

    def why_not(self, known: Known) -> str | None:
        return None if len(np.unique(known.y)) == 2 else f"all {len(known.y)} rows have the same label"

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        column = spec.heads.column if spec.heads else ""
        return {"way": column} if column in data.frame.columns else {}

    def known(self, data: Dataset, rows: np.ndarray, as_of: np.datetime64, context: Mapping[str, Any]) -> Known:
        known = super().known(data, rows, as_of, context)
        if "way" not in context:
            return known
        # A label that people gave where nothing had been decided went no way at all.
        way = data.frame[context["way"]][rows].fill_null(False)
        return replace(known, way=way.cast(pl.Float64).to_numpy())

    def fit(self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, **how: Unpack[Fitting]) -> Estimator:
        others = how.get("others")
        rows: RowsFitting = {"seed": how["seed"], "threads": how["threads"], "signs": how.get("signs", ())}
        own: Estimator
        if known.way is not None:
            own = combined.fit_heads(kind, parameters, x, known, **rows)
        else:
            own = combined.fit_one_head(kind, parameters, x, known.y, known.weights, **rows)
        return own if others is None else combined.with_others(own, others, x, known)

    def load(self, folder: Path) -> Estimator:
        return combined.load_any_estimator(folder)

    def calibrate(
        self, scores: np.ndarray, known: Known, context: Mapping[str, Any], *, carries: bool = True
    ) -> ProbabilityCalibrator:
        if not carries:
            return ProbabilityCalibrator.none()
        return ProbabilityCalibrator.fit(scores, known.y, _calibration_weights(known))

    def at_new_level(self, scores: np.ndarray, refitted: Callable[[], np.ndarray], known: Known) -> np.ndarray:
        # What is fitted by its likelihood has the level of its labels.
        return at_level_of(known.y, scores, _calibration_weights(known))

    def calibrator_from_json(self, document: dict[str, Any]) -> ProbabilityCalibrator:
        return ProbabilityCalibrator.from_json(document)

    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        return scores

    def bounds(self, known: Known, answers: np.ndarray) -> VennAbers:
        return VennAbers.fit(answers, known.y, _calibration_weights(known))

    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        return np.array([known.y.mean()])

    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        return WeightedMetrics(y, answers)

    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        auc, loss = test["roc_auc"], test["log_loss"]
        return [
            Gate(
                "auc_above_threshold",
                None if auc.value is None else auc.value >= spec.min_auc,
                f"ROC AUC {auc:.3f} on the test window, threshold {spec.min_auc:.2f}",
            ),
            Gate(
                "beats_base_rate",
                loss.is_below_baseline,
                f"log loss {loss:.4f} against {shown(loss.baseline)} for the base rate",
            ),
        ]

    def dominant_feature(
        self,
        spec: ModelSpec,
        data: Dataset,
        split: TimeSplit,
        test: Mapping[str, Estimate],
        importance: Mapping[str, float],
    ) -> Dominance | None:
        return dominant_feature(
            spec.features,
            data.x[split.train],
            data.y[split.train],
            data.x[split.test],
            data.y[split.test],
            model_auc=test["roc_auc"],
            importance=importance,
        )

    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        return None if label in spec.words else f"label {label!r} is none of {', '.join(spec.words)}"

    def labels_given(self, spec: ModelSpec, labels: pl.Series) -> pl.Series:
        return labels == spec.words[0]

    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        return f"{known.y.mean():.1%} {spec.outcome}"

    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        # Without expressions here and below, whose engine takes longer than all else that a request needs.
        unknown = [nothing.new_from_index(0, len(answers)) for nothing in _NOTHING]
        return pl.DataFrame([pl.Series("prediction", answers), *unknown])

    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame({"label": known.y}).with_columns(outcome=pl.lit(None, dtype=pl.String))

    def worded(self, spec: ModelSpec, table: pl.DataFrame) -> pl.DataFrame:
        p = table["prediction"].to_numpy()
        yes, no = spec.words
        is_sure = np.maximum(p, 1 - p) >= self.min_confidence
        words = pl.Series("answer", np.where(is_sure, np.where(p >= 0.5, yes, no), UNCERTAIN).tolist())
        return table.clone().replace_column(table.get_column_index("answer"), words)

    def answer(
        self, row: Mapping[str, Any], raw: np.ndarray, classes: Sequence[str], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {"probability": row["prediction"], "answer": row["answer"]}

    def confidence(self, prediction: float) -> float | None:
        return max(prediction, 1 - prediction)

    def for_mlflow(self, classes: Sequence[str], answers: np.ndarray) -> Any:
        return answers

    def figures(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> dict[str, bytes]:
        return {
            "calibration": plots.calibration_curve(known.y, answers),
            "roc": plots.roc_curve(known.y, answers),
            "precision_recall": plots.precision_recall_curve(known.y, answers),
        }

    def expected(self, answers: np.ndarray, *, resamples: int, seed: int) -> dict[str, Estimate]:
        return expected_metrics(answers, resamples=resamples, seed=seed)

    def realised(self, known: Known, answers: np.ndarray) -> dict[str, float]:
        return realised_metrics(answers, known.y)

    def order_holds(
        self, spec: ModelSpec, known: Known, answers: np.ndarray, *, resamples: int, seed: int
    ) -> tuple[bool, str]:
        if self.why_not(known) is not None:
            return True, ""
        statistics = self.statistics(known.y, answers)
        sampling = {"resamples": resamples, "seed": seed}
        auc = evaluate(statistics, statistics, known.weights, self.needs, **sampling, units=known.units)["roc_auc"]
        return not auc.is_surely_below(spec.min_auc), f"ROC AUC {auc:.3f}, threshold {spec.min_auc:.2f}"

    def correctable(self, answers: np.ndarray, context: Mapping[str, Any]) -> tuple[np.ndarray, float] | None:
        return answers, 1.0


def _calibration_weights(known: Known) -> np.ndarray:
    return known.weights if known.groups is None else known.weights * weights_by_group(known.groups)
