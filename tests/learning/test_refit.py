"""The newest rows are learnt from, too: what is served, what is judged, and that the one is no worse for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.calibration import at_level_of, neighbours_out_of_order
from qc_assets.learning.promotion import compare_with_champion
from qc_assets.learning.spec import Candidate
from qc_assets.learning.splits import CARRIES
from qc_assets.learning.task import dataset_of, task_named
from qc_assets.learning.task.terms import Known
from qc_assets.learning.trained import Trained
from qc_assets.learning.training import train
from qc_assets.registry.lifecycle import bundle_of_training
from tests.learning.test_models import OPTIONS, SMALL, later, rows

SPEC = replace(SMALL, candidates=(Candidate("lightgbm", {"n_estimators": 60, "num_leaves": 4}),))


def trained(frame: pl.DataFrame, *, refit: bool) -> Trained:
    return train(SPEC, dataset_of(SPEC, frame), replace(OPTIONS, refit=refit))


def test_on_a_later_window_the_refit_is_no_worse_and_better_where_times_change() -> None:
    steady = rows(n=2_000, seed=3, growth=8.0)
    # When a fifth of the rows are there, large changes begin to pass, where they failed before.
    turn = steady["opened_at"].sort()[400]
    changed = steady.with_columns(
        passed=pl.when(pl.col("opened_at") >= turn).then(~pl.col("passed")).otherwise(pl.col("passed"))
    )

    def loss(frame: pl.DataFrame, refit: bool) -> float:
        """Before any map, which is carried to the one and not to the other."""
        one = trained(frame, refit=refit)
        return float(log_loss(one.known["test"].y, one.best.scores))

    losses = {
        name: [loss(frame, refit) for refit in (False, True)]
        for name, frame in (("steady", steady), ("changed", changed))
    }
    assert losses["steady"][1] < losses["steady"][0] + 0.01
    assert losses["changed"][1] < losses["changed"][0] - 0.05


def test_what_is_served_has_seen_all_labels_and_what_is_judged_no_test_row(tmp_path: Path) -> None:
    frame = rows(n=1_200)
    one = trained(frame, refit=True)
    bundle = bundle_of_training(SPEC, one, is_synthetic=True)
    bundle.save(tmp_path)
    loaded, test = Bundle.load(tmp_path), one.data.frame[one.split.test]
    assert np.array_equal(loaded.as_judged.predict(test), one.best.predictions)
    assert not np.array_equal(loaded.predict(test), one.best.predictions)
    assert (
        np.isin(one.split.test, one.split.labelled).all() and np.isin(one.split.before_test, one.split.labelled).all()
    )
    # Labels of the test window turned round: what is judged is the same to the last digit, what is served is not.
    turned = frame.with_columns(
        passed=pl.when(pl.col("number").is_in(test["number"].implode())).then(~pl.col("passed")).otherwise("passed")
    )
    other = bundle_of_training(SPEC, trained(turned, refit=True), is_synthetic=True)
    assert np.array_equal(other.as_judged.predict(test), loaded.as_judged.predict(test))
    assert not np.array_equal(other.predict(test), loaded.predict(test))


def test_a_champion_is_compared_by_what_had_not_seen_the_window() -> None:
    one = trained(rows(n=1_200), refit=True)
    champion = bundle_of_training(SPEC, one, is_synthetic=True)
    assert {each.difference for each in compare_with_champion(one, champion, OPTIONS)} == {0.0}


def test_a_map_of_a_model_that_knew_little_is_not_carried_to_one_that_knows_much() -> None:
    growing = rows(n=1_500, growth=12.0)
    split = trained(growing, refit=True)
    assert split.split.train_share < CARRIES
    assert split.best.calibrator.method == "none" and split.bounds is None
    assert trained(later(rows(n=1_200)), refit=True).split.train_share >= CARRIES


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 400), rate=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_scores_at_the_level_of_their_labels_have_its_mean_and_their_own_order(n: int, rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.r_[0.0, 1.0, (rng.random(n - 2) < rate) * 1.0]
    scores, weights = rng.random(n), 1 + rng.random(n)
    level = at_level_of(labels, scores, weights)
    assert np.average(level, weights=weights) == pytest.approx(np.average(labels, weights=weights))
    assert neighbours_out_of_order(scores, level) == 0


def test_the_map_of_a_model_that_is_fitted_anew_says_how_sure_it_is_and_moves_no_level() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 6_000)
    # Until the calibration window fewer passed; what was fitted to that time is too low, and twice too sure.
    logistic = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    known = Known((rng.random(6_000) < logistic(truth + 0.6)) * 1.0, np.ones(6_000))
    stale, fitted_anew = logistic(2 * truth - 0.6), logistic(2 * truth + 0.9)
    task = task_named("probability")
    as_it_is = task.calibrate(stale, known, {})
    assert as_it_is(stale).mean() == pytest.approx(known.y.mean(), abs=0.02)
    assert as_it_is(fitted_anew).mean() > known.y.mean() + 0.08, "the level moves a second time"
    carried = task.calibrate(task.at_new_level(stale, lambda: fitted_anew, known), known, {})
    assert carried.method != "none" and carried(fitted_anew).mean() == pytest.approx(known.y.mean(), abs=0.02)
    assert np.abs(carried(fitted_anew) - logistic(truth + 0.6)).mean() < 0.03
    # The interval is about the answers that are given, not about those of before.
    level = carried(task.at_new_level(stale, lambda: fitted_anew, known))
    lower, upper = task.bounds(known, level)(carried(fitted_anew))
    assert np.abs((lower + upper) / 2 - logistic(truth + 0.6)).mean() < 0.03 and np.median(upper - lower) < 0.03
    below, above = task.bounds(known, carried(stale))(carried(fitted_anew))
    assert np.median(above - below) > 0.1, "it was that of answers to which the level was still to come"


@pytest.mark.parametrize("learnt", [0.0, 0.5, 1.0])
def test_what_an_estimator_has_learnt_of_the_level_of_durations_is_not_added_again(learnt: float) -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(2, 4, 4_000)
    # Since the estimator was fitted everything takes longer: by one log hour.
    known = Known(expected + 1 + rng.normal(0, 0.5, 4_000), np.ones(4_000))
    task, context = task_named("duration"), {"horizon_hours": 24 * 90.0}
    intervals = task.calibrate(task.at_new_level(expected, lambda: expected + learnt, known), known, context)
    low, median, high = np.log1p(task.answers(intervals, expected + learnt, None)).T
    assert (median - known.y).mean() == pytest.approx(0, abs=0.03)
    assert ((low <= known.y) & (known.y <= high)).mean() == pytest.approx(0.8, abs=0.01)
