"""Runs on other machines: Dagster's storage in PostgreSQL, runs that are submitted, executors by setting."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from deploy.local_servers import MissingServerError, PostgresServer, RedisServer, end_group, free_port
from qc_assets.assets import run_owners
from qc_assets.assets.executors import executor_of
from qc_assets.assets.partitions import NOT_WHOLE
from qc_assets.cli.runs import open_instance
from qc_assets.errors import QcError, SettingsError
from qc_assets.places import dagster_config
from qc_assets.settings import Settings
from tests import ROOT
from tests.conftest import copy_of

STORAGE = (ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8")


def test_an_executor_is_chosen_by_a_setting(make_settings: Callable[..., Settings]) -> None:
    names = {name: executor_of(make_settings(executor=name)).name for name in ("local", "in_process", "multiprocess")}
    assert names == {"local": "one_process_or_side_by_side", "in_process": "in_process", "multiprocess": "multiprocess"}
    with pytest.raises(SettingsError, match=r"QC_EXECUTOR='spark': Input should be 'local', 'in_process'"):
        make_settings(executor="spark")
    pytest.importorskip("dagster_celery", reason="the extra `cluster` is not installed")
    assert executor_of(make_settings(executor="docker")).name == "docker"
    assert executor_of(make_settings(executor="k8s")).name == "k8s"
    with pytest.raises(SettingsError, match="QC_EXECUTOR=celery needs QC_CELERY_BROKER"):
        executor_of(make_settings(executor="celery"))
    settings = make_settings(executor="celery", celery_broker="redis://:very-secret@host/0")
    assert executor_of(settings).name == "celery" and "very-secret" not in repr(settings)


def test_an_extra_that_is_missing_is_named(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dagster_k8s", None)
    with pytest.raises(SettingsError, match=r"QC_EXECUTOR=k8s needs more: pip install 'qc-assets\[cluster\]'"):
        executor_of(make_settings(executor="k8s"))


@dg.job
def waits() -> None:
    """Never executed."""


def test_runs_of_another_machine_are_not_ended_here(
    make_settings: Callable[..., Settings], shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a run is a file of the machine that executes it."""
    pytest.importorskip("dagster_postgres", reason="the extra `cluster` is not installed")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", shared_url.replace("postgresql://", "postgresql+psycopg2://"))
    monkeypatch.setattr(run_owners, "_START_S", -1.0)
    settings = make_settings()
    with open_instance(settings) as ours:
        run = ours.create_run_for_job(waits, status=dg.DagsterRunStatus.STARTED)
        assert [record.dagster_run.run_id for record in run_owners.dead_runs(ours)] == [run.run_id]
    (settings.home / "dagster" / "dagster.yaml").unlink()
    (settings.home / "dagster" / "dagster.yaml").write_text(STORAGE, encoding="utf-8")
    with open_instance(settings) as shared:
        shared.create_run_for_job(waits, status=dg.DagsterRunStatus.STARTED)
        assert run_owners.dead_runs(shared) == [] and run_owners.end_dead_runs(shared) == []


def test_many_days_are_stored_at_once_and_missing_ones_are_not(
    make_settings: Callable[..., Settings], shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_postgres", reason="the extra `cluster` is not installed")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", shared_url.replace("postgresql://", "postgresql+psycopg2://"))
    settings = make_settings()
    (settings.home / "dagster").mkdir(parents=True)
    (settings.home / "dagster" / "dagster.yaml").write_text(STORAGE, encoding="utf-8")
    days = [f"2024-01-{day:02}" for day in range(1, 31)]
    gap = {NOT_WHOLE: dg.MetadataValue.json([days[3]])}

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(days), backfill_policy=dg.BackfillPolicy.single_run())
    def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.info("loaded")
        return dg.MaterializeResult(metadata=gap)

    with open_instance(settings) as instance:
        tags = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
        for _ in range(2):
            result = dg.materialize([raw], instance=instance, tags=tags, run_config=None)
            assert result.success
        made = instance.get_materialized_partitions(dg.AssetKey("raw"))
        assert made == set(days) - {days[3]}
        latest = instance.get_latest_materialization_event(dg.AssetKey("raw"))
        assert latest is not None and latest.run_id == result.run_id
        run = instance.get_run_by_id(result.run_id)
        assert run is not None and run.remote_job_origin is not None


