"""A training in MLflow while it is at work, and how its run ends: well, with an error, interrupted, or killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine

from qc_assets.progress import Milestone
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from qc_assets.registry.run_keepers import end_abandoned
from qc_assets.registry.tracking_server import TrackingServerAwayError
from qc_assets.settings import Settings
from tests.conftest import copy_of
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import ORIGIN, QUICK, registry_in

pytestmark = pytest.mark.usefixtures("without_figures")
SEARCH = replace(QUICK, quick=False, n_trials=3, n_folds=2)


def train(registry: Registry, progress: Callable[[str, float, float], None], **more: Any) -> Any:
    return lifecycle.train_and_register(
        SMALL, rows(700), registry, SEARCH, is_synthetic=False, origin=ORIGIN, progress=progress, **more
    )


def runs(registry: Registry, level: str) -> list[Any]:
    client = registry.client()
    experiment = client.get_experiment_by_name("p0")
    return [] if experiment is None else client.search_runs([experiment.experiment_id], f"tags.level = '{level}'")


def ending(registry: Registry) -> tuple[str, str, set[str]]:
    """Status of the only training, why it has it, and the statuses of all that is below it."""
    (run,) = runs(registry, "training")
    below = {each.info.status for level in ("candidate", "trial") for each in runs(registry, level)}
    return run.info.status, run.data.tags.get("ended", ""), below


def test_trials_and_candidates_come_in_while_it_runs_and_parameters_say_what_was_asked(registry: Registry) -> None:
    seen: list[tuple[str, int, int]] = []
    said: list[str] = []

    def look(what: str, done: float, total: float) -> None:
        said.append(what)
        (run,) = runs(registry, "training")
        seen.append((run.info.status, len(runs(registry, "trial")), len(run.data.metrics)))

    began = time.time()
    outcome = train(registry, look, settings={"QC_MIN_PR_LINES": "3"})
    took_ms = (time.time() - began) * 1000
    assert {status for status, _, _ in seen} == {"RUNNING"}
    assert sorted({trials for _, trials, _ in seen}) == [0, 1, 2, 3]
    assert "candidate 1 of 1 (lightgbm), trial 1 of 3" in said[0]
    assert any("trial 2 of 3, best log loss 0." in line and "about a minute left" in line for line in said), said
    (run,) = runs(registry, "training")
    assert run.info.run_id == outcome.logged.run_id and run.info.run_name == "p0 lightgbm"
    assert run.info.status == "FINISHED" and run.info.end_time - run.info.start_time > 0.8 * took_ms
    asked = run.data.params
    assert (asked["quick"], asked["trials"], asked["candidates"], asked["seed"]) == ("False", "3", "lightgbm", "1")
    assert asked["rows"] == "700" and asked["snapshot"] == "abc" and asked["QC_MIN_PR_LINES"] == "3"
    assert asked["data_from"].startswith("2024-01-01") and "model/n_estimators" in asked
    client = registry.client()
    (candidate,) = runs(registry, "candidate")
    assert candidate.info.status == "FINISHED" and candidate.data.tags["mlflow.parentRunId"] == run.info.run_id
    history = client.get_metric_history(candidate.info.run_id, "search/log_loss")
    assert [point.step for point in history] == [0, 1, 2]
    chosen = [trial for trial in runs(registry, "trial") if trial.data.tags["chosen"] == "true"]
    assert chosen and min(history, key=lambda point: point.value).value == chosen[0].data.metrics["search/log_loss"]
    experiment = client.get_experiment(run.info.experiment_id)
    assert "`test/roc_auc`" in experiment.tags["mlflow.note.content"]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ZeroDivisionError("by nothing"), "FAILED", "ZeroDivisionError: by nothing"),
        (KeyboardInterrupt(), "KILLED", "stopped"),
        (DagsterExecutionInterruptedError(), "KILLED", "stopped"),
    ],
)
def test_a_training_that_does_not_end_well_says_so(
    registry: Registry, error: BaseException, status: str, reason: str
) -> None:
    def fail(what: str, done: float, total: float) -> None:
        if "trial 3" in what:
            raise error

    with pytest.raises(type(error)):
        train(registry, fail)
    assert ending(registry) == (status, reason, {status, "FINISHED"})
    assert not registry.standing("p0").versions
    assert list(registry.artifact_root.parent.glob("keepers/*")) == []


def test_too_little_data_once_it_has_begun_is_a_failed_run(registry: Registry) -> None:
    frame = rows(60, days=12)
    outcome = lifecycle.train_and_register(SMALL, frame, registry, SEARCH, is_synthetic=False, origin=ORIGIN)
    assert [gate.passed for gate in outcome.gates] == [False]
    status, reason, _ = ending(registry)
    assert status == "FAILED" and reason.startswith("TrainingError: ")


def stay_at_work(folder: str) -> None:
    """A training that comes to its third trial and stays there."""
    train(registry_in(Path(folder)), lambda what, done, total: time.sleep(600) if "trial 3" in what else None)


@pytest.mark.slow
def test_a_killed_training_is_marked_by_the_next_look_and_a_living_one_is_left_alone(
    registry: Registry, tmp_path: Path
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=stay_at_work, args=(str(tmp_path),))
    process.start()
    try:
        deadline = time.monotonic() + 120
        while not runs(registry, "trial"):
            assert time.monotonic() < deadline and process.is_alive()
            time.sleep(0.2)
        assert end_abandoned(registry) == 0
        assert ending(registry)[0] == "RUNNING"
    finally:
        process.kill()
        process.join()
    assert ending(registry)[0] == "RUNNING", "nobody has looked"
    assert end_abandoned(registry) == 2, "the training and its candidate"
    assert ending(registry) == ("KILLED", "its process died without a word", {"KILLED", "FINISHED"})
    assert end_abandoned(registry) == 0


@pytest.mark.slow
def test_a_training_that_is_interrupted_in_its_terminal_is_killed_in_mlflow(
    small_home: Settings, tmp_path: Path
) -> None:
    settings = copy_of(small_home, tmp_path)
    named = ("home", "warehouse", "demo_prs", "demo_days")
    environment = os.environ | {f"QC_{name.upper()}": str(getattr(settings, name)) for name in named}
    command = [sys.executable, "-m", "qc_assets.cli", "train", "p0", "--candidates", "lightgbm", "--run-name", "mine"]
    registry = Registry.from_settings(settings)

    def mine() -> list[str]:
        return [run.info.status for run in runs(registry, "training") if run.info.run_name == "mine"]

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not runs(registry, "trial"):
            assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        assert mine() == ["RUNNING"]
        process.send_signal(signal.SIGINT)
        assert process.wait(120) != 0
    finally:
        process.kill()
        process.wait()
    assert mine() == ["KILLED"], (tmp_path / "log").read_text()
    assert end_abandoned(registry) == 0


@pytest.mark.parametrize("statement", ["INSERT INTO latest_metrics", "INSERT INTO params", "UPDATE runs"])
def test_an_interrupt_while_it_writes_leaves_no_database_locked(registry: Registry, statement: str) -> None:
    begun: list[str] = []
    met: list[str] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def written(connection: object, cursor: object, text: str, *_: object) -> None:
        if begun and text.startswith(statement) and not met:
            met.append(text)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, interrupt)
    event.listen(Engine, "after_cursor_execute", written)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(registry, lambda what, done, total: begun.append(what))
    finally:
        event.remove(Engine, "after_cursor_execute", written)
        signal.signal(signal.SIGINT, before)
    assert met
    assert ending(registry)[:2] == ("KILLED", "stopped")
    assert end_abandoned(registry) == 0


@pytest.mark.parametrize("error", [TrackingServerAwayError("away"), MlflowException("API request failed")])
def test_a_store_that_is_away_meanwhile_gets_what_it_missed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    present = registry.client
    refused: list[str] = []

    def away() -> Any:
        refused.append("asked")
        raise error

    def look(what: str, done: float, total: float) -> None:
        if "trial 2" in what:
            monkeypatch.setattr(registry, "client", away)
        if isinstance(what, Milestone) and "wins" in what:
            monkeypatch.setattr(registry, "client", present)

    outcome = train(registry, look)
    assert outcome.logged is not None and refused == ["asked"], "it is not asked at each trial"
    assert ending(registry)[0] == "FINISHED" and len(runs(registry, "trial")) == 3
