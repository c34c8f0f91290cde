"""The interface between the lifecycle and the kind of answer that a model gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from qc_assets.learning.dataset import Dataset
from qc_assets.learning.leaks import Dominance
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics
from qc_assets.learning.spec import ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit


class Estimator(Protocol):
    """A fitted estimator."""

    def score(self, x: np.ndarray) -> np.ndarray:
        """What the calibrator makes an answer of; its first dimension is that of `x`."""
        ...

    def save(self, folder: Any) -> None:
        """Write the files of this estimator."""
        ...


class Calibrator(Protocol):
    """A map from scores to answers that is a few numbers in a JSON file."""

    @property
    def method(self) -> str: ...

    def __call__(self, scores: np.ndarray) -> np.ndarray: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Metric:
    """A metric as people read it."""

    label: str
    higher_is_better: bool


@dataclass(frozen=True)
class Known:
    """What was known of some rows at some moment.

    Attributes:
        y: labels, (rows,).
        weights: (rows,); 0 for a row whose label was not known, more than 1 for one that stands for others.
    """

    y: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Gate:
    """A promise that a trained model keeps or breaks; one that does not block only warns."""

    name: str
    passed: bool
    detail: str
    blocks: bool = True


class Task(Protocol):
    """How one kind of answer is learnt, calibrated and judged.

    Attributes:
        name: as in `ModelSpec.task`.
        metrics: by name, in the order in which they are shown.
        selection: the metric that chooses parameters and candidates on time-ordered folds.
        gates: what is promised of each model, by name.
        trivial_name: for the card, what a prediction that knows nothing goes by.
        method: for the card, how the estimator is fitted, in a few words.
        min_confidence: below it, an answer to a single item is UNCERTAIN.
    """

    name: str
    metrics: Mapping[str, Metric]
    selection: str
    gates: Mapping[str, str]
    trivial_name: str
    method: str
    min_confidence: float

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        """What must be settled before fitting, such as a horizon; JSON."""
        ...

    def known(self, data: Dataset, rows: np.ndarray, as_of: np.datetime64, context: Mapping[str, Any]) -> Known:
        """Labels of `rows` as they were known at `as_of` (or at the end of each row's covered time, if earlier)."""
        ...

    def why_not(self, known: Known) -> str | None:
        """Why nothing can be learnt from, or judged on, these labels; None if it can."""
        ...

    def fit(
        self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, *, seed: int, threads: int | None
    ) -> Estimator:
        """Fit one estimator; the same seed, rows and threads give the same estimator."""
        ...

    def load(self, folder: Any) -> Estimator:
        """Load what an estimator saved."""
        ...

    def calibrate(self, scores: np.ndarray, known: Known, context: Mapping[str, Any]) -> Calibrator: ...

    def calibrator_from_json(self, document: dict[str, Any]) -> Calibrator: ...

    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        """Scores in the shape of answers, for the selection on folds."""
        ...

    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        """The answer that knows only the labels of the calibration window: one answer."""
        ...

    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        """All metrics of some answers."""
        ...

    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        """Judge the metrics of the test window after a calibration on so many rows; one gate for each of `gates`."""
        ...

    def dominant_feature(
        self,
        spec: ModelSpec,
        data: Dataset,
        split: TimeSplit,
        test: Mapping[str, Estimate],
        importance: Mapping[str, float],
    ) -> Dominance | None:
        """The feature that says most by itself, given the metrics of the test window; None where none can be told."""
        ...

    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        """Why what a person says of an item cannot be its true label; None if it can."""
        ...

    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        """The labels of a window in a few words, for the card."""
        ...

    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        """Answers as the columns prediction, lower, upper, answer."""
        ...

    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        """What happened, as the columns label (a number, NULL if unknown) and outcome (a category)."""
        ...
