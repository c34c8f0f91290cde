"""Splits, calibration, estimators, gates and promotion."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qc_assets.errors import TrainingError
from qc_assets.learning import training
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.dataset import Dataset, matrix, matrix_of
from qc_assets.learning.promotion import Decision, check_gates, compare_with_champion, decide_promotion
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.splits import CARRIES, time_folds, time_split
from qc_assets.learning.task import dataset_of
from qc_assets.models.p0 import SPEC

SMALL: ModelSpec = replace(
    SPEC, features=("log_lines", "author_prior_prs", "author_association"), maturity=timedelta(days=5)
)
OPTIONS = training.Options(quick=True, resamples=60, seed=1, threads=1)


@given(st.lists(st.tuples(st.none() | st.floats(allow_infinity=False), st.none() | st.booleans(),
                          st.none() | st.sampled_from(["NONE", "MEMBER", "new"])), min_size=1))  # fmt: skip
def test_rows_by_name_give_the_matrix_of_their_frame(values: list[tuple[Any, ...]]) -> None:
    names, levels = ("log_lines", "is_bug_fix", "author_association"), {"author_association": ("NONE", "MEMBER")}
    frame = pl.DataFrame(
        values, schema=dict(zip(names, (pl.Float64, pl.Float64, pl.String), strict=True)), orient="row"
    )
    some = [{name: value for name, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]
    assert np.array_equal(matrix_of(some, names, levels), matrix(frame, names, levels), equal_nan=True)


def rows(n: int = 900, *, days: int = 120, seed: int = 0, signal: float = 1.5, growth: float = 1.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    seconds = days * 86_400 * rng.uniform(0, 1, n) ** (1 / growth)
    opened = np.sort(seconds).astype("timedelta64[s]") + np.datetime64("2024-01-01T00:00:00")
    log_lines = rng.normal(4, 1, n)
    # A step, which trees learn: along a line a logistic regression would surely beat them, and their gate fail.
    passed = rng.random(n) < 1 / (1 + np.exp(signal * np.sign(log_lines - 4) - 0.5))
    wait = rng.exponential(86_400, n).astype("timedelta64[s]")
    return pl.DataFrame(
        {
            "repo_id": np.ones(n, dtype=np.int64),
            "number": np.arange(n),
            "opened_at": opened.astype("datetime64[us]"),
            "decided_at": (opened + wait).astype("datetime64[us]"),
            "observed_until": np.full(n, np.datetime64("2024-01-01") + np.timedelta64(days, "D")).astype(
                "datetime64[us]"
            ),
            "log_lines": log_lines,
            "author_prior_prs": pl.Series(rng.integers(0, 9, n)).replace(3, None),
            "author_association": rng.choice(["NONE", "MEMBER", "SOMETHING_NEW"], n),
            "passed": passed,
        }
    )


def later(frame: pl.DataFrame, days: int = 100) -> pl.DataFrame:
    """The same rows, so many days later: a champion has aged by then."""
    return frame.with_columns(pl.col("opened_at", "decided_at", "observed_until") + pl.duration(days=days))


def dataset(**kwargs: Any) -> Dataset:
    return dataset_of(SMALL, rows(**kwargs))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(40, 400), days=st.integers(60, 200), seed=st.integers(0, 99), growth=st.sampled_from([1.0, 3.0]))
def test_windows_are_in_order_apart_and_hold_only_what_was_known(n: int, days: int, seed: int, growth: float) -> None:
    data, gap = dataset(n=n, days=days, seed=seed, growth=growth), np.timedelta64(5, "D")
    try:
        split = time_split(data, SMALL.maturity)
    except TrainingError:
        assume(False)
    boundaries = [split.as_of["train"], split.as_of["calibration"]]
    parts = [split.train, split.calibration, split.test]
    for boundary, (earlier, later) in zip(boundaries, pairwise(parts), strict=True):
        assert data.opened_at[earlier].max() < boundary - gap
        assert data.known_at[earlier].max() < boundary
        assert data.opened_at[later].min() >= boundary
    assert (data.opened_at[split.test] < data.observed_until[split.test] - gap).all()
    # What is left out of a gap is not taken from the test window.
    assert len(split.test) >= round(0.05 * n)
    for within in (split.train, split.calibration):
        assert np.isin(within, split.before_test).all()
    assert data.opened_at[split.before_test].max() < boundaries[1] - gap
    assert data.known_at[split.before_test].max() < boundaries[1]
    assert sum(map(len, parts)) + len(split.gap) + split.immature == n
    for fit, validate, _ in time_folds(data, split.train, SMALL.maturity, 3):
        assert data.known_at[fit].max() < data.opened_at[validate].min()


def test_gaps_take_nothing_from_the_test_window_and_a_short_history_keeps_enough_to_train_on() -> None:
    for days in (60, 600):
        split = time_split(dataset(n=2_000, days=days), SMALL.maturity)
        assert len(split.test) == 300 and 250 < len(split.calibration) <= 300, "of its 300, those whose label was known"
        assert split.train_share >= CARRIES
    growing = dataset(n=2_000, days=60, growth=4.0)
    assert (growing.opened_at > growing.opened_at[-1] - np.timedelta64(5, "D")).mean() > 0.25, "more than a test window"
    split = time_split(growing, SMALL.maturity)
    assert len(split.test) == 180 and split.train_share >= CARRIES


def test_too_short_a_history_says_what_to_do() -> None:
    with pytest.raises(
        TrainingError, match=r"the \w+ window is empty: 200 labelled rows over 1\d days.*backfill more days"
    ):
        time_split(dataset(n=200, days=15), SMALL.maturity)


def test_the_matrix_has_nan_for_what_is_unknown_and_ranks_for_levels() -> None:
    x = matrix(rows(n=200), SMALL.features, SMALL.categories)
    assert x.shape == (200, 3)
    assert np.isnan(x[:, 1]).any()
    assert set(np.unique(x[~np.isnan(x[:, 2]), 2])) == {0.0, 6.0}
    with pytest.raises(TrainingError, match="lack the feature columns nonsense"):
        matrix(rows(n=10), ["nonsense"], {})


@pytest.mark.parametrize("n", [300, 5_000])
def test_calibration_repairs_distorted_scores_and_survives_json(n: int) -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(3, 2, n)
    distorted, labels = p**3, (rng.random(n) < p) * 1.0
    calibrator = ProbabilityCalibrator.fit(distorted, labels)
    assert np.abs(calibrator(distorted) - p).mean() < 0.06
    again = ProbabilityCalibrator.from_json(json.loads(json.dumps(calibrator.to_json())))
    grid = np.linspace(0, 1, 101)
    assert np.array_equal(again(grid), calibrator(grid))
    assert (np.diff(calibrator(grid)) >= 0).all()
    assert 0 < calibrator(grid).min() < calibrator(grid).max() < 1


@pytest.fixture(scope="module")
def trained() -> training.Trained:
    return training.train(SMALL, dataset(n=2_000), OPTIONS)


def as_bundle(trained: training.Trained, *, is_synthetic: bool = False) -> Bundle:
    best = trained.best
    return Bundle.of(SMALL, best.estimator, best.calibrator, trivial=(0.6,), context={}, is_synthetic=is_synthetic)


def test_training_finds_the_signal_and_says_what_mattered(trained: training.Trained) -> None:
    assert {one.kind for one in trained.candidates} == {"blend", "lightgbm"}
    found = trained.best.evaluations["test"]["roc_auc"]
    assert found.is_surely_above(0.7)
    assert next(iter(trained.importance)) == "log_lines"
    assert all(gate.passed for gate in check_gates(trained) if gate.blocks)


def test_a_feature_that_explains_everything_names_itself_and_only_warns(trained: training.Trained) -> None:
    (gate,) = [gate for gate in check_gates(trained) if gate.passed is False]
    assert (gate.name, gate.blocks) == ("no_single_feature_explains_it", False)
    assert gate.detail.startswith("log_lines alone reaches ROC AUC 0.")
    assert decide_promotion(trained, check_gates(trained), None, is_synthetic=False, options=OPTIONS).promote


def test_features_that_share_the_signal_raise_no_suspicion() -> None:
    frame = rows(n=3_000)
    rng = np.random.default_rng(5)
    parts = rng.normal(0, 1, (2, 3_000))
    passed = rng.random(3_000) < 1 / (1 + np.exp(-1.5 * parts.sum(axis=0)))
    frame = frame.with_columns(log_lines=parts[0], author_prior_prs=parts[1], passed=passed)
    shared = training.train(SMALL, dataset_of(SMALL, frame), OPTIONS)
    assert shared.dominance is not None and not shared.dominance.suspicious


def test_training_twice_gives_the_same_predictions(trained: training.Trained) -> None:
    again = training.train(SMALL, dataset(n=2_000), OPTIONS)
    assert np.array_equal(again.best.predictions, trained.best.predictions)


@pytest.mark.slow
def test_optuna_searches_when_not_quick() -> None:
    data = dataset(n=600)
    quick = training.train(SMALL, data, OPTIONS)
    searched = training.train(SMALL, data, replace(OPTIONS, quick=False, n_trials=3))
    assert searched.candidates[0].parameters != quick.candidates[0].parameters
    assert set(searched.candidates[1].parameters) == set(SPEC.candidates[1].defaults)


def test_a_model_without_signal_fails_its_gates() -> None:
    noise = training.train(SMALL, dataset(n=1_500, signal=0.0, seed=4), OPTIONS)
    failed = {gate.name for gate in check_gates(noise) if gate.passed is False}
    assert "auc_above_threshold" in failed
    decision = decide_promotion(noise, check_gates(noise), None, is_synthetic=False, options=OPTIONS)
    assert not decision.promote
    assert "auc_above_threshold failed" in decision.reason


def test_a_challenger_that_is_worse_is_not_promoted(trained: training.Trained) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(trained.best.predictions + rng.normal(0, 0.3, len(trained.split.test)), 0.01, 0.99)
    worse = replace(trained, best=replace(trained.best, predictions=noisy))
    champion = as_bundle(trained)
    decision = decide_promotion(worse, check_gates(trained), champion, is_synthetic=False, options=OPTIONS)
    assert not decision.promote
    assert decision.reason.startswith("worse than the champion: ")


def test_a_promotion_needs_a_sure_gain_or_a_champion_that_has_aged(trained: training.Trained) -> None:
    def decision(ours: training.Trained, champion: Bundle, **more: Any) -> Decision:
        return decide_promotion(ours, check_gates(trained), champion, is_synthetic=False, options=OPTIONS, **more)

    of_same_age = replace(
        as_bundle(trained), fitted={"as_of": {"calibration": str(trained.split.as_of["calibration"])}}
    )
    same = decision(trained, of_same_age)
    assert not same.promote
    assert same.reason.startswith(
        "no sure gain over the champion, whose data are as new (90 days older count as aged): "
    )
    boundary = trained.split.as_of["calibration"] - np.timedelta64(91, "D")
    aged = replace(of_same_age, fitted={"as_of": {"calibration": str(boundary)}})
    assert decision(trained, aged).reason.startswith("no regression against the champion, whose data are 91 days older")
    assert decision(trained, of_same_age, is_vacant=True).promote
    truth = trained.known["test"].y
    sharper = np.clip(0.5 * trained.best.predictions + 0.5 * truth, 0.01, 0.99)
    better = replace(trained, best=replace(trained.best, predictions=sharper))
    assert decision(better, of_same_age).reason.startswith("surely better than the champion: roc_auc +0.")
    # Within the margin, and not better: the champion stays.
    duller = np.clip(trained.best.predictions + np.random.default_rng(1).normal(0, 0.02, len(truth)), 0.01, 0.99)
    assert not decision(replace(trained, best=replace(trained.best, predictions=duller)), of_same_age).promote


def test_made_up_data_never_replaces_real_data_and_gives_way_to_it(trained: training.Trained) -> None:
    passed = check_gates(trained)
    from_demo, from_life = as_bundle(trained, is_synthetic=True), as_bundle(trained)
    assert not decide_promotion(trained, passed, from_life, is_synthetic=True, options=OPTIONS).promote
    assert decide_promotion(trained, passed, from_demo, is_synthetic=False, options=OPTIONS).promote


def test_a_challenger_may_be_a_little_worse_but_not_by_more_than_the_margin(trained: training.Trained) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(trained.best.predictions + rng.normal(0, 0.12, len(trained.split.test)), 0.01, 0.99)
    slightly = replace(trained, best=replace(trained.best, predictions=noisy))
    champion = as_bundle(trained)
    for margin in (1e-9, 0.5):
        spec = replace(SMALL, margins={"log_loss": margin})
        compared = compare_with_champion(replace(slightly, spec=spec), champion, OPTIONS)
        assert [one.time_window for one in compared] == ["test", "last_30_days"]
        worse = [one.estimate.value > margin or one.estimate.is_surely_above(0) for one in compared]  # type: ignore[operator]
        assert [one.regression for one in compared] == worse
    assert (compared[0].difference or 0) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.with_columns(passed=pl.lit(True)), "have the same label in the train window"),
        (
            lambda frame: frame.with_columns(
                log_lines=pl.lit(None, dtype=pl.Float64),
                author_prior_prs=pl.lit(None, dtype=pl.Int64),
                author_association=pl.lit(None, dtype=pl.String),
            ),
            "every feature is NULL",
        ),
        (lambda frame: frame.head(0), "there are no labelled rows"),
        (lambda frame: frame.drop("log_lines"), "lack the feature columns log_lines"),
    ],
)
def test_what_cannot_be_trained_says_why(change: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        training.train(SMALL, dataset_of(SMALL, change(rows())), OPTIONS)


def test_only_the_candidates_that_were_asked_for_compete() -> None:
    only = training.train(SMALL, dataset(), replace(OPTIONS, candidates=("lightgbm",)))
    assert [one.kind for one in only.candidates] == ["lightgbm"]
    with pytest.raises(TrainingError, match="none of the candidates is left to train; p0 has blend, lightgbm"):
        training.train(SMALL, dataset(), replace(OPTIONS, candidates=("svm",)))
