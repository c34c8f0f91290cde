"""Probability of a Boolean label, calibrated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning import estimators
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.leaks import Dominance, dominant_feature
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics
from qc_assets.learning.spec import ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task.interface import Estimator, Gate, Known, Metric


class Probability:
    """See `Task`."""

    name = "probability"
    metrics: Mapping[str, Metric] = {
        "roc_auc": Metric("ROC AUC", True),
        "pr_auc": Metric("PR AUC", True),
        "brier": Metric("Brier score", False),
        "log_loss": Metric("log loss", False),
        "ece": Metric("calibration error (ECE)", False),
    }
    selection = "roc_auc"
    gates: Mapping[str, str] = {
        "auc_above_threshold": "ROC AUC on the test window reaches the model's threshold.",
        "beats_base_rate": "Log loss on the test window is lower than for always predicting the base rate.",
    }
    trivial_name = "base rate alone"
    method = "with balanced classes"
    # Within 0.45 and 0.55 the calibration error alone can turn the answer round.
    min_confidence = 0.55

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        return {}

    def known(self, data: Dataset, rows: np.ndarray, as_of: np.datetime64, context: Mapping[str, Any]) -> Known:
        return Known(data.y[rows], np.ones(len(rows)))

    def why_not(self, known: Known) -> str | None:
        return None if len(np.unique(known.y)) == 2 else f"all {len(known.y)} rows have the same label"

    def fit(
        self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, *, seed: int, threads: int | None
    ) -> Estimator:
        return estimators.fit_classifier(kind, parameters, x, known.y, known.weights, seed=seed, threads=threads)

    def load(self, folder: Path) -> Estimator:
        return estimators.load(folder)

    def calibrate(self, scores: np.ndarray, known: Known, context: Mapping[str, Any]) -> ProbabilityCalibrator:
        return ProbabilityCalibrator.fit(scores, known.y)

    def calibrator_from_json(self, document: dict[str, Any]) -> ProbabilityCalibrator:
        return ProbabilityCalibrator.from_json(document)

    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        return scores

    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        return np.array([known.y.mean()])

    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        return WeightedMetrics(y, answers)

    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        auc, loss = test["roc_auc"], test["log_loss"]
        return [
            Gate(
                "auc_above_threshold",
                auc.value >= spec.min_auc,
                f"ROC AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f}) on the test window, "
                f"threshold {spec.min_auc:.2f}",
            ),
            Gate(
                "beats_base_rate",
                loss.value < loss.baseline,
                f"log loss {loss.value:.4f} against {loss.baseline:.4f} for the base rate",
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
            model_auc=test["roc_auc"].value,
            importance=importance,
        )

    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        return None if label in spec.words else f"label {label!r} is none of {', '.join(spec.words)}"

    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        return f"{known.y.mean():.1%} {spec.outcome}"

    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        nothing = pl.lit(None, dtype=pl.Float64)
        return pl.DataFrame({"prediction": answers}).with_columns(
            lower=nothing, upper=nothing, answer=pl.lit(None, dtype=pl.String)
        )

    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame({"label": known.y}).with_columns(outcome=pl.lit(None, dtype=pl.String))
