"""How a training is asked for, and what it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qc_assets.learning.dataset import Dataset
from qc_assets.learning.leaks import Dominance
from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.missingness import Missingness
from qc_assets.learning.monotony import Monotony
from qc_assets.learning.reliability import LosingRepositories, Reliability
from qc_assets.learning.remaining import RemainingTimes
from qc_assets.learning.rivals import Rival
from qc_assets.learning.spec import ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task.terms import Calibrator, Estimator, Fitting, Known, Others
from qc_assets.learning.text.text_features import TextReducer
from qc_assets.learning.venn_abers import VennAbers


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        quick: the defaults of each candidate, without a search.
        n_trials: Optuna trials for each candidate otherwise.
        n_folds: time-ordered folds of each trial.
        search_rows: rows that a fold is fitted to at most while searching.
        prune: give up trials that are clearly worse than others after the same folds; False to measure what that costs.
        resamples: bootstrap resamples behind every interval.
        seed: seed of search, estimators and bootstrap.
        threads: None means all cores.
        candidates: only these kinds; empty means all of the spec.
        refit: after the calibration, fit anew to all that was known before the test, and what is served to all that is
            labelled; False to measure what that gains.
        others: what a project of few rows learns from besides them; rivals do not.
        feedback_share: of a window's labels that may rest on feedback, or be contradicted by it, 0 to 1.
        train_rows: rows that an estimator is fitted to at most; 0 for all.
    """

    quick: bool = False
    n_trials: int = 30
    n_folds: int = 3
    search_rows: int = 20_000
    prune: bool = True
    resamples: int = 500
    seed: int = 0
    threads: int | None = None
    candidates: tuple[str, ...] = ()
    refit: bool = True
    others: Others | None = None
    feedback_share: float = 0.05
    train_rows: int = 0

    def fitting(self, spec: ModelSpec) -> Fitting:
        """How a model's estimators are fitted."""
        return {"seed": self.seed, "threads": self.threads, "signs": spec.signs, "others": self.others}


@dataclass(frozen=True)
class Trial:
    """Parameters that were tried, and the mean of the selection metric over the folds.

    Attributes:
        stopped_after: folds after which it was given up; `validation` is the mean over them. None if it saw all.
    """

    parameters: Parameters
    validation: float
    stopped_after: int | None = None

    def named(self, metric: str) -> str:
        """What its validation is called: a mean over fewer folds is not to be compared with the others."""
        return metric if self.stopped_after is None else f"{metric}_of_{self.stopped_after}_folds"


@dataclass(frozen=True)
class FittedCandidate:
    """A candidate: calibrated on rows that its fit had not seen, then fitted anew to all that was known by the test.

    Attributes:
        validation: the task's selection metric on the last fold; decides the selection.
        calibration_scores: what it said of the calibration window when fitted to the train window only, (rows, …), at
            the level of `estimator`.
        scores: what the estimator said of the test window before calibration, (rows, …).
        predictions: answers for the test window, (rows, …).
        evaluations: metrics by window (``test``, ``last_30_days``).
        trials: what the search tried.
    """

    kind: str
    parameters: Parameters
    validation: float
    estimator: Estimator
    calibrator: Calibrator
    calibration_scores: np.ndarray
    scores: np.ndarray
    predictions: np.ndarray
    evaluations: dict[str, dict[str, Estimate]]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class LearningCurve:
    """How good the best candidate is on the calibration window when it is fitted to more and more rows.

    Attributes:
        label: what people call the task's loss.
        points: rows of the train window, and the loss before any calibration, in ascending order of rows.
        last_doubling: the last point's loss less that of half its rows; None if that was not measured.
        fitted: rows that are fitted to, and all that there are, by window.
    """

    label: str
    points: tuple[tuple[int, float], ...]
    last_doubling: Estimate | None
    fitted: Mapping[str, tuple[int, int]]

    @property
    def brought(self) -> str:
        """What the last doubling brought, in words."""
        if self.last_doubling is None:
            return "the last doubling was not measured"
        return f"the last doubling changed {self.label} by {self.last_doubling:+.4f}"

    def __str__(self) -> str:
        fitted, rows = self.fitted["train"]
        points = ", ".join(f"{loss:.4f} with {count:,}" for count, loss in self.points)
        return (
            f"fitted to {fitted:,} of the {rows:,} rows of the train window; {self.label} on the calibration window "
            f"is {points}; {self.brought}"
        )


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Attributes:
        best: the candidate with the best validation.
        candidates: all of them.
        skipped: candidates that were left out, and why.
        texts: makes the numbers of texts that follow the features, if texts helped; then `spec` and `data` have them.
        known: labels of each window, of ``before_test`` and ``labelled``, as they were known at its end.
        served: the best candidate's estimator, fitted to all that is labelled, so that the newest rows are not wasted;
            None if it is the judged one itself.
        context: what was settled before fitting.
        trivial: the answer that knows only the labels of the calibration window.
        importance: mean loss of the quality that is watched when a feature is shuffled, by feature, largest first.
        dominance: the feature that says most by itself; None where that cannot be told.
        rivals: plain models on the same rows and features.
        heads: the model's answers to each question of its spec's heads on the test window, by name.
        missingness: what the pattern of unknown features says by itself.
        monotony: how far answers keep to the signs of the spec; None where it has none.
        reliability: predicted against observed by repository and month.
        losing: repositories that are better off with their own share; None where answers are no probabilities.
        bounds: gives answers their intervals; see `Bundle`.
        remaining: says how much longer what has waited takes; see `Bundle`.
        curve: what more rows brought; None where all rows were fitted to.
    """

    spec: ModelSpec
    data: Dataset
    split: TimeSplit
    best: FittedCandidate
    candidates: tuple[FittedCandidate, ...]
    known: Mapping[str, Known]
    context: Mapping[str, Any]
    trivial: np.ndarray
    importance: dict[str, float]
    dominance: Dominance | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    texts: TextReducer | None = None
    served: Estimator | None = None
    rivals: tuple[Rival, ...] = ()
    heads: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    missingness: Missingness | None = None
    monotony: Monotony | None = None
    reliability: tuple[Reliability, ...] = ()
    losing: LosingRepositories | None = None
    bounds: VennAbers | None = None
    remaining: RemainingTimes | None = None
    curve: LearningCurve | None = None


@dataclass(frozen=True)
class Windows:
    """What all candidates of a training share; see `Trained`.

    Attributes:
        sample: of windows with too many rows, the positions of those that are fitted to.
    """

    spec: ModelSpec
    split: TimeSplit
    known: Mapping[str, Known]
    context: Mapping[str, Any]
    trivial: np.ndarray
    sample: Mapping[str, np.ndarray] = field(default_factory=dict)

    def fitted(self, name: str) -> tuple[np.ndarray, Known]:
        """Rows that are fitted to of a window, and their labels."""
        rows, known = self.split.known_windows[name], self.known[name]
        part = self.sample.get(name)
        return (rows, known) if part is None else (rows[part], known[part])

    @property
    def with_one_head(self) -> "Windows":
        """The same for candidates that answer one question only."""
        known = {name: replace(labels, way=None) for name, labels in self.known.items()}
        context = {name: value for name, value in self.context.items() if name != "way"}
        return replace(self, known=known, context=context)

    @property
    def plain(self) -> "Windows":
        """The same for rivals, which answer one question and keep to no sign."""
        return replace(self.with_one_head, spec=replace(self.spec, monotone={}))
