"""Are the answers right on average in every repository and every month, and not only over all of them?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from qc_assets.learning.metrics.bootstrap import MIN_ROWS, Estimate, evaluate
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics, log_losses
from qc_assets.learning.metrics.units import scatter_of_sum, units_of
from qc_assets.learning.task.terms import Known

# Of the parts that are named as off, at most one in twenty is so by chance (Benjamini and Hochberg, 1995).
_FALSE_ALARMS = 0.05
# A repository's own rate is drawn towards that of all as if it had so many rows of theirs.
_BORROWED_ROWS = 10.0
_ROWS_TO_LOSE = 50


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed in a part of the test window.

    Attributes:
        part, name: a repository by its name (its id where nobody knows that), a month, or who made the items.
        rows: how many.
        predicted, observed: means.
        gap: predicted minus observed.
        ece: calibration error; above zero by chance alone, the more so the fewer rows there are.
        is_off: whether so large a gap is surely no chance; None where there are too few rows to say.
    """

    part: Literal["repository", "month", "origin"]
    name: str
    rows: int
    predicted: float
    observed: float
    gap: Estimate
    ece: Estimate
    is_off: bool | None

    def __str__(self) -> str:
        return f"{self.part} {self.name}: {self.predicted:.1%} predicted, {self.observed:.1%} observed"


def reliability_of(
    frame: pl.DataFrame,
    opened_at: np.ndarray,
    predicted: np.ndarray,
    observed: np.ndarray,
    weights: np.ndarray,
    error: float = 0.0,
    *,
    resamples: int,
    seed: int,
) -> tuple[Reliability, ...]:
    """Reliability by repository, by month of opening and by origin, the largest parts first.

    Args:
        frame: the rows; without `repo_id` there are no repositories, without `origin` no origins.
        opened_at: when they were opened, (n,).
        predicted: probabilities, (n,); of intervals, the share that they promise to hold.
        observed: 0 or 1, (n,).
        weights: of the rows, 0 for those that are not known, (n,).
        error: standard error of what is predicted for a part, besides chance.
        resamples, seed: of the intervals.
    """
    seen = weights > 0
    frame, opened_at = frame.filter(pl.Series(seen)), opened_at[seen]
    parts = {"month": opened_at.astype("datetime64[M]").astype(str)}
    if "repo_id" in frame.columns:
        parts["repository"] = _repositories(frame)
    if "origin" in frame.columns:
        parts["origin"] = frame["origin"].fill_null("unknown").to_numpy().astype(str)
    promised = predicted[seen], observed[seen], weights[seen], units_of(frame, opened_at), error
    return tuple(
        row
        for part, names in parts.items()
        for row in _by(part, names, *promised, resamples, seed)  # type: ignore[arg-type]
    )


def _repositories(frame: pl.DataFrame) -> np.ndarray:
    """The repository of each row by its name where rows have names and no two share one, else by its id, (rows,)."""
    ids = frame["repo_id"].cast(pl.String)
    if "repo" in frame.columns and frame["repo"].n_unique() == frame["repo_id"].n_unique():
        ids = frame["repo"].fill_null(ids)
    return ids.to_numpy().astype(str)


