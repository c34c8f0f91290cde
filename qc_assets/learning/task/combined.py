"""Estimators made of others.

Heads: one answer from two questions with causes of their own: which way an item will be decided, and how, on each way.
Blend: the mean of several kinds. Project: the mean of what a small project's rows say and of what other projects know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Self, Unpack

import numpy as np

from qc_assets.learning import estimators
from qc_assets.learning.calibration import log_odds, logistic
from qc_assets.learning.metrics.bootstrap import Estimate, evaluate
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics
from qc_assets.learning.spec import Heads, Parameters
from qc_assets.learning.task.terms import Estimator, Known, Others, RowsFitting

# With fewer rows on one way its rate is all that is known of it.
_MIN_ROWS = 50


@dataclass(frozen=True)
class Rate:
    """An estimator that knows the share of positive labels, and nothing of the row."""

    share: float

    file: ClassVar[str] = "rate.json"

    @classmethod
    def of(cls, y: np.ndarray, weights: np.ndarray) -> "Rate":
        """By Laplace's rule, as no finite number of rows shows that something never happens."""
        return cls(float((weights @ y + 1) / (weights.sum() + 2)))

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.share)

    def save(self, folder: Path) -> None:
        (folder / self.file).write_text(json.dumps(self.share), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(float(json.loads((folder / cls.file).read_text(encoding="utf-8"))))


@dataclass(frozen=True)
class CombinedEstimator:
    """Several estimators that give one score together; each lies in a folder of its own."""

    parts: tuple[Estimator, ...]

    file: ClassVar[str]

    def all_scores(self, x: np.ndarray) -> np.ndarray:
        """What each part says, (rows, parts)."""
        return np.column_stack([part.score(x) for part in self.parts])

    def save(self, folder: Path) -> None:
        for index, part in enumerate(self.parts):
            inside = folder / f"part_{index}"
            inside.mkdir(exist_ok=True)
            part.save(inside)
        numbers = {each.name: getattr(self, each.name) for each in fields(self)} | {"parts": len(self.parts)}
        (folder / self.file).write_text(json.dumps(numbers), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        numbers = json.loads((folder / cls.file).read_text(encoding="utf-8"))
        parts = tuple(load_any_estimator(folder / f"part_{index}") for index in range(numbers.pop("parts")))
        return cls(parts, **numbers)


@dataclass(frozen=True)
class HeadsEstimator(CombinedEstimator):
    """P(way) P(positive | way) + P(not way) P(positive | not way), of three parts in this order.

    Attributes:
        unread: columns that the first part does not read.
    """

    unread: tuple[int, ...] = ()

    file = "heads.json"

    def all_scores(self, x: np.ndarray) -> np.ndarray:
        way, on_way, off_way = self.parts
        of_way = way.score(np.delete(x, self.unread, axis=1))
        return np.column_stack([of_way, on_way.score(x), off_way.score(x)])

    def score(self, x: np.ndarray) -> np.ndarray:
        way, on_way, off_way = self.all_scores(x).T
        return way * on_way + (1 - way) * off_way


class BlendEstimator(CombinedEstimator):
    """The mean log-odds of its parts."""

    file = "blend.json"

    def score(self, x: np.ndarray) -> np.ndarray:
        return logistic(log_odds(self.all_scores(x)).mean(axis=1))


@dataclass(frozen=True)
class ProjectEstimator(BlendEstimator):
    """The mean log-odds of a project's own estimator and, with a slope and a level of its own, of other projects'.

    Attributes:
        slope, level: of the others' log-odds.
        columns: how many the others read.
    """

    slope: float = 1.0
    level: float = 0.0
    columns: int = 0

    file = "project.json"

    def all_scores(self, x: np.ndarray) -> np.ndarray:
        own, others = self.parts
        known = self.slope * log_odds(others.score(x[:, : self.columns])) + self.level
        return np.column_stack([own.score(x), logistic(known)])


def load_any_estimator(folder: Path) -> Estimator:
    """Load whichever estimator lies in `folder`, combined or not.

    Raises:
        QcError: if there is none.
    """
    for kind in (HeadsEstimator, BlendEstimator, ProjectEstimator, Rate):
        if (folder / kind.file).exists():
            return kind.load(folder)
    return estimators.load_estimator(folder)


def fit_one_head(
    kind: str,
    parameters: Parameters,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    **how: Unpack[RowsFitting],
) -> Estimator:
    """As `qc_assets.learning.estimators.fit_classifier`, or a ``blend`` of its kinds, whose parameters are by kind."""
    if kind != "blend":
        return estimators.fit_classifier(kind, parameters, x, y, weights, **how)
    return BlendEstimator(
        tuple(estimators.fit_classifier(part, own, x, y, weights, **how) for part, own in parameters.items())
    )


def fit_heads(kind: str, parameters: Parameters, x: np.ndarray, known: Known, **how: Unpack[RowsFitting]) -> Estimator:
    """Fit a classifier to each question, on the rows that answer it; one to all rows where both ways have few.

    Which way an item is decided is no praise and keeps to no sign, so it must not move with a feature that has one:
    then the score keeps to the signs as its other two parts do, as it is a mean of them with weights that stay.

    Args:
        kind, parameters: of `fit_one_head`, the same for all three.
        x: features, (rows, features) with NaN.
        known: labels; its `way` says on which way each row was decided.
        how: see `RowsFitting`.
    """
    way = known.way
    assert way is not None, "only rows whose way is known are fitted"
    if max(way.sum(), (1 - way).sum()) < _MIN_ROWS:
        return fit_one_head(kind, parameters, x, known.y, known.weights, **how)
    unread = tuple(np.flatnonzero(how.get("signs", ())).tolist())

    def part(z: np.ndarray, labels: np.ndarray, weights: np.ndarray, how: RowsFitting) -> Estimator:
        if len(labels) < _MIN_ROWS or len(np.unique(labels)) < 2:
            return Rate.of(labels, weights)
        return fit_one_head(kind, parameters, z, labels, weights, **how)

    of_way = part(np.delete(x, unread, axis=1), way, known.weights, {**how, "signs": ()})
    ways = (part(x[rows], known.y[rows], known.weights[rows], how) for rows in (way == 1, way == 0))
    return HeadsEstimator((of_way, *ways), unread)


def with_others(own: Estimator, others: Others, x: np.ndarray, known: Known) -> Estimator:
    """An estimator beside what other projects know; by itself where its rows say the opposite.

    Args:
        own: fitted to these rows.
        others: what others know.
        x, known: the rows, (rows, features) with NaN, and their labels.
    """
    from sklearn.linear_model import LogisticRegression

    theirs = log_odds(others.estimator.score(x[:, : others.columns]))[:, None]
    line = LogisticRegression().fit(theirs, known.y, sample_weight=known.weights)
    slope, level = float(line.coef_[0, 0]), float(line.intercept_[0])
    return own if slope <= 0 else ProjectEstimator((own, others.estimator), slope, level, others.columns)


def measured_heads(
    heads: Heads, p: np.ndarray, known: Known, needs: Mapping[str, str], *, resamples: int, seed: int
) -> dict[str, dict[str, Estimate]]:
    """Each head judged by itself, on the rows that answer its question.

    Args:
        heads: their names.
        p: what each says, (rows, 3); see `HeadsEstimator.all_scores`.
        known: labels of the rows, and their way.
        needs: what each metric needs in order to exist.
        resamples, seed: of the bootstrap.

    Returns:
        Metrics by name of the head; the baseline of each is the share of positive labels among these very rows.
    """
    assert known.way is not None, "heads are judged where the way is known"
    judged = {}
    questions = ((known.way, np.ones(len(p), bool)), (known.y, known.way == 1), (known.y, known.way == 0))
    for index, (name, (y, rows)) in enumerate(zip(heads.names, questions, strict=True)):
        labels = y[rows]
        share = np.full(len(labels), labels.mean() if len(labels) else np.nan)
        judged[name] = evaluate(
            WeightedMetrics(labels, p[rows, index]),
            WeightedMetrics(labels, share),
            known.weights[rows],
            needs,
            resamples=resamples,
            seed=seed,
            units=known[rows].units,
        )
    return judged
