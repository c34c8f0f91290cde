"""What is called sure, on simulated rows whose truth is known: rows of one author are not so many observations."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.fairness import BiasAnalyzer
from qc_assets.learning.metrics.bootstrap import Estimate, paired_differences
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics
from qc_assets.learning.metrics.units import independent, units_of
from qc_assets.learning.reliability import losing_repositories, reliability_of
from qc_assets.learning.task.terms import Known

START = np.datetime64("2024-01-01", "us")


def chance(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def world(rng: np.random.Generator, n: int, authors: int, differ: float) -> dict[str, Any]:
    """Rows of authors who differ in what nobody predicts of them; predictions are right over all authors."""
    who = np.arange(n) % authors
    known = rng.normal(-0.8, 1, n)
    labels = (rng.random(n) < chance(known + differ * rng.normal(size=authors)[who])) * 1.0
    opened = START + np.sort(rng.integers(0, 120, n)).astype("timedelta64[D]")
    units = units_of(pl.DataFrame({"author_id": who}), opened)
    # The logit of a mean over a normal distribution (Zeger, Liang and Albert, 1988).
    p = chance(known / np.sqrt(1 + 0.346 * differ**2))
    return {"who": who, "known": known, "y": labels, "p": p, "opened": opened, "units": units}


def rivals_difference(rows: dict[str, Any], rng: np.random.Generator, first: float = 0.4) -> Estimate:
    """Two models that misjudge other authors, each as much as the other unless `first` says otherwise."""
    n, authors = len(rows["y"]), int(rows["who"].max()) + 1
    errors = (size * rng.normal(size=authors)[rows["who"]] + 0.1 * rng.normal(size=n) for size in (first, 0.4))
    models = (WeightedMetrics(rows["y"], chance(rows["known"] + error)) for error in errors)
    needs = {"log_loss": "rows"}
    return paired_differences(*models, np.ones(n), needs, resamples=120, seed=0, units=rows["units"])["log_loss"]


@pytest.mark.parametrize(("n", "authors"), [(500, 20), (1_000, 20)])
def test_noise_is_hardly_ever_surely_better(n: int, authors: int) -> None:
    rng = np.random.default_rng(1)
    sure = sum(rivals_difference(world(rng, n, authors, 1.0), rng).is_surely_below(0) for _ in range(40))
    assert sure <= 4, "2.5 % are promised, 1 of 40; of rows by themselves it were 7 and more"


def test_what_is_better_for_many_authors_is_seen() -> None:
    rng = np.random.default_rng(2)
    seen = sum(rivals_difference(world(rng, 1_000, 200, 1.0), rng, 0.0).is_surely_below(0) for _ in range(12))
    assert seen >= 6


def test_copies_of_rows_make_nothing_surer() -> None:
    rng = np.random.default_rng(3)
    rows = world(rng, 200, 200, 0.0)
    ours, theirs = (chance(rows["known"] + rng.normal(0, 0.4, 200)) for _ in range(2))

    def difference(copies: int) -> Estimate:
        y, units = np.repeat(rows["y"], copies), np.repeat(rows["units"], copies, axis=0)
        models = (WeightedMetrics(y, np.repeat(p, copies)) for p in (ours, theirs))
        needs = {"log_loss": "rows"}
        return paired_differences(*models, np.ones(len(y)), needs, resamples=200, seed=0, units=units)["log_loss"]

    once, five_times = difference(1), difference(5)
    assert (five_times.lower, five_times.upper) == pytest.approx((once.lower, once.upper))


@pytest.mark.parametrize(("weeks", "is_told"), [(1, False), (3, False), (4, False), (8, True)])
def test_nothing_is_sure_of_a_handful_of_weeks_of_one_author(weeks: int, is_told: bool) -> None:
    rng = np.random.default_rng(7)
    week = np.arange(400) % weeks
    units = units_of(pl.DataFrame({"author_id": np.zeros(400, int)}), START + week * np.timedelta64(7, "D"))
    rows = world(rng, 400, 400, 0.0) | {"units": units}
    difference = rivals_difference(rows, rng, first=0.0)
    assert difference.value is not None and (difference.lower is not None) == is_told
    assert is_told or difference.reason


def test_large_authors_are_told_apart_by_weeks_and_unknown_ones_by_themselves() -> None:
    frame = pl.DataFrame({"author_id": [7] * 6 + list(range(20, 36)) + [None, None]})
    opened = START + np.arange(24) * np.timedelta64(1, "D")
    codes = independent(units_of(frame, opened), np.ones(24))
    assert len(set(codes[:6])) == 2, "of six days, in two weeks that begin on Thursdays"
    assert len(set(codes)) == 2 + 16 + 2
    assert units_of(frame.drop("author_id"), opened) is None
    none = units_of(frame.clear(), opened[:0])
    assert none is not None and independent(none, np.ones(0)).size == 0


def test_a_repository_is_off_beyond_chance_hardly_ever_by_its_authors_alone() -> None:
    rng = np.random.default_rng(4)
    alarms, seen, n = 0, 0, 1_500
    for _ in range(16):
        rows = world(rng, n, 150, 1.0)
        frame = pl.DataFrame({"author_id": rows["who"], "repo_id": rows["who"] % 5})
        judged = {"opened_at": rows["opened"], "weights": np.ones(n), "resamples": 2, "seed": 0}
        parts = reliability_of(frame, predicted=rows["p"], observed=rows["y"], **judged)
        alarms += any(part.is_off for part in parts)
        too_high = np.where(rows["who"] % 5 == 0, chance(rows["known"] + 1.5), rows["p"])
        parts = reliability_of(frame, predicted=too_high, observed=rows["y"], **judged)
        seen += any(part.is_off and part.name == "0" for part in parts)
    assert alarms <= 3, "5 % are promised, 1 of 16; of rows by themselves it were 7"
    assert seen >= 14


def test_a_repository_whose_share_is_as_good_is_hardly_ever_called_lost() -> None:
    rng = np.random.default_rng(5)
    lost = 0
    for _ in range(60):
        # Half the time the one is right and half the time the other, and an author's rows are all alike.
        who = rng.integers(0, 60, 1_000)
        y = (rng.random(60) < 0.5)[who] * 1.0
        frame = pl.DataFrame({"repo_id": np.zeros(1_000, int), "author_id": who})
        before = frame, Known(np.repeat([1.0, 0.0], [550, 450]), np.ones(1_000))
        tested = frame, Known(y, np.ones(1_000), units=units_of(frame, np.full(1_000, START)))
        lost += bool(losing_repositories(before, tested, np.full(1_000, 0.45)).names)
    assert lost <= 8, "5 % are promised, 3 of 60; of rows by themselves it were 24"


def test_groups_of_authors_who_differ_are_hardly_ever_flagged_and_a_group_that_is_treated_otherwise_is() -> None:
    rng = np.random.default_rng(6)
    analyzer = BiasAnalyzer(resamples=30)

    def flagged(rows: dict[str, Any], y: np.ndarray) -> bool:
        frame = pl.DataFrame({"y": y, "p": rows["p"], "group": rows["who"] % 3}).with_columns(
            unit=pl.Series(rows["units"])
        )
        slices = {str(key): frame.filter(group=key) for key in range(3)}
        found = analyzer.compare_slices(slices, "y", "p", kind="probability", units="unit").findings
        return "flagged" in found["status"]

    alarms = seen = 0
    for _ in range(6):
        rows = world(rng, 1_500, 75, 1.0)
        alarms += flagged(rows, rows["y"])
        fewer = np.where((rows["who"] % 3 == 0) & (rng.random(1_500) < 0.6), 0.0, rows["y"])
        seen += flagged(rows, fewer)
    assert alarms <= 1, "of rows by themselves it were 3 of 8 such worlds"
    assert seen >= 4
