"""What a model must not claim: an order that calibration turned, skill that plain rivals have, what the gaps tell."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from qc_assets.learning.calibration import ProbabilityCalibrator, neighbours_out_of_order, weights_by_group
from qc_assets.learning.conformal import Intervals
from qc_assets.learning.leaks import dominant_feature
from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.promotion import check_gates
from qc_assets.learning.spec import Candidate
from qc_assets.learning.task import dataset_of
from qc_assets.learning.task.terms import Gate
from qc_assets.learning.training import Trained, train
from qc_assets.registry.card import calibration_table, validation_against_test, works_for
from qc_assets.registry.wording import beginning_of
from tests.learning.test_models import OPTIONS, SMALL, rows

PLAIN = replace(SMALL, features=("log_lines", "author_prior_prs"), categories={}, missing_is_a_fact=())
QUICK = replace(OPTIONS, candidates=("lightgbm",))


def gate_of(trained: Trained, name: str) -> Gate:
    (gate,) = [gate for gate in check_gates(trained) if gate.name == name]
    return gate


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Two repositories with the same features and other base rates, of which the model cannot tell the difference."""
    frame = rows(n=1_500, seed=1)
    strict = pl.col("number") % 3 == 0
    luck = pl.Series(np.random.default_rng(2).random(1_500) < 0.85)
    return train(
        PLAIN,
        dataset_of(
            PLAIN,
            frame.with_columns(
                repo_id=pl.when(strict).then(2).otherwise(1),
                repo=pl.when(strict).then(pl.lit("acme/strict")).otherwise(pl.lit("acme/mild")),
                passed=pl.col("passed") & ~(strict & luck),
            ),
        ),
        QUICK,
    )


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 1_200), slope=st.floats(-3, 3), seed=st.integers(0, 99))
def test_no_calibration_window_turns_an_order_round_or_ties_it_away(n: int, slope: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-slope * (scores - 0.5) * 4))) * 1.0
    calibrator = ProbabilityCalibrator.fit(scores, labels, weights_by_group(rng.integers(0, 3, n)))
    grid = np.r_[0.0, np.sort(rng.random(500)), 1.0]
    answers = calibrator(grid)
    assert neighbours_out_of_order(grid, answers) == 0
    assert ((answers >= 0) & (answers <= 1)).all()
    again = ProbabilityCalibrator.from_json(calibrator.to_json())
    assert np.array_equal(again(grid), answers)


def test_what_was_calibrated_by_an_older_version_answers_as_it_did() -> None:
    old = ProbabilityCalibrator.from_json({"method": "isotonic", "x": [0.2, 0.6], "y": [0.1, 0.9]})
    assert old(np.array([0.0, 0.4, 1.0])).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_a_window_that_is_mostly_one_repository_does_not_decide_for_the_others() -> None:
    rng = np.random.default_rng(0)
    groups = np.r_[np.zeros(3_000), np.repeat(np.arange(1, 21), 30)].astype(int)
    weights = weights_by_group(groups)
    assert weights.mean() == pytest.approx(1)
    assert weights[groups == 0].sum() < 0.5 * weights.sum()
    assert np.ptp(weights[groups > 0]) == 0
    scores = rng.random(len(groups))
    labels = (rng.random(len(groups)) < np.where(groups == 0, 0.2, 0.8)) * 1.0
    of_all, of_rows = ProbabilityCalibrator.fit(scores, labels, weights), ProbabilityCalibrator.fit(scores, labels)
    assert of_all(scores).mean() > of_rows(scores).mean() + 0.1