class Machine:
    """A home with Dagster's storage in PostgreSQL, and processes that have its environment."""

    def __init__(self, settings: Settings, database: str, **variables: str) -> None:
        self.settings = settings
        home = settings.home / "dagster"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").unlink(missing_ok=True)
        (home / "dagster.yaml").write_text(STORAGE, encoding="utf-8")
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # dagster-celery starts `celery`
            "QC_HOME": str(settings.home),
            "QC_WAREHOUSE": str(settings.warehouse),
            "QC_DEMO_PRS": str(settings.demo_prs),
            "QC_DEMO_DAYS": str(settings.demo_days),
            "QC_SOURCE": "demo",
            "QC_MAX_PARTITIONS_PER_RUN": "2",
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": database,
            **variables,
        }

    @contextmanager
    def process(self, *command: str) -> Iterator[Path]:
        log = self.settings.home / f"{command[1].rpartition('.')[2]}.log"
        with log.open("ab") as file:
            started = subprocess.Popen(
                [sys.executable, *command], env=self.environment, cwd=self.settings.home, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield log
        finally:
            end_group(started, 30)

    def daemon(self) -> Any:
        return self.process("-m", "dagster._daemon", "run", "-w", str(dagster_config("workspace.yaml")))

    def celery_worker(self, name: str, file: Path) -> Any:
        start = ("-m", "dagster_celery.cli", "worker", "start", "-A", "dagster_celery.app")
        return self.process(*start, "-n", name, "-y", str(file), "--", "-c", "1")

    def qc(self, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "qc_assets.cli", "--json", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def outcome(self, runs: list[str], patience_s: float = 300) -> list[str]:
        deadline = time.monotonic() + patience_s
        with open_instance(self.settings) as instance:
            while time.monotonic() < deadline:
                states = [run.status.value for run_id in runs if (run := instance.get_run_by_id(run_id))]
                if all(state in ("SUCCESS", "FAILURE", "CANCELED") for state in states):
                    break
                time.sleep(1)
        return states


@pytest.fixture
def machine(
    small_home: Settings, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Machine]:
    pytest.importorskip("dagster_postgres", reason="the extra `cluster` is not installed")

    def make(**variables: str) -> Machine:
        database = postgres.url(f"dagster_{time.monotonic_ns()}", "postgresql+psycopg2")
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", database)
        return Machine(copy_of(small_home, tmp_path), database, **variables)

    return make


@pytest.mark.slow
def test_submitted_runs_are_executed_by_the_daemon(
    machine: Callable[..., Machine],
) -> None:
    here = machine()
    submitted = here.qc("backfill", "--submit", "--refresh", "--from", "2024-01-10", "--to", "2024-01-12")
    assert len(submitted["runs"]) == 2, "QC_MAX_PARTITIONS_PER_RUN=2"
    assert submitted["urls"] == [f"http://127.0.0.1:8000/dagster/runs/{run}" for run in submitted["runs"]]
    assert "nobody takes runs from the queue" in submitted["warning"]
    trained = here.qc("train", "p0", "--quick", "--submit")
    with open_instance(here.settings) as instance:
        queued = instance.get_run_by_id(trained["runs"][0])
        assert queued is not None and queued.job_name == "training_p0" and queued.status.value == "QUEUED"
        instance.run_coordinator.cancel_run(queued.run_id)
    with here.daemon() as log:
        states = here.outcome(submitted["runs"])
    assert states == ["SUCCESS", "SUCCESS"], log.read_text(encoding="utf-8")[-5_000:]


@pytest.mark.slow
def test_a_run_is_executed_by_celery_workers(machine: Callable[..., Machine], tmp_path: Path) -> None:
    pytest.importorskip("dagster_celery", reason="the extra `cluster` is not installed")
    try:
        redis = RedisServer(tmp_path / "redis", free_port())
    except MissingServerError as error:
        pytest.skip(str(error))
    worker = tmp_path / "celery.yaml"
    worker.write_text(yaml.safe_dump({"execution": {"config": {"broker": redis.url, "backend": redis.url}}}))
    with ExitStack() as running:
        running.callback(redis.stop)
        here = machine(QC_EXECUTOR="celery", QC_CELERY_BROKER=redis.url)
        logs = [running.enter_context(here.celery_worker(name, worker)) for name in ("one", "two")]
        submitted = here.qc("backfill", "--submit", "--refresh", "--from", "2024-01-10", "--to", "2024-01-11")
        log = running.enter_context(here.daemon())
        states = here.outcome(submitted["runs"])
        told = logs[0].read_text(encoding="utf-8")
        assert states == ["SUCCESS"], log.read_text(encoding="utf-8")[-3_000:] + told[-3_000:]
        assert "Task execute_plan" in told and "succeeded" in told


def test_what_cannot_be_submitted_is_refused(make_settings: Callable[..., Settings]) -> None:
    from qc_assets.cli.submitting import submit_backfill

    with pytest.raises(QcError, match="set it there"):
        submit_backfill(make_settings(), [], {}, is_named=True)
