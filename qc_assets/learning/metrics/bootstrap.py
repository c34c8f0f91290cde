"""Intervals by resampling: one metric with its interval, and two models on the same rows.

Rows of one author are alike: what a model misjudges of one it misjudges of the next. Resampling rows as if each said
something new called noise "surely better" in up to 46 of 100 simulated promotions (5,000 rows of 20 authors), instead
of 5. So authors are drawn, not rows (the Poisson bootstrap of Chamandy et al., 2012, draws users for that reason;
Cameron and Miller, 2015), and percentiles are widened for how few they are (Hesterberg, 2015).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from qc_assets.learning.metrics.units import effective_units, independent

# Fewer rows than this say nothing about a model: an AUC of them goes from 0 to 1.
MIN_ROWS = 30
# A resample in which a metric does not exist is left out; where more than a tenth are, so is the interval.
DEFINED = 0.9
_FEWEST_UNITS = 5
_CELLS = 4_000_000  # numbers held at once while resampling

# Each metric under each of many weightings (resamples, rows) of the same rows: (resamples,) by name.
Statistics = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Estimate:
    """A metric's value, or the difference of two, with its 95 % interval; None where a number does not exist.

    Attributes:
        value, lower, upper: finite, or None.
        baseline: the value of a trivial prediction, where there is one.
        reason: why a number is missing; empty if none is.
    """

    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None = None
    reason: str = ""

    def is_surely_above(self, limit: float) -> bool:
        """Whether the whole interval lies above; False where there is none."""
        return self.lower is not None and self.lower > limit

    def is_surely_below(self, limit: float) -> bool:
        """Whether the whole interval lies below; False where there is none."""
        return self.upper is not None and self.upper < limit

    @property
    def is_above_baseline(self) -> bool | None:
        """Whether the value is higher than the baseline; None where one of them does not exist."""
        return None if self.value is None or self.baseline is None else self.value > self.baseline

    @property
    def is_below_baseline(self) -> bool | None:
        """Whether the value is lower than the baseline; None where one of them does not exist."""
        return None if self.value is None or self.baseline is None else self.value < self.baseline

    def times(self, sign: int) -> "Estimate":
        """The same, turned round where `sign` is -1, so that more is better."""
        if sign > 0:
            return self
        value, upper, lower = (None if number is None else -number for number in (self.value, self.lower, self.upper))
        return Estimate(value, lower, upper, reason=self.reason)

    def __format__(self, spec: str) -> str:
        if self.value is None:
            return f"{MISSING} (not computed: {self.reason})"
        if self.lower is None or self.upper is None:
            return f"{self.value:{spec}} (no interval: {self.reason})"
        return f"{self.value:{spec}} ({self.lower:{spec}} to {self.upper:{spec}})"


MISSING = "–"


def shown(number: float | None, spec: str = ".4f") -> str:
    """A number as people read it; a dash if it does not exist."""
    return MISSING if number is None else f"{number:{spec}}"


def evaluate(
    statistics: Statistics,
    trivial: Statistics,
    weights: np.ndarray,
    needs: Mapping[str, str],
    *,
    resamples: int,
    seed: int,
    units: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Every metric with a 95 % percentile interval of the Poisson bootstrap (Chamandy et al., 2012).

    Args:
        statistics: of the predictions to judge.
        trivial: of a prediction that knows nothing; its metrics are the baselines.
        weights: of the rows, (n,); a resample multiplies them with its own.
        needs: the metrics, and in words what each needs in order to exist.
        resamples: number of bootstrap weightings.
        seed: seed of the weightings.
        units: whose the rows are, see `units_of`; None: each says something of its own.
    """
    if too_few := _too_few(weights):
        return dict.fromkeys(needs, Estimate(None, None, None, reason=too_few))
    return _estimates(statistics, weights, needs, trivial(weights[None, :]), resamples, seed, units)


def paired_differences(
    ours: Statistics,
    theirs: Statistics,
    weights: np.ndarray,
    needs: Mapping[str, str],
    *,
    resamples: int,
    seed: int,
    units: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Difference of each metric, ours minus theirs, under the same resamples of the same rows; see `evaluate`."""
    if too_few := _too_few(weights):
        return dict.fromkeys(needs, Estimate(None, None, None, reason=too_few))

    def both(weightings: np.ndarray) -> dict[str, np.ndarray]:
        own, other = ours(weightings), theirs(weightings)
        with np.errstate(invalid="ignore"):
            return {name: own[name] - other[name] for name in needs}

    return _estimates(both, weights, needs, {}, resamples, seed, units)


def _too_few(weights: np.ndarray) -> str:
    """Why rows of these weights cannot be judged at all; empty if they can."""
    rows = int(np.count_nonzero(weights))
    return "" if rows >= MIN_ROWS else f"{rows or 'no'} rows with a label, at least {MIN_ROWS} needed"


def _estimates(
    statistics: Statistics,
    weights: np.ndarray,
    needs: Mapping[str, str],
    baselines: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
    units: np.ndarray | None,
) -> dict[str, Estimate]:
    codes = None if units is None else independent(units, weights)
    values = statistics(weights[None, :])
    drawn = [statistics(draw * weights) for draw in draws(len(weights), resamples, seed, codes)]
    tail = _tail(effective_units(weights, codes))
    estimates = {}
    for name, need in needs.items():
        value, resampled = float(values[name][0]), np.concatenate([draw[name] for draw in drawn])
        baseline = float(baselines[name][0]) if name in baselines else np.nan
        known = baseline if isfinite(baseline) else None
        defined = resampled[np.isfinite(resampled)]
        if not isfinite(value):
            estimates[name] = Estimate(None, None, None, known, f"it needs {need}")
        elif len(defined) < DEFINED * len(resampled):
            reason = f"it needs {need}, which many resamples lack"
            estimates[name] = Estimate(value, None, None, known, reason)
        elif not tail:
            reason = "rows of so few authors and weeks say nothing of chance"
            estimates[name] = Estimate(value, None, None, known, reason)
        else:
            lower, upper = np.quantile(defined, [tail, 1 - tail])
            estimates[name] = Estimate(value, float(lower), float(upper), known)
    return estimates


def draws(n: int, resamples: int, seed: int, codes: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Poisson(1) weights of `n` rows for every resample, in parts of (some resamples, n) that fit into memory.

    With `codes` (see `independent`) all rows of one have the same weight.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        if codes is None:
            yield rng.poisson(1.0, (rows, n)).astype(np.float64)
        else:
            yield rng.poisson(1.0, (rows, int(codes.max()) + 1)).astype(np.float64)[:, codes]


def _tail(units: float) -> float:
    """The share beyond each end of an interval of 95 % from so many units: Hesterberg's expanded percentiles (2015).

    A bootstrap's spread is too small by sqrt(1 - 1/n), and few units need Student's t. Zero where nothing can be said:
    three units lie on the same side by chance once in four times.
    """
    from scipy.stats import norm, t

    if units < _FEWEST_UNITS:
        return 0.0
    return float(norm.sf(np.sqrt(units / (units - 1)) * t.isf(0.025, units - 1)))