@settings(max_examples=40, deadline=None)
@given(n=st.integers(5, 900), slope=st.floats(-2, 2), seed=st.integers(0, 99))
def test_a_longer_score_is_never_a_shorter_median(n: int, slope: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(3, 1, n)
    y = np.clip(3 + slope * (scores - 3) + rng.normal(0, 1, n), 0, np.log1p(720))
    medians = Intervals.fit(scores, y, np.ones(n), 720.0)(np.sort(rng.normal(3, 2, 400)))[:, 1]
    assert (np.diff(medians) >= -1e-9).all()


def test_an_order_that_was_turned_fails_its_gate(trained: Trained) -> None:
    assert gate_of(trained, "calibration_keeps_the_order").passed
    turned = replace(trained, best=replace(trained.best, predictions=1 - trained.best.predictions))
    gate = gate_of(turned, "calibration_keeps_the_order")
    assert gate.forbids and "rows change places by none calibration" in gate.detail


def test_what_loses_to_a_plain_rival_is_not_promoted(trained: Trained) -> None:
    assert [rival.kind for rival in trained.rivals] == ["logistic", "lightgbm with its defaults"]
    assert gate_of(trained, "not_surely_worse_than_plain_rivals").passed
    random = np.random.default_rng(0)
    frame = rows(n=2_000)
    parts = random.normal(0, 1, (2, 2_000))
    passed = random.random(2_000) < 1 / (1 + np.exp(-2 * parts.sum(axis=0)))
    frame = frame.with_columns(log_lines=parts[0], author_prior_prs=parts[1], passed=passed)
    stump = Candidate("lightgbm", {"n_estimators": 1, "num_leaves": 2})
    poor = train(replace(PLAIN, candidates=(stump,)), dataset_of(PLAIN, frame), QUICK)
    gate = gate_of(poor, "not_surely_worse_than_plain_rivals")
    assert gate.forbids and gate.detail.startswith("against logistic ROC AUC -0.")


def test_what_is_unknown_must_not_tell_the_answer_unless_that_is_a_fact_of_the_opening() -> None:
    # A size is unknown where a later force push re-dated the commits, and those who push again pass more often.
    frame = rows(n=1_200)
    lost = pl.Series(np.random.default_rng(1).random(1_200)) < pl.when(pl.col("passed")).then(0.6).otherwise(0.2)
    frame = frame.with_columns(author_prior_prs=pl.when(lost).then(None).otherwise(pl.col("author_prior_prs")))
    gate = gate_of(train(PLAIN, dataset_of(PLAIN, frame), QUICK), "missingness_does_not_tell")
    assert gate.forbids and gate.detail.startswith("what is unknown of author_prior_prs reaches ROC AUC 0.")
    history = replace(PLAIN, missing_is_a_fact=("author_prior_prs",))
    gate = gate_of(train(history, dataset_of(history, frame), QUICK), "missingness_does_not_tell")
    assert gate.passed and gate.detail == "no feature is unknown for some rows and known for others"


def test_gaps_that_are_chance_pass(trained: Trained) -> None:
    assert gate_of(trained, "missingness_does_not_tell").passed
    assert "what is unknown of author_prior_prs reaches ROC AUC" in str(trained.missingness)


def test_repositories_that_are_surely_off_are_named(trained: Trained) -> None:
    off = {each.name: each for each in trained.reliability if each.is_off}
    assert off.keys() >= {"acme/strict"}
    assert off["acme/strict"].gap.is_surely_above(0) and off["acme/strict"].ece.value is not None
    gate = gate_of(trained, "right_in_every_repository_and_month")
    assert gate.passed is False and not gate.blocks
    assert "repository acme/strict: " in gate.detail
    table = calibration_table(trained)
    assert "| repository acme/strict |" in table and "SURELY OFF" in table
    sentences = works_for(trained)
    strict = off["acme/strict"]
    assert f"acme/strict ({strict.predicted:.0%} said, {strict.observed:.0%} came true)" in sentences
    assert works_for(replace(trained, reliability=())).startswith("By repository nothing is measured")


def test_a_model_at_chance_has_nothing_to_explain() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(400, 2)), (random.random(400) < 0.5) * 1.0
    found: Any = dominant_feature(
        ["a", "b"], x[:200], y[:200], x[200:], y[200:], model_auc=Estimate(0.5000001, 0.42, 0.58), importance={"a": 0.3}
    )
    assert not found.suspicious
    assert str(found).endswith("the model itself is not surely above chance, so there is nothing of it to explain")
    assert y[200:].mean() and roc_auc_score(y[200:], x[200:, 0]) < 0.65


def test_validation_and_test_that_surely_differ_are_a_sentence(trained: Trained) -> None:
    test = trained.best.evaluations["test"]["log_loss"]
    assert test.value is not None and test.upper is not None
    assert validation_against_test(replace(trained, best=replace(trained.best, validation=test.value))) == ""
    sentence = validation_against_test(replace(trained, best=replace(trained.best, validation=test.upper + 0.1)))
    assert "on the test window.** The window is easier than the time before it, by more than chance" in sentence


@given(card=st.text(alphabet="ab\n|", max_size=400), most=st.integers(80, 300))
def test_a_card_is_shown_as_far_as_a_description_goes(card: str, most: int) -> None:
    shown = beginning_of(card, most)
    assert len(shown) <= most
    if len(card) <= most:
        assert shown == card
    else:
        kept, _, told = shown.partition("\n\n*The rest is in the artifact model_card.md")
        assert told and card.startswith(kept)
        assert card[len(kept)] == "\n" or "\n" not in card[1 : len(kept)], "whole lines, where there are lines"
