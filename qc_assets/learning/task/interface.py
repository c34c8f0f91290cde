"""The interface between the lifecycle and the kind of answer that a model gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Unpack

import numpy as np
import polars as pl

from qc_assets.learning.calibration import neighbours_out_of_order
from qc_assets.learning.dataset import Dataset, matrix, matured
from qc_assets.learning.leaks import Dominance
from qc_assets.learning.metrics.bootstrap import Estimate, Statistics
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task.terms import Calibrator, Estimator, Fitting, Gate, Known, Metric
from qc_assets.learning.venn_abers import VennAbers

_NOTABLE = 0.005  # rounded to two decimals it would be nothing


class Task(ABC):
    """How one kind of answer is learnt, calibrated, judged, watched and told.

    What differs between kinds of answers is here, and nowhere else: nobody else asks which task a model has.

    Attributes:
        name: as in `ModelSpec.task`.
        metrics: by name, in the order in which they are shown.
        selection: the metric that chooses parameters and candidates on time-ordered folds.
        loss: the metric that says what a mitigation costs; lower is better.
        quality, error: the metrics that are watched week by week.
        tolerance: how far predictions and outcomes may be apart, see `excess`.
        gates: what is promised of each model, by name.
        rivals: plain models that every training has to stand beside; the first is the plainest.
        chance: whether `quality` is one half for answers that know nothing.
        trivial_name: for the card, what a prediction that knows nothing goes by.
        method: for the card, how the estimator is fitted, in a few words.
        answers_with: for people, what an answer is.
        directions: what a feature does to an answer that it moves up, and down.
        answer_fields: what an answer to a single item is made of, see `answer`.
        min_confidence: below it, such an answer is UNCERTAIN.
        unended_is_a_label: whether an item without a label says something, too: that it still lasts.
        reads_texts: whether the features are texts; else they are numbers and levels.
        is_binary: whether labels are 0 or 1, answers their probabilities, and so a share of labels an answer, too.
        compares_live: whether kept predictions are enough to compare two versions on the same items.
        groups_as: how bias reports compare groups, see `qc_assets.fairness.comparison_kinds`.
        refits: whether a model is fitted anew to newer rows once it is calibrated and once it is judged.
        refit_rows, refit_repeats: most rows of a fit for each mitigation, and most repeats of one row in it.
    """

    name: ClassVar[str]
    metrics: ClassVar[Mapping[str, Metric]]
    selection: ClassVar[str]
    loss: ClassVar[str]
    quality: ClassVar[str]
    error: ClassVar[str]
    tolerance: ClassVar[float]
    gates: ClassVar[Mapping[str, str]]
    rivals: ClassVar[tuple[Candidate, ...]]
    chance: ClassVar[bool] = True
    trivial_name: ClassVar[str]
    method: ClassVar[str]
    answers_with: ClassVar[str]
    directions: ClassVar[tuple[str, str]] = ("raises it", "lowers it")
    answer_fields: ClassVar[tuple[str, ...]]
    min_confidence: ClassVar[float] = 0.0
    unended_is_a_label: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = False
    is_binary: ClassVar[bool] = False
    compares_live: ClassVar[bool] = True
    groups_as: ClassVar[Literal["probability", "number"]] = "probability"
    refits: ClassVar[bool] = True
    refit_rows: ClassVar[int] = 20_000
    refit_repeats: ClassVar[int] = 10

    @property
    def needs(self) -> dict[str, str]:
        """The metrics, and what each needs in order to exist; see `qc_assets.learning.metrics.bootstrap`."""
        return {name: metric.needs for name, metric in self.metrics.items()}

    # Learning

    @abstractmethod
    def labels(self, spec: ModelSpec, target: pl.Series) -> np.ndarray:
        """The target column as `Dataset.y`, (rows,); a TrainingError if a label cannot be."""

    def context(self, spec: ModelSpec, data: Dataset, split: TimeSplit) -> dict[str, Any]:
        """What must be settled before fitting, such as a horizon; JSON."""
        return {}

    def known(self, data: Dataset, rows: np.ndarray, as_of: np.datetime64, context: Mapping[str, Any]) -> Known:
        """Labels of `rows` as they were known at `as_of` (or at the end of each row's covered time, if earlier)."""
        return Known(data.y[rows], np.ones(len(rows)))

    @abstractmethod
    def why_not(self, known: Known) -> str | None:
        """Why nothing can be learnt from, or judged on, these labels; None if it can."""

    @abstractmethod
    def fit(self, kind: str, parameters: Parameters, x: np.ndarray, known: Known, **how: Unpack[Fitting]) -> Estimator:
        """Fit one estimator."""

    @abstractmethod
    def load(self, folder: Path) -> Estimator:
        """Load what an estimator saved."""

    @abstractmethod
    def calibrate(
        self, scores: np.ndarray, known: Known, context: Mapping[str, Any], *, carries: bool = True
    ) -> Calibrator:
        """The map from scores to answers, fitted on the calibration window.

        Args:
            scores: of an estimator that had not seen these rows, see `at_new_level`.
            known: their labels.
            context: what was settled before fitting.
            carries: whether it knew enough for its map to say something of the estimator that will answer.
        """

    def at_new_level(self, scores: np.ndarray, refitted: Callable[[], np.ndarray], known: Known) -> np.ndarray:
        """Scores of rows that an estimator had not seen, at the level of one that is `refitted`, to them as well.

        What is measured on such scores, a map or an interval, is carried to answers of the refitted estimator, which
        has learnt the level of these rows by itself: it must not be moved a second time. Both say (rows, …).
        """
        return scores

    def answers(self, calibrator: Calibrator, scores: np.ndarray, repositories: np.ndarray | None) -> np.ndarray:
        """What a calibrator makes of scores; `repositories` are ids, (rows,), None where nobody knows them."""
        return calibrator(scores)

    @abstractmethod
    def calibrator_from_json(self, document: dict[str, Any]) -> Calibrator:
        """What `Calibrator.to_json` wrote."""

    def bounds(self, known: Known, answers: np.ndarray) -> VennAbers | None:
        """What gives answers their intervals, fitted to answers for the calibration window; None if they have some."""
        return None

    @abstractmethod
    def uncalibrated(self, scores: np.ndarray, context: Mapping[str, Any]) -> np.ndarray:
        """Scores in the shape of answers, for the selection on folds."""

    @abstractmethod
    def trivial(self, known: Known, context: Mapping[str, Any]) -> np.ndarray:
        """The answer that knows only the labels of the calibration window: one answer."""

    # Judging

    @abstractmethod
    def statistics(self, y: np.ndarray, answers: np.ndarray) -> Statistics:
        """All metrics of some answers."""

    @abstractmethod
    def check(self, spec: ModelSpec, test: Mapping[str, Estimate], calibration_rows: int) -> list[Gate]:
        """Judge the metrics of the test window after a calibration on so many rows; one gate for each of `gates`."""

    def out_of_order(self, scores: np.ndarray, answers: np.ndarray, context: Mapping[str, Any]) -> int:
        """How many rows a calibration ranks otherwise than the scores did, (rows, …) both."""
        return neighbours_out_of_order(self.uncalibrated(scores, context), answers)

    def reliable(self, known: Known, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """What was promised with a probability, whether it came true, and weights, 0 if nobody knows; (rows,) each.

        Last, the standard error that calibration on a repository's few rows leaves to the promise.
        """
        return answers, known.y, known.weights, 0.0

    def dominant_feature(
        self,
        spec: ModelSpec,
        data: Dataset,
        split: TimeSplit,
        test: Mapping[str, Estimate],
        importance: Mapping[str, float],
    ) -> Dominance | None:
        """The feature that says most by itself, given the metrics of the test window; None where none can be told."""
        return None

    # Telling

    @abstractmethod
    def refused_label(self, spec: ModelSpec, label: str) -> str | None:
        """Why what a person says of an item cannot be its true label; None if it can."""

    @abstractmethod
    def labels_given(self, spec: ModelSpec, labels: pl.Series) -> pl.Series:
        """What people said the labels are, none of them refused, as the target column has them."""

    @abstractmethod
    def summary(self, spec: ModelSpec, known: Known, context: Mapping[str, Any]) -> str:
        """The labels of a window in a few words, for the card."""

    @abstractmethod
    def table(self, classes: Sequence[str], answers: np.ndarray) -> pl.DataFrame:
        """Answers as the columns prediction, lower, upper, answer."""

    @abstractmethod
    def outcomes(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> pl.DataFrame:
        """What happened, as the columns label (a number, NULL if unknown) and outcome (a category)."""

    def worded(self, spec: ModelSpec, table: pl.DataFrame) -> pl.DataFrame:
        """The same `table` with the words of the model as answers, where it has words; UNCERTAIN near even odds."""
        return table

    @abstractmethod
    def answer(
        self, row: Mapping[str, Any], raw: np.ndarray, classes: Sequence[str], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        """An answer to a single item for a program, with the `answer_fields`.

        Args:
            row: prediction, lower, upper and answer, see `worded`.
            raw: what the calibrator answers for the item, without its first dimension.
            classes, context: of the version.
        """

    def difference(self, before: float, after: float) -> str | None:
        """How much more one prediction of `table` is than another, in a word; None if that is next to nothing."""
        return f"{after - before:+.2f}" if abs(after - before) >= _NOTABLE else None

    def confidence(self, prediction: float) -> float | None:
        """How sure an answer is, 0 to 1; None where an interval says it."""
        return None

    def for_mlflow(self, classes: Sequence[str], answers: np.ndarray) -> Any:
        """Answers as MLflow returns them."""
        return self.table(classes, answers).to_pandas()

    @abstractmethod
    def figures(self, classes: Sequence[str], known: Known, answers: np.ndarray) -> dict[str, bytes]:
        """Figures of answers for the test window as PNGs, by name."""

    # Watching

    def live(self, spec: ModelSpec, frame: pl.DataFrame, context: Mapping[str, Any]) -> tuple[Known, np.ndarray]:
        """Labels that had time to mature, and predictions in the shape that `live_metrics` takes.

        Of rows of the model in order of opening, with prediction, lower, upper and answer.
        """
        y = frame[spec.target].cast(pl.Float64).fill_null(0.0).to_numpy()
        return Known(y, matured(spec, frame)), frame["prediction"].to_numpy()

    def hours_to_label(self, spec: ModelSpec, frame: pl.DataFrame) -> np.ndarray:
        """Hours from the opening to the label, NaN where there is none or it belongs to the item from the start."""
        if spec.known_at == spec.opened_at:
            return np.full(len(frame), np.nan)
        seconds = (pl.col(spec.known_at) - pl.col(spec.opened_at)).dt.total_seconds()
        return frame.select((seconds / 3600).cast(pl.Float64)).to_series().fill_null(np.nan).to_numpy()

    def live_metrics(self, known: Known, answers: np.ndarray) -> dict[str, float]:
        """`quality` and `error`, perhaps more, of decided items; empty if nothing can be judged."""
        if self.why_not(known):
            return {}
        measured = self.statistics(known.y, answers)(known.weights[None, :])
        return {name: float(value[0]) for name, value in measured.items() if np.isfinite(value[0])}

    def expected(self, answers: np.ndarray, *, resamples: int, seed: int) -> dict[str, Estimate]:
        """How good answers are if they are right, before labels are known; empty where they promise no probability."""
        return {}

    def realised(self, known: Known, answers: np.ndarray) -> dict[str, float]:
        """What `expected` estimates, of answers whose labels are all known; what does not exist is left out."""
        return {}

    def order_holds(
        self, spec: ModelSpec, known: Known, answers: np.ndarray, *, resamples: int, seed: int
    ) -> tuple[bool, str]:
        """Whether decided items are still ranked well enough, and the numbers; empty if none is promised."""
        return True, ""

    def excess(self, predicted: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """How far predictions lie above outcomes, both on the scale of `Known.y`, under each weighting."""
        return weights @ (predicted - y) / weights.sum(axis=1)

    def uncertain_share(self, answers: pl.Series) -> float | None:
        """Share of answers that are UNCERTAIN; None where every item is answered."""
        return None

    def on_label_scale(self, prediction: np.ndarray) -> np.ndarray:
        """Predictions of `table` on the scale of `Known.y`, (n,)."""
        return prediction

    def from_label_scale(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `on_label_scale`."""
        return values

    def drift_inputs(self, spec: ModelSpec, frame: pl.DataFrame) -> tuple[list[str], np.ndarray]:
        """What drift is looked for in: names (k,), and numbers (rows, k) with NaN."""
        return list(spec.features), matrix(frame, spec.features, spec.categories)

    # Comparing groups, and mitigating

    def counted_alike(self, known: Known) -> tuple[Known, float]:
        """Labels by which parts of the rows can be compared, and up to where predictions count then."""
        return known, np.inf

    def judged_labels(self, known: Known, answers: np.ndarray) -> np.ndarray:
        """What predictions are compared with, group by group, on their scale (see `on_label_scale`), (n,)."""
        return known.y

    def correctable(self, answers: np.ndarray, context: Mapping[str, Any]) -> tuple[np.ndarray, float] | None:
        """One number an answer that may be moved, from 0 up to a highest value, which is returned, too; or None."""
        return None

    def corrected(self, answers: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Answers whose `correctable` number is `moved`, (n,)."""
        return moved
