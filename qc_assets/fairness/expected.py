"""What predictions are worth for a group, judged by the labels of the others."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from qc_assets.learning.metrics.units import scatter_of_sum

_CLIP = 1e-6
_BINS = 512
_FEWEST = 30  # rows of a group that can stand out
_BEYOND_DOUBT = 1e-3


@dataclass(frozen=True)
class Rows:
    """The rows of all groups, one group after the other.

    Attributes:
        names: of the groups.
        sizes: rows of each group, (groups,).
        y: labels, (rows,).
        p: predictions, (rows,).
        weights: of the rows, (rows,).
        units: whose the rows are, see `qc_assets.learning.metrics.units`, (rows, 2); None: each is by itself.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    y: np.ndarray
    p: np.ndarray
    weights: np.ndarray
    units: np.ndarray | None = None

    @property
    def codes(self) -> np.ndarray:
        """Group number of each row, (rows,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    @property
    def parts(self) -> list[slice]:
        """Where the rows of each group lie."""
        return [slice(start, start + size) for start, size in zip(self.starts, self.sizes, strict=True)]


def sum_by_group(rows: Rows, values: np.ndarray) -> np.ndarray:
    """Weighted sum of each group, (groups,)."""
    return np.add.reduceat(rows.weights * values, rows.starts)


def scatter_among_authors(rows: Rows, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of each group's weighted mean as its authors differ, and the degrees of freedom, (groups,) both.

    Zero and infinite where nobody knows whose the rows are.
    """
    if rows.units is None:
        return np.zeros(len(rows.sizes)), np.full(len(rows.sizes), np.inf)
    scattered = [scatter_of_sum(values[part], rows.weights[part], rows.units[part]) for part in rows.parts]
    variance, freedom = np.array(scattered).T
    return variance / sum_by_group(rows, np.ones_like(values)) ** 2, freedom


def promised_by_others(rows: Rows) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """What the other groups' labels say that predictions are worth, and how uncertain that is.

    A group that stands out beyond doubt is no measure for the others: it is left out of what they are compared
    with, the most striking first, as long as half of all rows stay in.

    Returns:
        For each row, its prediction recalibrated on the groups that its own is compared with, (rows,); and a
        function that gives, for a change of each row's metric by its label, (rows,), the variance of the group's
        expected mean that comes from those groups being few, (groups,).
    """
    groups, logit = len(rows.sizes), _logit(rows.p)
    design = np.stack([np.ones_like(logit), logit], axis=1)
    centres, counts, ones = _binned(rows, logit)
    limit = norm.isf(_BEYOND_DOUBT / 2 / groups)
    clean = np.ones(groups, dtype=bool)
    while True:
        fits = [_logistic(centres, *_compared_with(g, clean, counts, ones)) for g in range(groups)]
        thetas = np.array([theta for theta, _ in fits])[rows.codes]
        q = 1 / (1 + np.exp(-np.einsum("ij,ij->i", design, thetas)))
        excess = sum_by_group(rows, rows.y - q) / np.sqrt(np.maximum(sum_by_group(rows, q * (1 - q)), 1e-9))
        striking = clean & (np.abs(excess) > limit) & (rows.sizes >= _FEWEST)
        striking &= rows.sizes <= rows.sizes[clean].sum() - rows.sizes.sum() / 2
        if not striking.any():
            break
        clean[max(np.flatnonzero(striking), key=lambda g: (round(abs(excess[g]), 3), -rows.sizes[g]))] = False
    covariances = np.array([covariance for _, covariance in fits])

    def doubt(slope: np.ndarray) -> np.ndarray:
        moved = (slope * q * (1 - q))[:, None] * design
        gradient = np.add.reduceat(moved, rows.starts, axis=0) / rows.sizes[:, None]
        return np.einsum("gi,gij,gj->g", gradient, covariances, gradient)

    return q, doubt


def _compared_with(
    group: int, clean: np.ndarray, counts: np.ndarray, ones: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and ones in each bin of the clean groups but `group`; with it if there is no other."""
    others = clean.copy()
    others[group] = False
    if not others.any():
        others[group] = True
    return counts[others].sum(axis=0), ones[others].sum(axis=0)


def _binned(rows: Rows, logit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean logit of each bin, (bins,), and rows and ones by group and bin, (groups, bins).

    Fitting a line to 512 bins instead of all rows changes nothing that matters, and leaving a group out of it is a
    subtraction.
    """
    edges = np.unique(np.quantile(logit, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bin_of = np.searchsorted(edges, logit, side="right")
    bins = len(edges) + 1
    cell = rows.codes * bins + bin_of
    shape = (len(rows.sizes), bins)
    counts = np.bincount(cell, minlength=shape[0] * bins).reshape(shape).astype(np.float64)
    ones = np.bincount(cell, weights=rows.y, minlength=shape[0] * bins).reshape(shape)
    centres = np.bincount(bin_of, weights=logit, minlength=bins) / np.maximum(1, counts.sum(axis=0))
    return centres, counts, ones


def recalibrated(rows: Rows) -> np.ndarray:
    """Predictions recalibrated on all rows, (rows,): the spread of a ranking is better known by all than by others."""
    logit = _logit(rows.p)
    centres, counts, ones = _binned(rows, logit)
    theta, _ = _logistic(centres, counts.sum(axis=0), ones.sum(axis=0))
    return 1 / (1 + np.exp(-(theta[0] + theta[1] * logit)))


def _logistic(z: np.ndarray, counts: np.ndarray, ones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope of a logistic regression on counts by value of `z`, and their covariance.

    Newton's method with halved steps; a faint ridge ends it where one class is missing.
    """
    design, ridge, theta = np.stack([np.ones_like(z), z], axis=1), 1e-3 * np.eye(2), np.zeros(2)

    def loss(at: np.ndarray) -> float:
        score = design @ at
        return float(counts @ np.logaddexp(0, score) - ones @ score + at @ ridge @ at / 2)

    before = loss(theta)
    for _ in range(50):
        q = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        hessian = (design * (counts * q * (1 - q))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, design.T @ (ones - counts * q) - ridge @ theta)
        while (after := loss(theta + step)) > before and np.abs(step).max() > 1e-9:
            step = step / 2  # Newton's full step may overshoot far from the minimum
        theta, before = theta + step, min(before, after)
        if np.abs(step).max() < 1e-6:
            break
    return theta, np.linalg.inv(hessian)


def _logit(p: np.ndarray) -> np.ndarray:
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))
