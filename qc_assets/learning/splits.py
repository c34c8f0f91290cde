"""Splits by time. Nothing here is random: what is evaluated is always later than what was fitted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from qc_assets.errors import TrainingError
from qc_assets.learning.dataset import Dataset

# What knows less than this share of what another estimator knows says little of what that one's scores mean.
CARRIES = 0.5
# Of all rows, in the calibration window and in the test window, the first that leaves enough to train on.
_SHARES = (0.15, 0.12, 0.09, 0.07, 0.05)


@dataclass(frozen=True)
class TimeSplit:
    """Row indices of three windows, each wholly before the next.

    Attributes:
        train, calibration, test: integer indices into the data set.
        before_test: everything whose label was known and mature when the test window began: train, calibration, and
            what lies in the gap between them.
        labelled: everything whose label is known and mature by now, the test window with it.
        as_of: by window, the instant at which its labels are read: the next boundary, or the end of time.
        immature: rows left out because they lie in the last two gaps, or their label came after their window's gap.
    """

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    before_test: np.ndarray
    labelled: np.ndarray
    as_of: dict[str, np.datetime64]
    immature: int

    @property
    def windows(self) -> dict[str, np.ndarray]:
        return {"train": self.train, "calibration": self.calibration, "test": self.test}

    @property
    def gap(self) -> np.ndarray:
        """What `before_test` adds to train and calibration window."""
        return np.setdiff1d(self.before_test, np.concatenate([self.train, self.calibration]))

    @property
    def train_share(self) -> float:
        """The share of what is fitted to all before the test that is fitted to the train window, too."""
        return len(self.train) / len(self.before_test)

    @property
    def carries(self) -> bool:
        """Whether what is fitted to the train window knows enough for its map and intervals to be carried over."""
        return self.train_share >= CARRIES

    @property
    def known_windows(self) -> dict[str, np.ndarray]:
        """The windows, and `before_test` and `labelled`, which overlap them."""
        return self.windows | {"before_test": self.before_test, "labelled": self.labelled}


def time_split(data: Dataset, maturity: timedelta) -> TimeSplit:
    """Split by opening time: the newest 15 % to test on, 15 % to calibrate on, and what is before them to train on.

    At each boundary a label counts only if it was known by then, as it would have been had the model been fitted
    on that day. In the last `maturity` before a boundary only quick decisions would be known, so rows opened in it
    are left out altogether, and shares are counted in what is not: else the gap would eat the test window first.
    Of a history that is short for its gaps the shares are smaller, as far as 5 %, so that what is calibrated knows half
    of what is judged.

    Args:
        data: labelled rows in order of opening.
        maturity: how long a label needs.

    Raises:
        TrainingError: if a window would be empty.
    """
    if len(data) == 0:
        raise TrainingError("there are no labelled rows")
    gap = np.timedelta64(int(maturity.total_seconds() * 1e6), "us")
    splits = [_newest_apart(data, gap, share) for share in _SHARES]
    whole = [split for split in splits if all(len(rows) for rows in split.windows.values())]
    if not whole:
        empty = next(name for name, rows in splits[0].windows.items() if len(rows) == 0)
        span = (data.opened_at[-1] - data.opened_at[0]) / np.timedelta64(1, "D")
        raise TrainingError(
            f"the {empty} window is empty: {len(data)} labelled rows over {span:.0f} days are too few for windows "
            f"{maturity.days} days apart; backfill more days"
        )
    split = next((split for split in whole if split.carries), whole[0])
    return replace(split, immature=len(data) - len(split.before_test) - len(split.test))


def _newest_apart(data: Dataset, gap: np.timedelta64, share: float) -> TimeSplit:
    """Windows of which calibration and test have such a share of all rows, as far as there are as many."""
    second = _start_of_newest(data.opened_at[data.opened_at < data.observed_until - gap], len(data), share)
    first = _start_of_newest(data.opened_at[data.opened_at < second - gap], len(data), share)
    return _windows(data, gap, first, second)


def _windows(data: Dataset, gap: np.timedelta64, first: np.datetime64, second: np.datetime64) -> TimeSplit:
    opened, known = data.opened_at, data.known_at
    train = (opened < first - gap) & (known < first)
    calibration = (opened >= first) & (opened < second - gap) & (known < second)
    test = (opened >= second) & (opened < data.observed_until - gap)
    before_test = (opened < second - gap) & (known < second)
    as_of = {
        "train": first,
        "calibration": second,
        "before_test": second,
        "test": np.datetime64("9999-01-01", "us"),
        "labelled": np.datetime64("9999-01-01", "us"),
    }
    windows = {"train": train, "calibration": calibration, "test": test, "before_test": before_test}
    windows["labelled"] = opened < data.observed_until - gap
    return TimeSplit(**{name: np.flatnonzero(mask) for name, mask in windows.items()}, as_of=as_of, immature=0)


def _start_of_newest(opened: np.ndarray, rows: int, share: float) -> np.datetime64:
    """When the newest of some openings begin that are a share of so many rows; long ago if there are not as many."""
    count = max(1, round(share * rows))
    return opened[-count] if count <= len(opened) else np.datetime64("1970-01-01", "us")


def time_folds(
    data: Dataset, rows: np.ndarray, maturity: timedelta, n_folds: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.datetime64]]:
    """Expanding folds within `rows`: fit on what was known, validate on the next stretch of openings.

    Yields:
        Row indices to fit and to validate on, and the instant between them; folds in which either is empty are
        skipped.
    """
    gap = np.timedelta64(int(maturity.total_seconds() * 1e6), "us")
    edges = [
        data.opened_at[rows[min(int(len(rows) * share), len(rows) - 1)]] for share in np.linspace(0.5, 1, n_folds + 1)
    ]
    for start, end in pairwise(edges):
        opened, known = data.opened_at[rows], data.known_at[rows]
        fit = rows[(opened < start - gap) & (known < start)]
        validate = rows[(opened >= start) & (opened < end)]
        if len(fit) and len(validate):
            yield fit, validate, start
