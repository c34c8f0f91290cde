"""Estimators made of others: heads for two questions, and blends of kinds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.estimators import SklearnEstimator
from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.promotion import Decision
from qc_assets.learning.rivals import Rival
from qc_assets.learning.spec import Candidate
from qc_assets.learning.task import dataset_of, task_named
from qc_assets.learning.task.combined import (
    BlendEstimator,
    HeadsEstimator,
    ProjectEstimator,
    Rate,
    fit_heads,
    fit_one_head,
)
from qc_assets.learning.task.terms import Known, Others
from qc_assets.learning.training import train
from qc_assets.models.p0 import SPEC as P0
from qc_assets.registry.card import model_card
from tests.learning.test_models import OPTIONS, SMALL, rows

SMALL_TREES = {"n_estimators": 60, "num_leaves": 4}


def world(n: int = 4_000, seed: int = 0) -> tuple[np.ndarray, Known]:
    """The first feature decides the way, the second how it ends: one way on one, the other way round on the other."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    way = rng.random(n) < 1 / (1 + np.exp(-2 * x[:, 0]))
    y = rng.random(n) < 1 / (1 + np.exp(np.where(way, -2, 2) * x[:, 1]))
    return x, Known(y.astype(float), np.ones(n), way=way.astype(float))


def test_each_head_learns_its_own_question_and_together_they_are_the_answer() -> None:
    x, known = world()
    heads = fit_heads("lightgbm", SMALL_TREES, x, known, seed=0, threads=1)
    way, on_way, off_way = heads.all_scores(x).T
    assert np.corrcoef(way, x[:, 0])[0, 1] > 0.8
    assert np.corrcoef(on_way, x[:, 1])[0, 1] > 0.8 and np.corrcoef(off_way, x[:, 1])[0, 1] < -0.8
    assert heads.score(x) == pytest.approx(way * on_way + (1 - way) * off_way)
    new, truth = world(seed=1)
    one = fit_one_head("logistic", {}, x, known.y, known.weights, seed=0, threads=1)
    two = fit_heads("logistic", {}, x, known, seed=0, threads=1)
    assert ((two.score(new) - truth.y) ** 2).mean() < ((one.score(new) - truth.y) ** 2).mean() - 0.02


def test_a_way_that_few_rows_went_is_known_by_its_rate_only() -> None:
    x, known = world(400)
    rare = np.zeros(400)
    rare[:20] = 1
    heads = fit_heads("logistic", {}, x, replace(known, way=rare), seed=0, threads=1)
    assert isinstance(heads.parts[1], Rate) and not isinstance(heads.parts[2], Rate)
    assert heads.parts[1].share == (known.y[:20].sum() + 1) / 22


@pytest.mark.parametrize(("reviewed", "is_one"), [(49, True), (50, False)])
def test_where_both_ways_have_few_rows_one_head_learns_from_all(reviewed: int, is_one: bool) -> None:
    x, known = world(reviewed + 40)
    known = replace(known, way=(np.arange(len(x)) < reviewed).astype(float))
    fitted = fit_heads("logistic", {}, x, known, seed=0, threads=1)
    assert isinstance(fitted, HeadsEstimator) is not is_one
    if is_one:
        whole = fit_one_head("logistic", {}, x, known.y, known.weights, seed=0, threads=1)
        assert np.array_equal(fitted.score(x), whole.score(x)) and np.ptp(fitted.score(x)) > 0.1


def test_a_blend_is_the_mean_of_log_odds_and_is_the_same_after_loading(tmp_path: Path) -> None:
    x, known = world(600)
    parameters = {"logistic": {"C": 0.1}, "random_forest": {"n_estimators": 5}, "lightgbm": SMALL_TREES}
    blend = fit_one_head("blend", parameters, x, known.y, known.weights, seed=0, threads=1)
    assert isinstance(blend, BlendEstimator)
    p = np.clip(blend.all_scores(x), 1e-6, 1 - 1e-6)
    mean = np.log(p / (1 - p)).mean(axis=1)
    assert np.log(blend.score(x) / (1 - blend.score(x))) == pytest.approx(mean)
    heads = fit_heads("blend", parameters, x, known, seed=0, threads=1)
    bundle = Bundle.of(SMALL, heads, ProbabilityCalibrator.none(), trivial=(), context={}, is_synthetic=True)
    bundle.save(tmp_path)
    assert np.array_equal(Bundle.load(tmp_path).estimator.score(x), heads.score(x))


