"""A number that does not exist is no crash and no number."""

from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.learning.corrections import WITHIN_SHARES
from qc_assets.learning.metrics.bootstrap import MIN_ROWS, Estimate, evaluate, paired_differences, shown
from qc_assets.learning.promotion import COMMON_GATES, check_gates, decide_promotion, falls_behind
from qc_assets.learning.task import TASKS
from qc_assets.learning.task.interface import Task
from qc_assets.learning.training import train
from qc_assets.learning.training_figures import performance
from qc_assets.models.specs import SPECS
from qc_assets.registry import lifecycle, mirror
from qc_assets.registry.card import model_card
from qc_assets.registry.model_registry import Registry
from qc_assets.store.warehouse import Warehouse
from tests.learning.test_models import OPTIONS, SMALL, dataset, rows

CLASSES = 3


@st.composite
def windows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels as a share of their range, two models' answers likewise, and weights: empty, tiny, constant or plain."""
    n = draw(st.sampled_from([0, 1, 2, MIN_ROWS - 1, MIN_ROWS, 40]))
    values = st.sampled_from([0.0, 0.2, 0.5, 1.0])
    columns = [
        draw(st.one_of(values.map(lambda value: [value] * n), st.lists(values, min_size=n, max_size=n)))
        for _ in range(3)
    ]
    weights = draw(st.one_of(st.just([0.0] * n), st.just([1.0] * n), st.lists(values, min_size=n, max_size=n)))
    labels, ours, theirs, weights = (np.array(column, dtype=float) for column in (*columns, weights))
    return labels, ours, theirs, weights


def label_of(task: Task, share: np.ndarray) -> np.ndarray:
    """Labels of a task's kind for shares of their range."""
    return {"probability": np.round(share), "duration": 5 * share, "category": np.round((CLASSES - 1) * share)}[
        task.name
    ]


def answer_of(task: Task, share: np.ndarray) -> np.ndarray:
    """Answers of a task's kind for shares of their range: as sure, as long and as wide as can be at the ends."""
    if task.name == "duration":
        return np.stack([100 * share, 100 * share, 200 * share], axis=1)
    if task.name == "category":
        return np.stack([share, (1 - share) / 2, (1 - share) / 2], axis=1)
    return share


def assert_number_or_reason(estimate: Estimate) -> None:
    numbers = estimate.value, estimate.lower, estimate.upper
    assert all(number is None or isfinite(number) for number in (*numbers, estimate.baseline))
    assert (None in numbers) == bool(estimate.reason), "a missing number has a reason, and only that"
    if estimate.value is None:
        assert estimate.lower is None and estimate.upper is None
        assert not (estimate.is_surely_above(-np.inf) or estimate.is_surely_below(np.inf))
    assert "nan" not in f"{estimate:.4f}" and "inf" not in f"{estimate:.4f}"


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
@settings(max_examples=60, deadline=None)
@given(window=windows())
def test_every_metric_of_every_kind_of_answer_is_a_finite_number_or_has_a_reason(task: Task, window: tuple) -> None:
    labels, ours, theirs, weights = window
    y = label_of(task, labels)
    statistics = [task.statistics(y, answer_of(task, share)) for share in (ours, theirs)]
    with np.errstate(all="raise", under="ignore"):
        measured = evaluate(*statistics, weights, task.needs, resamples=20, seed=0)
        differences = paired_differences(*statistics, weights, task.needs, resamples=20, seed=0)
    assert measured.keys() == differences.keys() == task.metrics.keys()
    for estimate in (*measured.values(), *differences.values()):
        assert_number_or_reason(estimate)
    if np.count_nonzero(weights) < MIN_ROWS:
        assert {estimate.value for estimate in measured.values()} == {None}
    if task.name == "probability" and len(np.unique(y[weights > 0])) == 1:
        assert measured["roc_auc"].value is None


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_model_without_numbers_passes_no_gate_that_asks_for_them(spec: object) -> None:
    task = TASKS[spec.task]  # type: ignore[attr-defined]
    nothing = dict.fromkeys(task.metrics, Estimate(None, None, None, reason="4 rows with a label, at least 30 needed"))
    gates = task.check(spec, nothing, 10)  # type: ignore[arg-type]
    assert [gate.name for gate in gates] == list(task.gates)
    assert [gate.passed for gate in gates] == [None] * len(gates)
    assert all("not computed: 4 rows" in gate.detail for gate in gates)


def test_too_small_a_test_window_is_said_and_drawn_and_forbids() -> None:
    small = train(SMALL, dataset(n=170), replace(OPTIONS, candidates=("lightgbm",)))
    assert len(small.split.test) < MIN_ROWS
    gates = {gate.name: gate for gate in check_gates(small)}
    own = {"auc_above_threshold", "beats_base_rate", "no_repository_worse_than_its_base_rate", "monotone"}
    assert gates.keys() == (COMMON_GATES.keys() - {WITHIN_SHARES}) | own, "who gave labels is looked at before"
    assert gates["enough_labelled_rows"].forbids and gates["auc_above_threshold"].passed is None
    unseen = [replace(gate, passed=None) for gate in gates.values()]
    decision = decide_promotion(small, unseen, None, is_synthetic=False, options=OPTIONS)
    assert decision.reason == "nobody becomes champion unseen: roc_auc, log_loss could not be judged"
    assert gates["not_surely_worse_than_plain_rivals"].passed is None, "left out"
    card = model_card(small, list(gates.values()), lifecycle.Decision(False, "no"), {"synthetic": "false"})
    assert f"| ROC AUC | test | – | {len(small.split.test)} rows with a label, at least 30 needed | – |" in card
    assert "not judged: missingness_does_not_tell" in card
    assert "can be gamed, and a reason that names one is no advice: log_lines (by splitting a change)." in card
    assert performance(small).startswith(b"\x89PNG")
    before = {"time_window": "test", "metric": "roc_auc", "value": 0.9, "lower": 0.8, "upper": 1.0}
    assert falls_behind(small, pl.DataFrame([before])) is None
    assert shown(None) == "–"


def test_a_repository_of_forty_pull_requests_says_why_it_is_not_trained(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    outcome = lifecycle.train_and_register(
        SMALL, rows(n=40), registry, OPTIONS, is_synthetic=False, origin={"snapshot": ""}
    )
    assert outcome.decision.reason == "40 labelled rows, at least 50 needed"


@pytest.mark.slow
def test_a_version_without_numbers_is_in_mlflow_and_in_the_tables(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "training_figures", lambda trained: {})
    registry = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    options = replace(OPTIONS, candidates=("lightgbm",))
    origin = {"snapshot": ""}
    outcome = lifecycle.train_and_register(SMALL, rows(n=170), registry, options, is_synthetic=False, origin=origin)
    assert outcome.logged is not None and not outcome.decision.promote
    metrics = registry.client().get_run(outcome.logged.run_id).data.metrics
    assert all(isfinite(value) for value in metrics.values()) and "test/roc_auc" not in metrics
    mirror.sync_mirror(warehouse, registry, "p0")
    evaluations = warehouse.query("SELECT value, lower, upper, reason FROM ml.evaluations")
    assert set(evaluations["value"]) == {None}
    assert all("at least 30 needed" in reason for reason in evaluations["reason"])
    assert warehouse.query("SELECT count(*) FROM ml.gates WHERE passed IS NULL").item() >= 2
    assert warehouse.query("SELECT count(*) FROM ml.rivals").item() == 10