def _by(
    part: Literal["repository", "month", "origin"],
    names: np.ndarray,
    predicted: np.ndarray,
    observed: np.ndarray,
    weights: np.ndarray,
    units: np.ndarray | None,
    error: float,
    resamples: int,
    seed: int,
) -> list[Reliability]:
    from scipy.stats import false_discovery_control, norm, t

    members = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    judged = [name for name, of_part in members.items() if len(of_part) >= MIN_ROWS]
    chances = []
    for name in judged:
        p, y, w = predicted[members[name]], observed[members[name]], weights[members[name]]
        # Were the predictions right, the sum of the labels would have this variance, and more where authors differ.
        variance, calibrated = w**2 @ (p * (1 - p)), (error * w.sum()) ** 2
        among_authors, freedom = scatter_of_sum(y - p, w, None if units is None else units[members[name]])
        gap, is_wider = abs(w @ (y - p)), units is not None and among_authors > variance
        spread = np.sqrt(max(calibrated + (among_authors if is_wider else variance), 1e-9))
        chances.append(2 * (t.sf(gap / spread, freedom) if is_wider else norm.sf(gap / spread)))
    corrected = false_discovery_control(chances) if judged else ()
    is_off = dict(zip(judged, (bool(q <= _FALSE_ALARMS) for q in corrected), strict=True))
    needs = {"ece": "rows", "gap": "rows"}
    parts = []
    for name, of_part in sorted(members.items(), key=lambda item: -len(item[1])):
        p, y, w_part = predicted[of_part], observed[of_part], weights[of_part]
        metrics, excess = WeightedMetrics(y, p), p - y
        # Of one promise for all rows there is one bin.
        is_constant = bool(np.ptp(p) == 0)

        def statistics(
            w: np.ndarray,
            metrics: WeightedMetrics = metrics,
            excess: np.ndarray = excess,
            is_constant: bool = is_constant,
        ) -> dict[str, np.ndarray]:
            with np.errstate(invalid="ignore"):  # a resample may have none of its authors
                gap = w @ excess / w.sum(axis=1)
            return {"ece": np.abs(gap) if is_constant else metrics(w)["ece"], "gap": gap}

        whose = None if units is None else units[of_part]
        measured = evaluate(statistics, statistics, w_part, needs, resamples=resamples, seed=seed, units=whose)
        means = float(np.average(p, weights=w_part)), float(np.average(y, weights=w_part))
        parts.append(Reliability(part, name, len(p), *means, measured["gap"], measured["ece"], is_off.get(name)))
    return parts


@dataclass(frozen=True)
class LosingRepositories:
    """Where a model knows less than the repository's own share of ones.

    Attributes:
        judged: how many repositories have rows enough.
        names: those in which its log loss is surely above that of the share, in words.
    """

    judged: int
    names: tuple[str, ...]


def losing_repositories(
    before: tuple[pl.DataFrame, Known], tested: tuple[pl.DataFrame, Known], predicted: np.ndarray
) -> LosingRepositories:
    """Compare a model, repository by repository, with the share of ones that was known of it before the test window.

    Args:
        before: rows whose labels were known when the test window began, and the labels.
        tested: rows of the test window, and theirs.
        predicted: the model's probabilities for these, (n,).
    """
    from scipy.stats import false_discovery_control, t

    (frame, known), (rows, test) = before, tested
    if "repo_id" not in frame.columns:
        return LosingRepositories(0, ())
    past, ids, names = frame["repo_id"].to_numpy(), rows["repo_id"].to_numpy(), _repositories(rows)
    share = np.average(known.y, weights=known.weights)
    labels, chances = [], []
    for repo_id in np.unique(ids):
        of_test, of_past = (ids == repo_id) & (test.weights > 0), past == repo_id
        if of_test.sum() < _ROWS_TO_LOSE:
            continue
        y, w = known.y[of_past], known.weights[of_past]
        own = (w @ y + _BORROWED_ROWS * share) / (w.sum() + _BORROWED_ROWS)
        losses = (log_losses(test.y[of_test], p) for p in (predicted[of_test], np.full(of_test.sum(), own)))
        excess = np.subtract(*losses)
        labels.append(f"{names[of_test][0]} (by {excess.mean():.3f} of log loss)")
        units = None if test.units is None else test.units[of_test]
        variance, freedom = scatter_of_sum(excess, np.ones(len(excess)), units)
        chances.append(t.sf(excess.sum() / np.sqrt(max(variance, 1e-12)), freedom))
    corrected = false_discovery_control(chances) if chances else ()
    surely = tuple(label for label, q in zip(labels, corrected, strict=True) if q <= _FALSE_ALARMS)
    return LosingRepositories(len(labels), surely)