def other_projects(turned: float = 1.0) -> Others:
    """They know how the second feature ends, and are too sure of it, and at another level."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3_000, 2))
    y = (rng.random(3_000) < 1 / (1 + np.exp(-turned * (4 * x[:, 1] + 2)))) * 1.0
    return Others(fit_one_head("logistic", {"C": 0.1}, x, y, np.ones(3_000), seed=0, threads=1), 2)


def test_a_small_project_learns_from_others_and_is_the_same_after_loading(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(60, 9)), rng.normal(size=(4_000, 9))
    true = lambda x: 1 / (1 + np.exp(-2 * x[:, 1] + 0.5))  # noqa: E731
    known, task = Known((rng.random(60) < true(x)) * 1.0, np.ones(60)), task_named("probability")
    alone = task.fit("logistic", {"C": 0.03}, x, known, seed=0, threads=1)
    both = task.fit("logistic", {"C": 0.03}, x, known, seed=0, threads=1, others=other_projects())
    assert isinstance(both, ProjectEstimator) and both.slope > 0
    assert np.abs(both.score(new) - true(new)).mean() < np.abs(alone.score(new) - true(new)).mean() - 0.03
    others = other_projects().estimator.score(new[:, :2])
    assert np.abs(both.score(new) - true(new)).mean() < np.abs(others - true(new)).mean(), "it has a level of its own"
    bundle = Bundle.of(SMALL, both, ProbabilityCalibrator.none(), trivial=(), context={}, is_synthetic=True)
    bundle.save(tmp_path)
    assert np.array_equal(Bundle.load(tmp_path).estimator.score(new), both.score(new))
    turned = task.fit("logistic", {"C": 0.03}, x, known, seed=0, threads=1, others=other_projects(-1.0))
    assert np.array_equal(turned.score(new), alone.score(new)), "others for whom it is the other way round"


def test_only_a_project_of_few_rows_learns_from_others_and_its_rivals_never_do() -> None:
    spec = replace(SMALL, candidates=(Candidate("lightgbm", SMALL_TREES),))
    of_many = train(spec, dataset_of(spec, rows(n=3_000, seed=7)), OPTIONS).best.estimator
    told = replace(OPTIONS, others=Others(of_many, len(spec.features)))
    few = dataset_of(spec, rows(n=450))
    with_others, alone = train(spec, few, told), train(spec, few, OPTIONS)
    assert isinstance(with_others.best.estimator, ProjectEstimator)
    assert isinstance(with_others.served, ProjectEstimator), "and so does what is served"
    losses = [one.best.evaluations["test"]["log_loss"].value for one in (with_others, alone)]
    assert losses[0] < losses[1] - 0.01
    assert [one.evaluations for one in with_others.rivals[:-1]] == [one.evaluations for one in alone.rivals]
    by_itself = with_others.rivals[-1]
    assert by_itself.kind == "lightgbm without what others know"
    assert by_itself.evaluations == alone.best.evaluations["test"], "so the gate says whether others helped"
    assert by_itself.differences["log_loss"].value == pytest.approx(losses[0] - losses[1])
    cards = [model_card(one, [], Decision(False, "no"), {"synthetic": "true"}) for one in (with_others, alone)]
    assert ["is what the p0 of other projects knows" in card for card in cards] == [True, False]
    many = dataset_of(spec, rows(n=700))
    assert np.array_equal(train(spec, many, told).best.predictions, train(spec, many, OPTIONS).best.predictions), (
        "it knows enough by itself"
    )


def test_others_whom_the_judged_one_left_out_are_not_in_what_is_served() -> None:
    spec = replace(SMALL, candidates=(Candidate("lightgbm", SMALL_TREES),), heads=None)
    of_many = train(spec, dataset_of(spec, rows(3_000, seed=5)), OPTIONS).served
    assert of_many is not None
    before, after = rows(400, signal=-0.3, seed=2), rows(400, signal=9.0, seed=2)
    turned = pl.concat([before[:340], after[340:]])
    told = replace(OPTIONS, others=Others(of_many, len(spec.features)))
    trained = train(spec, dataset_of(spec, turned), told)
    known = trained.known["labelled"]
    x = trained.data.x[trained.split.known_windows["labelled"]]
    assert isinstance(task_named("probability").fit("lightgbm", SMALL_TREES, x, known, seed=0, threads=1,
                                                    others=told.others), ProjectEstimator)  # fmt: skip
    assert not isinstance(trained.best.estimator, ProjectEstimator)
    assert not isinstance(trained.served, ProjectEstimator)


def test_a_line_as_flat_arrays_answers_as_the_pipeline_does() -> None:
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(900, 2)), rng.integers(0, 3, (900, 2)), rng.exponential(50, (900, 1))])
    x[rng.random(x.shape) < 0.1] = np.nan
    x = np.hstack([x, np.full((900, 1), np.nan), np.ones((900, 1))])
    y = (rng.random(900) < 1 / (1 + np.exp(-np.nan_to_num(x[:, 0])))).astype(float)
    line = fit_one_head("logistic", {"C": 0.1}, x, y, np.ones(900), seed=0, threads=1)
    assert isinstance(line, SklearnEstimator)
    asked = np.vstack([x[:150], 10 * x[150:199], np.full((1, x.shape[1]), np.nan)])
    assert line.score(asked) == pytest.approx(line.model.predict_proba(asked)[:, 1], abs=1e-12)
    # Where quantiles repeat, at their ends, and beyond them.
    ends = np.nan_to_num(line.model.steps[1][1].quantiles_[[0, 50, 120, -1], : x.shape[1]])
    for shift in (0.0, 1e-9, -1e-9, 0.5):
        asked = ends + shift
        assert line.score(asked) == pytest.approx(line.model.predict_proba(asked)[:, 1], abs=1e-12)
    many = np.tile(x, (4, 1))
    assert np.array_equal(line.score(many)[:900], np.concatenate([line.score(row[None]) for row in x]))


def test_p0_asks_two_questions_where_its_rows_say_how_they_were_decided() -> None:
    frame = rows(n=1_500)
    by_verdict = pl.Series(np.random.default_rng(0).random(len(frame)) < 0.6)
    # Who is reviewed is judged by size; the others nearly all land.
    decided = frame.with_columns(
        decided_by_verdict=by_verdict, passed=pl.when(by_verdict).then(pl.col("passed")).otherwise(pl.lit(True))
    ).with_columns(passed=pl.when(pl.col("number") % 17 == 0).then(~pl.col("passed")).otherwise(pl.col("passed")))
    spec = replace(SMALL, heads=P0.heads, candidates=(Candidate("lightgbm", SMALL_TREES),))
    trained = train(spec, dataset_of(spec, decided), OPTIONS)
    assert isinstance(trained.best.estimator, HeadsEstimator) and trained.context == {"way": "decided_by_verdict"}
    assert list(trained.heads) == ["verdict", "approved_if_verdict", "landed_if_none"]
    assert trained.heads["approved_if_verdict"]["roc_auc"].is_surely_above(0.6)
    assert not trained.heads["verdict"]["roc_auc"].is_surely_above(0.5)
    assert (trained.rivals[-1].kind, trained.rivals[-1].tolerance) == ("lightgbm with one head", 1.0)
    assert {rival.tolerance for rival in trained.rivals[:-1]} == {0.1}
    assert train(spec, dataset_of(spec, frame), OPTIONS).heads == {}, "without the column there is one question"


@pytest.mark.parametrize(("loss", "tolerance", "beats"), [
    ((0.009, 0.003, 0.015), 0.1, ["log_loss"]), ((0.009, 0.003, 0.015), 1.0, []),
    ((0.04, 0.03, 0.05), 1.0, ["log_loss"]), ((0.04, 0.01, 0.07), 1.0, []),
])  # fmt: skip
def test_one_head_is_judged_by_what_two_heads_may_cost(
    loss: tuple[float, float, float], tolerance: float, beats: list[str]
) -> None:
    differences = {"log_loss": Estimate(*loss), "roc_auc": Estimate(-0.005, -0.015, 0.005)}
    assert Rival("blend with one head", {}, differences, tolerance).surely_beats(P0) == beats
