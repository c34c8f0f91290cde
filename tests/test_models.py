"""Splits, calibration, estimators, gates and promotion."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qc_assets.assets.models import SPECS
from qc_assets.errors import QcError, TrainingError
from qc_assets.models import estimators, training
from qc_assets.models.bundle import Bundle
from qc_assets.models.calibration import Calibrator
from qc_assets.models.dataset import Dataset, matrix
from qc_assets.models.p0 import SPEC
from qc_assets.models.promotion import decide, gates
from qc_assets.models.spec import ModelSpec
from qc_assets.models.splits import time_folds, time_split

SMALL: ModelSpec = replace(
    SPEC, features=("log_lines", "author_prior_prs", "author_association"), maturity=timedelta(days=5)
)
OPTIONS = training.Options(quick=True, resamples=60, seed=1, threads=1)


def rows(n: int = 900, *, days: int = 120, seed: int = 0, signal: float = 1.5) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    opened = np.sort(rng.uniform(0, days * 86_400, n)).astype("timedelta64[s]") + np.datetime64("2024-01-01T00:00:00")
    log_lines = rng.normal(4, 1, n)
    passed = rng.random(n) < 1 / (1 + np.exp(signal * (log_lines - 4) - 0.5))
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


def dataset(**kwargs: Any) -> Dataset:
    return Dataset.from_frame(SMALL, rows(**kwargs))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(40, 400), days=st.integers(60, 200), seed=st.integers(0, 99))
def test_windows_are_in_order_apart_and_hold_only_what_was_known(n: int, days: int, seed: int) -> None:
    data, gap = dataset(n=n, days=days, seed=seed), np.timedelta64(5, "D")
    try:
        split = time_split(data, SMALL.maturity)
    except TrainingError:
        assume(False)
    boundaries = [data.opened_at[int(share * n)] for share in (0.70, 0.85)]
    parts = [split.train, split.calibration, split.test]
    for boundary, (earlier, later) in zip(boundaries, pairwise(parts), strict=True):
        assert data.opened_at[earlier].max() < boundary - gap
        assert data.known_at[earlier].max() < boundary
        assert data.opened_at[later].min() >= boundary
    assert (data.opened_at[split.test] < data.observed_until[split.test] - gap).all()
    assert sum(map(len, parts)) + split.immature == n
    for fit, validate in time_folds(data, split.train, SMALL.maturity, 3):
        assert data.known_at[fit].max() < data.opened_at[validate].min()


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
    calibrator = Calibrator.fit(distorted, labels)
    assert calibrator.method == ("isotonic" if n >= 1_000 else "sigmoid")
    assert np.abs(calibrator(distorted) - p).mean() < 0.06
    again = Calibrator.from_json(json.loads(json.dumps(calibrator.to_json())))
    grid = np.linspace(0, 1, 101)
    assert np.array_equal(again(grid), calibrator(grid))
    assert (np.diff(calibrator(grid)) >= 0).all()
    assert 0 < calibrator(grid).min() < calibrator(grid).max() < 1


CANDIDATES = {candidate.kind: candidate for spec in SPECS for candidate in spec.candidates}


@pytest.mark.parametrize("candidate", CANDIDATES.values(), ids=lambda candidate: candidate.kind)
def test_bundles_predict_the_same_after_loading(candidate: Any, tmp_path: Path) -> None:
    data = dataset()
    parameters = candidate.defaults | {"n_estimators": 20}
    estimator = estimators.fit(candidate.kind, parameters, data.x, data.y, seed=0, threads=1)
    calibrator = Calibrator.fit(estimator.score(data.x), data.y)
    bundle = Bundle("p0", SMALL.features, SMALL.categories, estimator, calibrator, 0.6, is_synthetic=True)
    bundle.save(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pkl", ".pickle", ".joblib")]
    loaded = Bundle.load(tmp_path)
    assert np.array_equal(loaded.predict(data.frame), bundle.predict(data.frame))
    assert loaded.is_synthetic is True


@pytest.mark.parametrize("candidate", CANDIDATES.values(), ids=lambda candidate: candidate.kind)
def test_the_same_rows_and_seed_give_the_same_scores_to_the_last_digit(candidate: Any) -> None:
    data = dataset(n=3_000)
    first, second = (
        estimators.fit(candidate.kind, candidate.defaults, data.x, data.y, seed=4, threads=2).score(data.x)
        for _ in range(2)
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize("candidate", CANDIDATES.values(), ids=lambda candidate: candidate.kind)
def test_a_search_space_draws_parameters_that_fit(candidate: Any) -> None:
    import optuna

    data = dataset(n=400)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    parameters = candidate.space(trial)
    assert parameters.keys() <= candidate.defaults.keys()
    scores = estimators.fit(candidate.kind, parameters, data.x, data.y, seed=0, threads=1).score(data.x)
    assert scores.shape == (400,)
    assert 0 <= scores.min() < scores.max() <= 1


def test_a_forest_file_that_holds_anything_else_is_not_loaded(tmp_path: Path) -> None:
    import skops.io

    skops.io.dump({"run": Path("/etc/passwd")}, tmp_path / "model.skops")
    with pytest.raises(QcError, match="a forest has no such thing"):
        estimators.load(tmp_path)
    with pytest.raises(QcError, match="no estimator in"):
        estimators.load(tmp_path / "empty")


@pytest.fixture(scope="module")
def trained() -> training.Trained:
    return training.train(SMALL, dataset(n=2_000), OPTIONS)


def as_bundle(trained: training.Trained, *, is_synthetic: bool = False) -> Bundle:
    best = trained.best
    return Bundle("p0", SMALL.features, SMALL.categories, best.estimator, best.calibrator, 0.6, is_synthetic)


def test_training_finds_the_signal_and_says_what_mattered(trained: training.Trained) -> None:
    assert {one.kind for one in trained.candidates} == {"random_forest", "lightgbm"}
    found = trained.best.evaluations["test"]["roc_auc"]
    assert found.lower > 0.7
    assert next(iter(trained.importance)) == "log_lines"
    assert all(gate.passed for gate in gates(trained))


def test_training_twice_gives_the_same_predictions(trained: training.Trained) -> None:
    again = training.train(SMALL, dataset(n=2_000), OPTIONS)
    assert np.array_equal(again.best.predictions, trained.best.predictions)


def test_optuna_searches_when_not_quick() -> None:
    data = dataset(n=600)
    quick = training.train(SMALL, data, OPTIONS)
    searched = training.train(SMALL, data, replace(OPTIONS, quick=False, n_trials=3))
    assert searched.candidates[0].parameters != quick.candidates[0].parameters
    assert set(searched.candidates[1].parameters) == set(SPEC.candidates[1].defaults)


def test_a_model_without_signal_fails_its_gates() -> None:
    noise = training.train(SMALL, dataset(n=1_500, signal=0.0, seed=4), OPTIONS)
    failed = {gate.name for gate in gates(noise) if not gate.passed}
    assert "auc_above_threshold" in failed
    decision = decide(noise, gates(noise), None, is_synthetic=False, options=OPTIONS)
    assert not decision.promote
    assert "auc_above_threshold failed" in decision.reason


def test_a_challenger_that_is_worse_is_not_promoted(trained: training.Trained) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(trained.best.predictions + rng.normal(0, 0.3, len(trained.split.test)), 0.01, 0.99)
    worse = replace(trained, best=replace(trained.best, predictions=noisy))
    champion = as_bundle(trained)
    decision = decide(worse, gates(trained), champion, is_synthetic=False, options=OPTIONS)
    assert not decision.promote
    assert decision.reason.startswith("worse than the champion: ")
    same = decide(trained, gates(trained), champion, is_synthetic=False, options=OPTIONS)
    assert same.promote
    assert "no regression" in same.reason


def test_made_up_data_never_replaces_real_data_and_gives_way_to_it(trained: training.Trained) -> None:
    passed = gates(trained)
    from_demo, from_life = as_bundle(trained, is_synthetic=True), as_bundle(trained)
    assert not decide(trained, passed, from_life, is_synthetic=True, options=OPTIONS).promote
    assert decide(trained, passed, from_demo, is_synthetic=False, options=OPTIONS).promote
