"""How much longer: never before what has been waited, right on average, and None where nobody knows."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.learning.remaining import RemainingTimes

HORIZON = 2000.0


def world(seed: int, rows: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and log1p hours that scatter around them, counted up to the horizon."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(3, 1, rows)
    return scores, np.minimum(np.log1p(HORIZON), np.maximum(0, scores + rng.normal(0, 1.2, rows)))


def fitted(seed: int = 0, rows: int = 4_000) -> RemainingTimes:
    scores, y = world(seed, rows)
    return RemainingTimes.fit(scores, y, np.ones(rows), HORIZON)


@settings(max_examples=150, deadline=None)
@given(
    scores=st.lists(st.floats(-2, 9), min_size=25, max_size=120),
    scatter=st.lists(st.floats(-4, 4), min_size=120, max_size=120),
    weights=st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=120, max_size=120),
    score=st.floats(-2, 9),
    waited=st.floats(0, 2500),
)
def test_it_is_never_before_what_has_been_waited_and_never_beyond_the_horizon(
    scores: list[float], scatter: list[float], weights: list[float], score: float, waited: float
) -> None:
    known = np.array(scores)
    y = np.clip(known + np.array(scatter[: len(known)]), 0, np.log1p(HORIZON))
    times = RemainingTimes.fit(known, y, np.array(weights[: len(known)]), HORIZON)
    longer = times(score, waited)
    if waited >= HORIZON:
        assert longer is None
    if longer is not None:
        assert longer.horizon == HORIZON - waited
        assert 0 <= longer.lower <= longer.hours <= longer.within <= longer.upper <= longer.horizon


@pytest.mark.parametrize("waited", [0.0, 5.0, 24.0, 100.0])
def test_of_what_still_waits_the_interval_holds_eighty_percent_and_within_is_met_by_as_many(waited: float) -> None:
    times, (scores, y) = fitted(), world(1, rows=1_200)
    held, met = [], []
    for score, hours in zip(scores, np.expm1(y), strict=True):
        if hours > waited and (longer := times(score, waited)) is not None:
            more = hours - waited
            held.append(longer.lower <= more <= longer.upper * (1 + 1e-9))
            met.append(more <= longer.within * (1 + 1e-9))
    assert len(held) > 80
    assert np.mean(held) == pytest.approx(0.8, abs=0.09)
    assert np.mean(met) == pytest.approx(0.8, abs=0.09)


def test_who_has_waited_longer_than_expected_waits_longer_still() -> None:
    """With times of such a heavy tail, what has lasted goes on; to subtract what was waited would be wrong."""
    times = fitted()
    more = [times(3.0, waited) for waited in (0.0, 20.0, 100.0)]
    medians = [longer.hours for longer in more if longer is not None]
    assert len(medians) == 3 and medians == sorted(medians)
    assert medians[0] == pytest.approx(np.expm1(3.0), rel=0.25), "of what has not waited it is the model's median"


def test_where_hardly_any_row_waited_so_long_nobody_knows() -> None:
    scores, y = world(0, rows=60)
    times = RemainingTimes.fit(scores, np.minimum(y, np.log1p(50.0)), np.ones(60), HORIZON)
    assert times(3.0, 1.0) is not None and times(3.0, 1_500.0) is None


def test_a_repository_with_enough_rows_has_its_own() -> None:
    scores, y = world(0)
    slow = np.arange(len(y)) % 2 == 0
    y = np.clip(y + np.where(slow, 1.5, 0.0), 0, np.log1p(HORIZON))
    times = RemainingTimes.fit(scores, y, np.ones(len(y)), HORIZON, np.where(slow, 7, 8))
    in_slow, in_quick, elsewhere = (times(3.0, 2.0, repository) for repository in (7, 8, 9))
    assert in_slow is not None and in_quick is not None and elsewhere is not None
    assert in_quick.hours < elsewhere.hours < in_slow.hours


def test_its_file_says_the_same_and_is_bounded() -> None:
    times = fitted(rows=20_000)
    assert len(times.scores) == 5_000
    again = RemainingTimes.from_json(json.loads(json.dumps(times.to_json())))
    assert again(2.5, 12.0) == times(2.5, 12.0) is not None


def test_the_horizon_is_said_in_words() -> None:
    times = fitted()
    near, far = times(2.0, 3.0), times(7.5, 1_200.0)
    assert near is not None and near.words == f"within {near.within:.0f} h (80 %)"
    assert far is not None and far.within == far.horizon
    assert far.words == f"not surely within {far.within:.0f} h (80 %)"
