"""Texts beside numbers: taken only if they surely help, fitted on the train window only, and not needed to predict."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.learning import training
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.search import text_gain, usable_folds
from qc_assets.learning.splits import time_split
from qc_assets.learning.task import dataset_of, task_of
from qc_assets.learning.text.text_features import TextReducer, has_enough_texts
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from tests.learning.test_models import SMALL, rows

SPEC = replace(SMALL, texts=("opened_title", "opened_body"))
OPTIONS = training.Options(n_trials=2, resamples=100, seed=1, threads=1, candidates=("lightgbm",))
GOOD = ("Fix typo in the guide", "Correct spelling in docs", "Improve wording of the README", "Document the flag")
BAD = ("Rewrite the scheduler", "Replace the storage engine", "New plugin architecture", "Port the core to Rust")


def frame(*, telling: bool, n: int = 1_500) -> pl.DataFrame:
    """Rows whose titles tell, or do not tell, how the review will end."""
    rng = np.random.default_rng(7)
    found = rows(n=n)
    says = found["passed"].to_numpy() if telling else rng.random(n) < 0.5
    titles = [(GOOD if good else BAD)[pick] for good, pick in zip(says, rng.integers(0, 4, n), strict=True)]
    return found.with_columns(
        opened_title=pl.Series(titles),
        opened_body=pl.when(pl.col("number") % 5 > 0).then(
            pl.lit("See the thread, part ") + pl.col("number").mod(9).cast(str)
        ),
    )


@pytest.fixture(scope="module")
def helped() -> training.Trained:
    return training.train(SPEC, dataset_of(SPEC, frame(telling=True)), OPTIONS)


@pytest.mark.slow
def test_texts_that_help_are_taken_and_those_that_do_not_are_left(helped: training.Trained) -> None:
    assert helped.best.kind == "lightgbm_with_texts"
    assert helped.texts is not None
    plain, with_texts = (one.evaluations["test"]["roc_auc"].value for one in helped.candidates)
    assert with_texts > plain + 0.05
    assert set(helped.texts.names) <= set(helped.importance)
    told: list[str] = []
    useless = training.train(SPEC, dataset_of(SPEC, frame(telling=False)), OPTIONS, lambda what, *_: told.append(what))
    assert useless.texts is None and useless.best.kind == "lightgbm"
    assert useless.skipped["with texts"].endswith("not taken")
    assert any("texts change log loss by" in sentence for sentence in told)


def durations(n: int = 400) -> pl.DataFrame:
    """Issues whose titles tell how long they take; some are still open."""
    rng = np.random.default_rng(3)
    issues = rows(n=n).rename({"log_lines": "title_length"})
    quick = rng.random(n) < 0.5
    titles = [(GOOD if short else BAD)[pick] for short, pick in zip(quick, rng.integers(0, 4, n), strict=True)]
    hours = np.where(quick, 5.0, 200.0) * rng.lognormal(0, 0.5, n)
    return issues.with_columns(
        opened_title=pl.Series(titles),
        opened_body=pl.Series(rng.choice(BAD, n)),
        resolution_hours=pl.Series(np.where(rng.random(n) < 0.1, np.nan, hours)).fill_nan(None),
    )


def test_texts_that_tell_how_long_an_issue_takes_are_taken_too() -> None:
    spec = replace(RESOLUTION_TIME, features=("title_length",), categories={}, missing_is_a_fact=())
    assert spec.texts == CLOSE_IN_7_DAYS.texts == ("opened_title", "opened_body")
    issues = durations()
    data = dataset_of(spec, issues)
    split = time_split(data, spec.maturity)
    context = task_of(spec).context(spec, data, split)
    fold = usable_folds(spec, data, split, context, 2)[-1]
    gain = text_gain(spec, "linear", {"alpha": 1.0}, data, fold, context, replace(OPTIONS, resamples=60))
    assert gain.metric == "MAE, log hours" and gain.is_certain
    assert gain.gain.value == pytest.approx(gain.without - gain.with_it) and gain.with_it < gain.without - 0.3
    few = issues.with_columns(opened_body=pl.when(pl.col("number") < 3).then("opened_body"))
    assert has_enough_texts(issues, spec.texts) and not has_enough_texts(few, spec.texts)
    assert not has_enough_texts(issues.drop("opened_body"), spec.texts)


def test_a_quick_training_says_that_it_did_not_look_at_texts() -> None:
    quick = training.train(SPEC, dataset_of(SPEC, frame(telling=True)), replace(OPTIONS, quick=True))
    assert quick.skipped["with texts"] == "too slow for a quick training"


def test_a_missing_text_is_unknown_and_a_missing_feature_is_an_error(helped: training.Trained, tmp_path: Path) -> None:
    from qc_assets.errors import TrainingError

    best = helped.best
    about: dict[str, Any] = {"trivial": (0.6,), "context": {}, "is_synthetic": True}
    bundle = Bundle.of(SPEC, best.estimator, best.calibrator, texts=helped.texts, **about)
    bundle.save(tmp_path)
    loaded = Bundle.load(tmp_path)
    new = frame(telling=True)[-50:]
    assert np.array_equal(loaded.predict(new), bundle.predict(new))
    without = loaded.predict(new.drop("opened_title", "opened_body"))
    assert ((without > 0) & (without < 1)).all()
    assert not np.array_equal(without, loaded.predict(new))
    with pytest.raises(TrainingError, match="lack the feature columns log_lines"):
        loaded.predict(new.drop("log_lines"))


def test_components_come_from_the_train_window_alone(helped: training.Trained) -> None:
    assert helped.texts is not None
    train = helped.data.frame[helped.split.train]
    again = TextReducer.fit(train, SPEC.texts)
    assert np.allclose(again.components, helped.texts.components)
    later = helped.data.frame.with_columns(
        opened_title=pl.when(pl.col("opened_at") > train["opened_at"].max())
        .then(pl.lit("something else entirely"))
        .otherwise("opened_title")
    )
    assert np.allclose(TextReducer.fit(later[helped.split.train], SPEC.texts).components, again.components)


@pytest.mark.slow
def test_mlflow_serves_a_model_with_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setattr("qc_assets.learning.promotion.not_surely_worse", lambda spec, rivals: (True, "not looked at"))

    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    data = frame(telling=True)
    outcome = lifecycle.train_and_register(SPEC, data, registry, OPTIONS, is_synthetic=False, origin={"snapshot": "x"})
    assert outcome.trained is not None and outcome.trained.texts is not None
    new = data[-20:]
    columns = [*SPEC.features, *SPEC.texts]
    served = mlflow.pyfunc.load_model("models:/p0@champion").predict(
        new.select(columns).to_pandas().astype({"author_prior_prs": float})
    )
    champion = registry.champion("p0")
    assert champion is not None
    assert np.allclose(served, champion[1].predict(new))
