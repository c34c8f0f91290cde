"""One of several categories of a text, with a calibrated confidence; below 0.6 the answer is UNCERTAIN."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl

from qc_assets.errors import TrainingError
from qc_assets.learning import plots
from qc_assets.learning.dataset import Dataset, matured
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics, shown
from qc_assets.learning.metrics.category_metrics import MIN_CONFIDENCE, UNCERTAIN, CategoryMetrics
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task.interface import Task
from qc_assets.learning.task.terms import Estimator, Fitting, Gate, Known, Metric
from qc_assets.learning.text import text_classifiers

_CLIP = 1e-9
_LIVE_CLIP = 1e-4


@dataclass(frozen=True)
class Temperature:
    """Temperature scaling (Guo et al., 2017): one number that makes all probabilities less, or more, sure."""

    temperature: float
    method: str = "temperature"

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray) -> "Temperature":
        """Fit on the calibration window.

        Args:
            scores: probabilities of the categories, (n, classes).
            labels: index of the true category, (n,).
        """
        from scipy.optimize import minimize_scalar

        rows = np.arange(len(labels)), labels.astype(np.int64)
        minimum = minimize_scalar(
            lambda t: -np.log(np.clip(cls(float(np.exp(t)))(scores)[rows], _CLIP, 1)).mean(), bounds=(-2, 2)
        )
        return cls(float(np.exp(minimum.x)))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        powers = np.clip(scores, _CLIP, 1) ** (1 / self.temperature)
        return powers / powers.sum(axis=1, keepdims=True)

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "temperature": self.temperature}


class Category(Task):
    """See `Task`."""

    name = "category"
    metrics = {  # noqa: RUF012  # declared as ClassVar in Task
        "accuracy": Metric("accuracy", True),
        "macro_f1": Metric("macro F1", True),
        "log_loss": Metric("log loss", False),
        "ece": Metric("calibration error (ECE)", False, beside_a_constant=False),
        "uncertain": Metric("share UNCERTAIN", False),
        "answered_accuracy": Metric("accuracy of the others", True, "answers that are sure enough"),
    }
    # Texts wear off slowly, and fine-tuning takes minutes.
    refits = False
    selection = "macro_f1"
    loss = "log_loss"
    quality, error, tolerance = "accuracy", "log_loss", 0.07
    gates = {  # noqa: RUF012
        "beats_largest_category": "Accuracy on the test window is higher than for always naming the largest category.",
        "beats_shares": "Log loss on the test window is lower than for always answering the categories' shares.",
    }
    rivals = (Candidate("words", {"C": 1.0}),)
    chance = False
    trivial_name = "shares alone"
    method = "on texts"
    answers_with = "A category with a calibrated confidence, or UNCERTAIN"
    answer_fields = ("category", "confidence", "probabilities")
    min_confidence = MIN_CONFIDENCE
    reads_texts = True
    compares_live = False  # of a kept prediction, only the confidence in its own answer is known
    # A fit reads every text.
    refit_rows, refit_repeats = 2_000, 3

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        return {"classes": len(spec.classes)}

    def labels(self, spec: ModelSpec, target: pl.Series) -> np.ndarray:
        unknown = sorted(set(target.drop_nulls()) - set(spec.classes))
        if unknown:
            raise TrainingError(f"unknown categories {', '.join(unknown)}; there are {', '.join(spec.classes)}")
        ranks = {name: float(rank) for rank, name in enumerate(spec.classes)}
        return target.replace_strict(ranks, return_dtype=pl.Float64).to_numpy()

    def why_not(self, known: Known) -> str | None:
        return None if len(np.unique(known.y)) >= 2 else f"all {len(known.y)} rows have the same label"

    def fit(self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, **how: Unpack[Fitting]) -> Estimator:
        return text_classifiers.fit_text_classifier(
            kind, parameters, x, known.y, known.weights, seed=how["seed"], threads=how["threads"]
        )

    def load(self, folder: Path) -> Estimator:
        return text_classifiers.load_text_classifier(folder)

    def calibrate(
        self, scores: np.ndarray, known: Known, context: Mapping[str, Any], *, carries: bool = True
    ) -> Temperature:
        return Temperature.fit(_widened(scores, context), known.y)

    def calibrator_from_json(self, document: dict[str, Any]) -> Temperature:
        return Temperature(document["temperature"])

    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        return _widened(scores, context)

    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        counts = np.bincount(known.y.astype(np.int64), minlength=context["classes"]) + 1.0
        return (counts / counts.sum())[None, :]

    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        return CategoryMetrics(y, answers)

    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        accuracy, loss = test["accuracy"], test["log_loss"]
        return [
            Gate(
                "beats_largest_category",
                accuracy.is_above_baseline,
                f"accuracy {accuracy:.1%} against {shown(accuracy.baseline, '.1%')} for the largest category",
            ),
            Gate(
                "beats_shares",
                loss.is_below_baseline,
                f"log loss {loss:.4f} against {shown(loss.baseline)} for the shares alone",
            ),
        ]

    def out_of_order(self, scores: np.ndarray, answers: np.ndarray, context: Mapping[str, Any]) -> int:
        return int(np.count_nonzero(_widened(scores, context).argmax(axis=1) != answers.argmax(axis=1)))

    def reliable(self, known: Known, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        if answers.ndim == 1:  # of `live`: confidences, and whether they were right
            return answers, known.y, known.weights, 0.0
        return answers.max(axis=1), self.judged_labels(known, answers), known.weights, 0.0

    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        return None if label in spec.classes else f"label {label!r} is none of {', '.join(spec.classes)}"

    def labels_given(self, spec: ModelSpec, labels: pl.Series) -> pl.Series:
        return labels

    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        shares = np.bincount(known.y.astype(np.int64), minlength=len(spec.classes)) / len(known.y)
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(spec.classes, shares, strict=True))

    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        confidence = answers.max(axis=1)
        names = np.array(classes, dtype=object)[answers.argmax(axis=1)]
        answer = np.where(confidence >= MIN_CONFIDENCE, names, UNCERTAIN)
        nothing = pl.lit(None, dtype=pl.Float64)
        return pl.DataFrame({"prediction": confidence}).select(
            "prediction", lower=nothing, upper=nothing, answer=pl.Series(answer.tolist(), dtype=pl.String)
        )

    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        truth = known.y.astype(np.int64)
        names = np.array(classes, dtype=object)[truth].tolist()
        right = (answers.argmax(axis=1) == truth).astype(float)
        return pl.DataFrame({"label": right, "outcome": pl.Series(names, dtype=pl.String)})

    def answer(
        self, row: Mapping[str, Any], raw: np.ndarray, classes: Sequence[str], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        probabilities = dict(zip(classes, raw.tolist(), strict=True))
        return {"category": row["answer"], "confidence": row["prediction"], "probabilities": probabilities}

    def confidence(self, prediction: float) -> float | None:
        return prediction

    def figures(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> dict[str, bytes]:
        right = (answers.argmax(axis=1) == known.y).astype(float)
        return {
            "confusion": plots.confusion(known.y, answers, classes),
            "calibration": plots.calibration_curve(right, answers.max(axis=1)),
        }

    def live(self, spec: ModelSpec, frame: pl.DataFrame, context: Mapping[str, Any]) -> tuple[Known, np.ndarray]:
        # What can be judged is whether an answer was right; UNCERTAIN is none.
        right = (frame["answer"] == frame[spec.target]).fill_null(False).cast(pl.Float64).to_numpy()
        weights = np.where(frame["answer"] == UNCERTAIN, 0.0, matured(spec, frame))
        return Known(right, weights), frame["prediction"].to_numpy()

    def live_metrics(self, known: Known, answers: np.ndarray) -> dict[str, float]:
        confidence, right = np.clip(answers, _LIVE_CLIP, 1 - _LIVE_CLIP), known.y
        losses = -(right * np.log(confidence) + (1 - right) * np.log(1 - confidence))
        return {"accuracy": float(right.mean()), "log_loss": float(losses.mean())}

    def uncertain_share(self, answers: pl.Series) -> float | None:
        return float((answers == UNCERTAIN).sum() / max(1, len(answers)))

    def judged_labels(self, known: Known, answers: np.ndarray) -> np.ndarray:
        """Whether the likeliest category is the true one: the confidence promises that."""
        return (answers.argmax(axis=1) == known.y.astype(np.int64)).astype(float)

    def drift_inputs(self, spec: ModelSpec, frame: pl.DataFrame) -> tuple[list[str], np.ndarray]:
        text = spec.features[0]
        return [f"{text}_length"], frame.select(pl.col(text).str.len_chars().cast(pl.Float64)).to_numpy()


def _widened(scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
    """Room for categories that no row of the fit had."""
    return np.pad(scores, ((0, 0), (0, context["classes"] - scores.shape[1])))
