"""Fitting to a sample: of each repository's whole time, deterministic, and nothing else changes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.errors import TrainingError
from qc_assets.learning.spec import Candidate
from qc_assets.learning.task import dataset_of
from qc_assets.learning.train_sample import sample_rows
from qc_assets.learning.trained import Trained
from qc_assets.learning.training import train
from tests.learning.test_models import OPTIONS, SMALL, rows

SPEC = replace(SMALL, candidates=(Candidate("lightgbm", {"n_estimators": 30, "num_leaves": 4}),))
# A large repository, and two of thirty rows each.
FRAME = rows(n=1_500).with_columns(repo_id=pl.when(pl.col("number") % 50 < 2).then(pl.col("number") % 50).otherwise(9))


def trained(train_rows: int, frame: pl.DataFrame = FRAME) -> Trained:
    return train(SPEC, dataset_of(SPEC, frame), replace(OPTIONS, train_rows=train_rows))


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), most=st.integers(1, 900), seed=st.integers(0, 9))
def test_a_sample_is_as_large_as_it_may_be_and_spread_over_each_repository(
    sizes: list[int], most: int, seed: int
) -> None:
    repositories = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    chosen = sample_rows(repositories, most, seed)
    assert len(chosen) == min(most, len(repositories)) and (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, sample_rows(repositories, most, seed))
    for repository, size in enumerate(sizes):
        places = np.flatnonzero(np.isin(np.flatnonzero(repositories == repository), chosen))
        if most >= 2 * len(sizes):
            assert len(places) >= min(size, 20, most // (2 * len(sizes))), "no small repository is lost"
        if len(places) > 1:  # the widest gap between two is that of an even spacing
            assert np.diff(places).max() <= np.ceil(size / len(places))


def test_the_newest_row_is_as_likely_as_the_oldest() -> None:
    repositories = np.zeros(1_000, dtype=int)
    times = np.sum([np.isin(np.arange(1_000), sample_rows(repositories, 100, seed)) for seed in range(2_000)], axis=0)
    # 200 times each, but for chance: five standard errors.
    assert np.abs(times - 200).max() < 5 * np.sqrt(2_000 * 0.1 * 0.9)


def test_what_is_fitted_is_a_sample_and_what_judges_has_all_rows() -> None:
    whole, part = trained(0), trained(300)
    assert part.curve is not None and whole.curve is None
    assert part.curve.fitted == {
        name: (300, len(getattr(whole.split, name))) for name in ("train", "before_test", "labelled")
    }
    assert not np.array_equal(part.best.scores, whole.best.scores)
    assert part.bounds is not None and part.bounds.rows == len(whole.split.calibration)
    assert len(part.best.calibration_scores) == len(whole.split.calibration)
    assert len(part.best.predictions) == len(whole.split.test)
    assert part.dominance is not None and whole.dominance is not None
    assert part.dominance.auc == whole.dominance.auc, "what one feature says is judged on the whole train window"
    assert np.array_equal(trained(300).best.scores, part.best.scores), "the same seed chooses the same rows"


def test_a_label_that_is_not_in_the_sample_does_not_touch_what_is_fitted() -> None:
    first = trained(300)
    data = first.data
    chosen = sample_rows(np.asarray(data.frame["repo_id"][first.split.before_test]), 300, OPTIONS.seed)
    others = np.setdiff1d(first.split.before_test, first.split.before_test[chosen])
    # Not of the train or calibration window, which have maps and thresholds of their own.
    gap = np.intersect1d(others, first.split.gap)
    assert len(gap) > 10
    turned = data.frame.with_columns(
        passed=pl.col("passed") ^ pl.Series(np.isin(np.arange(len(data)), gap)),
    )
    assert np.array_equal(trained(300, turned).best.scores, first.best.scores)


def test_nothing_changes_where_there_are_no_more_rows() -> None:
    whole, enough = trained(0), trained(len(FRAME))
    assert enough.curve is None and np.array_equal(whole.best.scores, enough.best.scores)
    assert whole.served is not None and enough.served is not None
    assert np.array_equal(whole.served.score(whole.data.x), enough.served.score(whole.data.x))


def test_the_curve_says_what_the_last_doubling_brought() -> None:
    curve = trained(800, rows(n=4_000, signal=3.0)).curve
    assert curve is not None and [count for count, _ in curve.points] == [100, 200, 400, 800]
    (_, half), (_, last) = curve.points[-2:]
    assert curve.last_doubling is not None and curve.last_doubling.value == pytest.approx(last - half)
    assert curve.points[0][1] > last, "an eighth of the rows is worse"
    assert "of the 2," in str(curve) and "log loss on the calibration window" in str(curve)


def test_a_sample_of_which_nothing_can_be_learnt_says_which_setting() -> None:
    with pytest.raises(TrainingError, match="raise QC_TRAIN_ROWS"):
        trained(1)
