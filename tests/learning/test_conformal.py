"""Intervals of durations hold in every repository that has rows, and whether they do is told."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.conformal import COVERAGE, ROWS_OF_A_REPOSITORY, Intervals
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.duration_metrics import are_inside
from qc_assets.learning.reliability import reliability_of
from qc_assets.learning.task.duration import Duration
from qc_assets.learning.task.terms import Known
from qc_assets.models.resolution_time import SPEC

HORIZON = 24.0 * 90
ERRATIC, STEADY, SMALL_ONE, SLOW = 1, 2, 3, 4
# Rows, shift and scatter of log hours about the score.
WORLD = {ERRATIC: (400, 0.0, 1.6), STEADY: (1_500, 0.0, 0.4), SMALL_ONE: (60, 0.0, 0.4), SLOW: (400, 1.0, 0.4)}


class Score:
    """An estimator whose score is its only feature."""

    def score(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]

    def save(self, folder: object) -> None:
        raise AssertionError("not saved here")


def draw(seed: int, times: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, log hours and repositories."""
    rng = np.random.default_rng(seed)
    repositories = np.concatenate([np.full(times * rows, repo_id) for repo_id, (rows, _, _) in WORLD.items()])
    rng.shuffle(repositories)
    scores = rng.normal(3, 0.8, len(repositories))
    shift, scatter = (np.array([WORLD[repo_id][part] for repo_id in repositories]) for part in (1, 2))
    return scores, np.clip(scores + shift + rng.normal(0, scatter), 0, np.log1p(HORIZON)), repositories


@pytest.fixture(scope="module")
def fitted() -> dict[str, Intervals]:
    scores, y, repositories = draw(0)
    known = Known(y, np.ones(len(y)), repositories)
    duration, context = Duration(), {"horizon_hours": HORIZON}
    intervals = duration.calibrate(scores, known, context)
    return {"by repository": intervals, "pooled": duration.calibrate(scores, replace(known, groups=None), context)}


def test_pooled_intervals_hold_too_little_in_one_repository_and_those_of_its_own_do_not(
    fitted: dict[str, Intervals],
) -> None:
    scores, y, repositories = draw(1, times=4)
    coverage = {
        name: {
            repo_id: are_inside(np.expm1(y), intervals(scores, repositories))[repositories == repo_id].mean()
            for repo_id in WORLD
        }
        for name, intervals in fitted.items()
    }
    pooled, own = coverage["pooled"], coverage["by repository"]
    assert pooled[ERRATIC] < COVERAGE - 0.15 and pooled[SLOW] < COVERAGE - 0.15 and pooled[STEADY] > COVERAGE + 0.05
    assert all(abs(own[repo_id] - COVERAGE) < 0.06 for repo_id in (ERRATIC, STEADY)), own
    assert own[SLOW] > COVERAGE - 0.06, "it is held, though the median, which is that of all, is too short there"
    assert own[SMALL_ONE] == pooled[SMALL_ONE], f"with fewer than {ROWS_OF_A_REPOSITORY} rows it has those of all"


def test_the_median_is_that_of_all_repositories_so_the_order_stays(fitted: dict[str, Intervals]) -> None:
    scores, _, repositories = draw(1)
    own, pooled = fitted["by repository"](scores, repositories), fitted["pooled"](scores)
    assert np.array_equal(own[:, 1], pooled[:, 1])
    assert (own[:, 0] <= own[:, 1]).all() and (own[:, 1] <= own[:, 2]).all()
    assert set(fitted["by repository"].by_repository) == {ERRATIC, STEADY, SLOW} and not fitted["pooled"].by_repository


def test_a_version_answers_by_the_repository_of_each_row_and_keeps_that_in_its_file(
    fitted: dict[str, Intervals],
) -> None:
    again = Intervals.from_json(json.loads(json.dumps(fitted["by repository"].to_json())))
    spec = replace(SPEC, features=("score",), categories={})
    bundle = Bundle.of(spec, Score(), again, trivial=(), context={"horizon_hours": HORIZON}, is_synthetic=False)
    frame = pl.DataFrame({"score": [3.0] * 4, "repo_id": [ERRATIC, STEADY, 0, None]})
    erratic, steady, unknown, deleted = bundle.predict(frame)
    assert erratic[2] > 2 * steady[2] and erratic[0] < steady[0] / 2
    assert unknown.tolist() == deleted.tolist() == bundle.predict(frame.drop("repo_id"))[0].tolist()
    document = fitted["by repository"].to_json()
    del document["by_repository"]  # as versions of before have it
    assert np.array_equal(Intervals.from_json(document)(np.array([3.0]), np.array([ERRATIC]))[0], unknown)


