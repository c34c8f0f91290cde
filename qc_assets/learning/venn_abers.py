"""How sure a probability is: what it would be had the item been one more failure, or one more success, like it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import polars as pl

# Levels are rounded outwards to so many steps, which bounds the file whatever the calibration window has.
_STEPS = 10_000
_STEP_FIELDS = ("lower_from", "lower", "upper_to", "upper")


@dataclass(frozen=True)
class VennAbers:
    """Intervals of probabilities by an inductive Venn-Abers predictor (Vovk and Petej, 2014).

    Isotonic regression is fitted to the calibration rows and the item itself, once with the label 0 and once with 1:
    what it says of the item are the ends. One of the two is calibrated whatever the model is, as long as rows are
    exchangeable. The interval is wide where few calibration rows are alike; it is no confidence interval of the true
    probability. Both ends are step functions of the score, so they are kept for all scores (Vovk, Petej and
    Fedorova, 2015). Scores are the calibrated answers, whose order is that of the scores.

    Attributes:
        rows: calibration rows that stand behind it.
        lower_from, lower: the lower end from each answer on; 0 below the first.
        upper_to, upper: the upper end up to each answer; 1 above the last.
    """

    rows: int
    lower_from: tuple[float, ...]
    lower: tuple[float, ...]
    upper_to: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def fit(cls, answers: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Fit on the calibration window.

        Args:
            answers: calibrated probabilities, (rows,).
            labels: 0 or 1, (rows,).
            weights: of the rows, (rows,); default: alike. They count as the rows that they are worth (Kish, 1965),
                and the item as one.
        """
        weights = np.ones(len(answers)) if weights is None else weights
        weights = weights * weights.sum() / (weights**2).sum()
        scores, place = np.unique(answers[weights > 0], return_inverse=True)
        weights, labels = weights[weights > 0], labels[weights > 0]
        mass = np.bincount(place, weights=weights)
        ones = np.bincount(place, weights=weights * labels)
        upper = np.ceil(_with_one_more(mass, ones) * _STEPS - 1e-6) / _STEPS
        lower = np.floor((1 - _with_one_more(mass[::-1], (mass - ones)[::-1])[::-1]) * _STEPS + 1e-6) / _STEPS
        begins, ends = np.r_[True, np.diff(lower) > 0], np.r_[np.diff(upper) > 0, True]
        steps = (scores[begins], lower[begins], scores[ends], upper[ends])
        return cls(len(labels), *(tuple(part.tolist()) for part in steps))

    def __call__(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end for calibrated probabilities, (rows,) each; widened to hold the probability itself.

        The calibration's curve is smooth and may lie outside of the steps of the isotonic regressions.
        """
        lower_from, lower, upper_to, upper = self._arrays
        return (
            np.minimum(lower[np.searchsorted(lower_from, answers, side="right")], answers),
            np.maximum(upper[np.searchsorted(upper_to, answers, side="left")], answers),
        )

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Made once: a request is one answer, and there may be thousands of steps."""
        return np.array(self.lower_from), np.r_[0.0, self.lower], np.array(self.upper_to), np.r_[self.upper, 1.0]

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows} | {name: list(getattr(self, name)) for name in _STEP_FIELDS}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "VennAbers":
        steps = (tuple(document[name]) for name in _STEP_FIELDS)
        return cls(document["rows"], *steps)


def with_bounds(table: pl.DataFrame, bounds: VennAbers | None) -> pl.DataFrame:
    """Answers (see `Task.table`) with the ends of their intervals as lower and upper, where there are any."""
    if bounds is None:
        return table
    # Without an expression, whose engine takes longer than all else that a request needs.
    bounded = table.clone()
    for name, ends in zip(("lower", "upper"), bounds(table["prediction"].to_numpy()), strict=True):
        bounded.replace_column(table.get_column_index(name), pl.Series(name, ends))
    return bounded


def _with_one_more(mass: np.ndarray, ones: np.ndarray) -> np.ndarray:
    """What isotonic regression says at each score if it has one more row there, whose label is 1, (scores,).

    Algorithms 1 and 2 of Vovk, Petej and Fedorova (2015): the corners of the lower convex hull of cumulative sums,
    which change little from one score to the next.

    Args:
        mass, ones: weight of the rows at each score, and of those with the label 1, by rising score, (scores,).
    """
    # The one more row comes first, and is then moved past one score after the other.
    x = np.r_[-1.0, 0.0, np.cumsum(mass)].tolist()
    y = np.r_[-1.0, 0.0, np.cumsum(ones)].tolist()
    points = list(zip(x, y, strict=True))
    corners: list[tuple[float, float]] = []
    for point in points:
        while len(corners) > 1 and _turn(corners[-2], corners[-1], point) <= 0:
            corners.pop()
        corners.append(point)
    corners.reverse()  # the top of the stack is the leftmost
    levels = np.empty(len(mass))
    for index in range(len(mass)):
        (x0, y0), (x1, y1) = corners[-1], corners[-2]
        levels[index] = (y1 - y0) / (x1 - x0)
        before, here, after = points[index : index + 3]
        moved = (before[0] + after[0] - here[0], before[1] + after[1] - here[1])
        points[index + 1] = moved
        if _turn(corners[-1], corners[-2], moved) >= 0:
            continue
        corners.pop()
        while len(corners) > 1 and _turn(moved, corners[-1], corners[-2]) <= 0:
            corners.pop()
        corners.append(moved)
    return np.maximum.accumulate(np.clip(levels, 0, 1))


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Positive if the way from a over b to c turns left, 0 if it is straight."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
