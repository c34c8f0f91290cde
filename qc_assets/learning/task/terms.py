"""What the lifecycle and the kinds of answers speak of: estimators, metrics, labels and promises."""

from dataclasses import dataclass, fields, replace
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np

from qc_assets.learning.metrics.bootstrap import Estimate


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
    """A metric as people read it.

    Attributes:
        needs: what rows it needs in order to exist, in words.
        aim: the value that is right, where neither more nor less of it is better.
        beside_a_constant: whether it can be compared with that of an answer that is the same for all. A calibration
            error is for a large part chance, of which answers that differ have more or less than one that does not.
    """

    label: str
    higher_is_better: bool
    needs: str = "rows"
    aim: float | None = None
    beside_a_constant: bool = True

    @property
    def sign(self) -> int:
        """1 if more is better, else -1."""
        return 1 if self.higher_is_better else -1

    def gain(self, difference: Estimate, before: float, after: float) -> Estimate:
        """A difference of two values turned so that more is better: nearer to the aim, where there is one.

        Nothing of values on either side of the aim: which is nearer is not what the difference tells.
        """
        if self.aim is None:
            return difference.times(self.sign)
        if (before - self.aim) * (after - self.aim) < 0:
            return Estimate(None, None, None)
        return difference.times(1 if min(before, after) < self.aim else -1)

    def beside(
        self, value: float | None, lower: float | None, upper: float | None, baseline: float | None
    ) -> tuple[bool | None, bool]:
        """A value with its interval beside that of a prediction that knows nothing.

        Returns:
            Whether it is better, None where there is nothing to compare or both are as good; and whether that is sure,
            as the baseline lies outside of the interval.
        """
        if value is None or baseline is None or not self.beside_a_constant:
            return None, False
        gain = (value - baseline) * self.sign if self.aim is None else abs(baseline - self.aim) - abs(value - self.aim)
        if gain == 0:
            return None, False
        return gain > 0, lower is not None and upper is not None and not lower <= baseline <= upper


@dataclass(frozen=True)
class Others:
    """What other projects know: their estimator, which reads the first so many columns."""

    estimator: Estimator
    columns: int


class RowsFitting(TypedDict):
    """How an estimator is fitted to rows; the same seed, rows and threads give the same one.

    Attributes:
        threads: None means all cores.
        signs: of `ModelSpec.signs`, which only probabilities heed; columns beyond are free.
    """

    seed: int
    threads: int | None
    signs: NotRequired[tuple[int, ...]]


class Fitting(RowsFitting):
    """How an estimator is fitted.

    Attributes:
        others: what a small project learns from besides its rows, which only probabilities heed.
    """

    others: NotRequired[Others | None]


@dataclass(frozen=True)
class Known:
    """What was known of some rows at some moment.

    Attributes:
        y: labels, (rows,).
        weights: (rows,); 0 for a row whose label was not known, more than 1 for one that stands for others.
        groups: ids of repositories, of which none may decide a calibration alone, and each may have intervals of its
            own, (rows,); None where there are none.
        units: whose the rows are, see `qc_assets.learning.metrics.units`, (rows, 2); None where nobody knows.
        way: 1 where a row was decided the way that the spec's heads ask about, else 0, (rows,); None without heads.
        lasted: of durations, hours until a row ended or was lost to sight, (rows,).
        watchable: of durations, hours from its opening to when everybody was last watched, (rows,).
    """

    y: np.ndarray
    weights: np.ndarray
    groups: np.ndarray | None = None
    way: np.ndarray | None = None
    units: np.ndarray | None = None
    lasted: np.ndarray | None = None
    watchable: np.ndarray | None = None

    def __getitem__(self, rows: Any) -> "Known":
        """Only some rows."""
        some = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: part[rows] for name, part in some.items() if part is not None})


@dataclass(frozen=True)
class Gate:
    """A promise that a trained model keeps or breaks; one that does not block only warns.

    Attributes:
        passed: None where it cannot be judged: it is left out then, and the detail says why.
    """

    name: str
    passed: bool | None
    detail: str
    blocks: bool = True

    @property
    def forbids(self) -> bool:
        """Whether it keeps a version from becoming champion."""
        return self.blocks and self.passed is False