def test_repositories_in_which_intervals_hold_too_little_are_named_and_the_unseen_do_not_count(
    fitted: dict[str, Intervals],
) -> None:
    scores, y, repositories = draw(2)
    seen = np.random.default_rng(3).choice([0.0, 1.0, 2.0], len(y), p=[0.1, 0.7, 0.2])
    y = np.where(seen > 0, y, np.log1p(HORIZON) * 2)  # in nobody's interval
    opened = np.datetime64("2024-01-01", "us") + np.arange(len(y)) * np.timedelta64(1, "h")
    data = Dataset(scores[:, None], y, opened, opened, opened, pl.DataFrame({"repo_id": repositories}))
    off = {}
    for name, intervals in fitted.items():
        promised = Duration().reliable(Known(y, seen), intervals(scores, repositories))
        parts = reliability_of(data.frame, data.opened_at, *promised, resamples=60, seed=0)
        assert {part.part for part in parts} == {"repository", "month"}
        assert sum(part.rows for part in parts if part.part == "repository") == np.count_nonzero(seen)
        by_name = {part.name: part for part in parts if part.part == "repository"}
        assert by_name[str(ERRATIC)].predicted == pytest.approx(COVERAGE)
        off[name] = {repo for repo, part in by_name.items() if part.is_off and part.gap.is_surely_above(0)}
    assert off == {"pooled": {str(ERRATIC), str(SLOW)}, "by repository": set()}


def test_what_a_calibration_on_few_rows_leaves_to_chance_is_not_called_off() -> None:
    rng = np.random.default_rng(4)
    n, repositories = 400, 8
    rows = n * repositories
    frame = pl.DataFrame({"repo_id": np.repeat(np.arange(repositories), n)})
    opened = np.full(rows, np.datetime64("2024-01-01", "us"))
    *_, error = Duration().reliable(Known(np.ones(1), np.ones(1)), np.ones((1, 3)))
    alarms = {0.0: 0, error: 0}
    for _ in range(25):
        reached = COVERAGE + rng.normal(0, np.sqrt(COVERAGE * (1 - COVERAGE) / ROWS_OF_A_REPOSITORY), repositories)
        inside = (rng.random(rows) < np.repeat(reached, n)) * 1.0
        for allowed in alarms:
            promised = np.full(rows, COVERAGE), inside, np.ones(rows), allowed
            parts = reliability_of(frame, opened, *promised, resamples=2, seed=0)
            alarms[allowed] += any(part.is_off for part in parts)
    assert alarms[error] <= 3 < alarms[0.0], alarms


def test_what_is_promised_is_also_compared_by_who_made_it() -> None:
    n = 600
    frame = pl.DataFrame({"repo_id": [1] * n, "origin": ["person", "agent", None] * (n // 3)})
    opened = np.full(n, np.datetime64("2024-01-01", "us"))
    came_true = (frame["origin"].fill_null("") != "agent").to_numpy() * 1.0
    parts = reliability_of(frame, opened, np.full(n, 2 / 3), came_true, np.ones(n), resamples=20, seed=0)
    by_origin = {
        part.name: (part.rows, round(part.observed, 2), part.is_off) for part in parts if part.part == "origin"
    }
    assert by_origin == {"agent": (200, 0.0, True), "person": (200, 1.0, True), "unknown": (200, 1.0, True)}
    assert [part.is_off for part in parts if part.part == "repository"] == [False]


EXCHANGEABLE = {"horizon_hours": 960.0}
MEDIAN_HOURS = 72.0
# Of all items 80 % end within these hours.
ENDS_HOURS = np.exp(np.log(MEDIAN_HOURS) + 1.5 * np.array([[-1.28155, 0.0, 1.28155]]))


def exchangeable_durations(seed: int, n: int = 900, *, some_leave: bool = False, last_day: float = 7.0) -> Dataset:
    """Items of which each takes as long as any other, opened over 90 days up to `last_day` days ago."""
    rng, end = np.random.default_rng(seed), np.datetime64("2024-09-01", "us")
    opened = np.sort(end - (rng.uniform(last_day, last_day + 90, n) * 86_400e6).astype("timedelta64[us]"))
    hours = rng.lognormal(np.log(MEDIAN_HOURS), 1.5, n)
    left = rng.lognormal(np.log(400), 1.0, n) if some_leave else None
    seen = hours if left is None else np.where(left < hours, np.inf, hours)
    frame = pl.DataFrame({"author_id": np.arange(n), "opened_at": opened})
    return Dataset(np.zeros((n, 1)), seen, opened, opened, np.full(n, end), frame, left_hours=left)


@pytest.mark.parametrize("some_leave", [False, True])
def test_the_newest_month_whose_slow_items_nobody_has_seen_yet_is_not_called_off(some_leave: bool) -> None:
    observed: dict[str, list[float]] = {}
    alarms = 0
    for seed in range(30):
        data = exchangeable_durations(seed, some_leave=some_leave)
        known = Duration().known(data, np.arange(len(data)), np.datetime64("9999-01-01", "us"), EXCHANGEABLE)
        promised = Duration().reliable(known, np.repeat(ENDS_HOURS, len(data), axis=0))
        for month in reliability_of(data.frame, data.opened_at, *promised, resamples=2, seed=0):
            observed.setdefault(month.name, []).append(month.observed)
            alarms += bool(month.is_off)
    assert alarms <= 2
    assert set(observed) == {"2024-05", "2024-06", "2024-07", "2024-08"}
    assert [np.mean(shares) for shares in observed.values()] == pytest.approx([0.8] * 4, abs=0.03)
