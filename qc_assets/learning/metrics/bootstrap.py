"""Intervals by resampling: one metric with its interval, and two models on the same rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

_CELLS = 4_000_000  # numbers held at once while resampling

# Each metric under each of many weightings (resamples, rows) of the same rows: (resamples,) by name.
Statistics = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Estimate:
    """A metric's value, its 95 % interval, and the value of a trivial prediction."""

    value: float
    lower: float
    upper: float
    baseline: float


def evaluate(
    statistics: Statistics, trivial: Statistics, weights: np.ndarray, *, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Every metric with a 95 % percentile interval of the Poisson bootstrap (Chamandy et al., 2012).

    Args:
        statistics: of the predictions to judge.
        trivial: of a prediction that knows nothing; its metrics are the baselines.
        weights: of the rows, (n,); a resample multiplies them with its own.
        resamples: number of bootstrap weightings.
        seed: seed of the weightings.
    """
    value, baseline = statistics(weights[None, :]), trivial(weights[None, :])
    drawn = _join([statistics(draw * weights) for draw in draws(len(weights), resamples, seed)])
    return {
        name: Estimate(float(value[name][0]), *_interval(drawn[name]), baseline=float(baseline[name][0]))
        for name in value
    }


def paired_differences(
    ours: Statistics, theirs: Statistics, weights: np.ndarray, *, resamples: int, seed: int
) -> dict[str, tuple[float, float, float]]:
    """Difference of each metric, ours minus theirs, under the same resamples of the same rows.

    Returns:
        By metric: difference, lower and upper end of its 95 % interval.
    """
    drawn = [draw * weights for draw in draws(len(weights), resamples, seed)]
    own, other = _join([ours(draw) for draw in drawn]), _join([theirs(draw) for draw in drawn])
    value, their_value = ours(weights[None, :]), theirs(weights[None, :])
    return {name: (float((value[name] - their_value[name])[0]), *_interval(own[name] - other[name])) for name in value}


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    lower, upper = np.nanpercentile(drawn, [2.5, 97.5])
    return float(lower), float(upper)


def _join(draws: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([draw[name] for draw in draws]) for name in draws[0]}


def draws(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Poisson(1) weights of `n` rows for every resample, in parts of (some resamples, n) that fit into memory."""
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        yield rng.poisson(1.0, (min(step, resamples - start), n)).astype(np.float64)
