"""A planted bias is found, and none is found where none was planted: over fifty worlds each."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.errors import SourceError
from qc_assets.fairness import BiasAnalyzer, DataSlicer
from qc_assets.fairness.subject import Subject
from qc_assets.learning.task.duration import Duration
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.sources.demo import world as demo_world
from qc_assets.sources.demo.knobs import Bias
from qc_assets.sources.demo.population import populate
from qc_assets.sources.demo.source import DemoSource
from tests.learning.test_conformal import EXCHANGEABLE, MEDIAN_HOURS, exchangeable_durations

SEEDS = 50
PRS = 2_600
LOG_ODDS = -1.0  # 13 points of passing, for a group of at least 140 of the 2,600 pull requests
FIRST = date(2024, 1, 1)
END_OF_TIME = np.datetime64("9999-01-01", "us")


def world(seed: int, bias: Bias | None) -> pl.DataFrame:
    """People's pull requests of a demo world: what they would deserve, and how they were judged."""
    rng = np.random.default_rng(seed)
    people, repos = populate(rng, PRS, 240, FIRST)
    prs = demo_world.pull_requests(rng, people, repos, PRS, 240, FIRST, bias)
    names = repos.frame["name"].to_numpy()
    return prs.select(
        pl.Series("repo", names[prs["repo"].to_numpy()]),
        "prior",
        pl.col("passed").cast(pl.Int8),
        "fair_p0",
        is_newcomer=pl.col("prior") == 0,
        is_bot=pl.Series(people.is_bot[prs["user"].to_numpy()]),
    )


def flagged(frame: pl.DataFrame, attribute: str) -> set[str]:
    """Flagged groups of an attribute, repo or newcomer."""
    slicer = DataSlicer(frame)
    groups = slicer.slice_by_repo() if attribute == "repo" else slicer.slice_by_newcomer()
    return set(BiasAnalyzer(threshold=0.1, resamples=200).compare_slices(groups, "passed", "fair_p0").flags["group"])


@pytest.mark.slow
def test_with_nothing_planted_hardly_any_world_shows_a_flag() -> None:
    worlds = (world(seed, None) for seed in range(SEEDS))
    alarms = sum(bool(flagged(demo, "repo") | flagged(demo, "newcomer")) for demo in worlds)
    assert alarms <= 3


@pytest.mark.slow
@pytest.mark.parametrize(("group", "attribute", "name"), [
    ("newcomers", "newcomer", "newcomer"),
    ("acme/atlas", "repo", "acme/atlas"),
])  # fmt: skip
def test_a_planted_bias_is_flagged(group: str, attribute: str, name: str) -> None:
    flags = sum(name in flagged(world(seed, Bias(group, LOG_ODDS)), attribute) for seed in range(SEEDS))
    assert flags >= 47


def test_the_truth_knows_both_probabilities() -> None:
    fair, biased = world(1, None), world(1, Bias("newcomers", LOG_ODDS))
    assert fair["fair_p0"].equals(biased["fair_p0"])
    rate = pl.col("passed").mean()
    newcomers = pl.col("is_newcomer")
    assert biased.filter(newcomers).select(rate).item() < fair.filter(newcomers).select(rate).item() - 0.1
    others = fair.filter(~newcomers).select(rate).item()
    assert biased.filter(~newcomers).select(rate).item() == pytest.approx(others, abs=0.05)


def test_a_planted_world_is_another_world(tmp_path: object) -> None:
    from pathlib import Path

    places = {"n_prs": 200, "days": 30, "first_day": FIRST, "seed": 3}
    plain, biased = (DemoSource(Path(str(tmp_path)), bias=bias, **places) for bias in ("", "newcomers:-2"))  # type: ignore[arg-type]
    assert plain.fingerprint() != biased.fingerprint()
    truth = biased.truth()
    assert (truth["p0"] <= truth["fair_p0"]).all() and (truth["p0"] < truth["fair_p0"]).any()
    assert plain.truth()["p0"].equals(plain.truth()["fair_p0"])


@pytest.mark.parametrize("text", ["newcomers", "everybody:-1", "newcomers:much"])
def test_what_cannot_be_planted_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"newcomers|float"):
        Bias.parse(text)


def test_a_repository_that_is_not_there_says_which_are() -> None:
    with pytest.raises(SourceError, match=r"no repository no/such; it has acme/atlas"):
        world(1, Bias("no/such", -1.0))


@pytest.mark.slow
def test_errors_of_numbers_are_flagged_where_they_differ_and_hardly_anywhere_else() -> None:
    analyzer, alarms, found = BiasAnalyzer(resamples=200), 0, 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        n = 1_500
        truth = rng.normal(3, 1.2, n)
        data = pl.DataFrame(
            {
                "team": rng.choice([f"team {i}" for i in range(12)], n),
                "truth": truth,
                "said": 3 + 0.5 * (truth - 3) + rng.normal(0, 0.8, n),
                "weight": np.where(rng.random(n) < 0.1, rng.uniform(1, 4, n), 1.0),
            }
        )
        late = data.with_columns(said=pl.col("said") + 0.6 * (pl.col("team") == "team 3"))
        fair, unfair = (
            analyzer.compare_slices(DataSlicer(one).slice_by("team"), "truth", "said", weights="weight").flags
            for one in (data, late)
        )
        alarms += len(fair) > 0
        found += "team 3" in set(unfair["group"])
    assert alarms <= 3
    assert found >= 47


def test_a_group_that_is_new_is_not_accused_of_the_slow_items_that_nobody_has_seen_yet() -> None:
    named = {"new": 0, "slow": 0}
    for seed in range(20):
        data, rng = exchangeable_durations(seed, n=1_200), np.random.default_rng(seed)
        newest = data.opened_at > data.opened_at.max() - np.timedelta64(25, "D")
        for name in named:
            chosen = (newest | (name == "slow")) & (rng.random(len(data)) < 0.5)
            hours = np.where(chosen, data.y * 1.8, data.y) if name == "slow" else data.y
            frame = data.frame.with_columns(repo=pl.Series(np.where(chosen, "acme/it", "acme/others")))
            known = Duration().known(replace(data, y=hours), np.arange(len(data)), END_OF_TIME, EXCHANGEABLE)
            nobody: Any = SimpleNamespace(classes=())
            rows = {"test": np.arange(len(data))}
            subject = Subject(RESOLUTION_TIME, 1, nobody, frame, data.x, rows, {"test": known}, "", True)
            tested = subject.measured(np.full((len(data), 3), MEDIAN_HOURS))
            analyzer = BiasAnalyzer(0.1, min_support=30, significance=0.01, resamples=60, seed=seed)
            analysis = analyzer.compare_slices(
                DataSlicer(tested).slice_by("repo"), "y_true", "y_pred", kind="number", weights="weight", units="unit"
            )
            named[name] += len(analysis.flags) > 0
    assert named["new"] <= 1 and named["slow"] >= 18
