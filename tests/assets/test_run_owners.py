"""A run whose process is dead counts as running for nobody, and one whose process lives is left alone."""

import logging
import multiprocessing
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from qc_assets.assets import run_owners
from qc_assets.assets.run_owners import claim_run, dead_runs, end_dead_runs
from qc_assets.cli.runs import open_instance
from qc_assets.clock import now_utc
from qc_assets.settings import Settings

Status = dg.DagsterRunStatus


@dg.job
def waits() -> None: ...


def start(settings: Settings, status: Status, *, claim: bool = True) -> str:
    with open_instance(settings) as instance:
        run = instance.create_run_for_job(waits, status=status)
        if claim:
            claim_run(instance, run.run_id)
        return run.run_id


def start_and_tell(home: Path, status: str, runs: "multiprocessing.Queue[str]") -> None:
    runs.put(start(Settings(home=home, _env_file=None), Status(status)))
    time.sleep(60)


def test_runs_of_dead_processes_are_ended_and_those_of_living_ones_are_not(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()
    spawn = multiprocessing.get_context("spawn")
    runs: Any = spawn.Queue()
    statuses = (Status.STARTED, Status.CANCELING, Status.STARTED)
    processes, ids = [], []
    for status in statuses:
        processes.append(spawn.Process(target=start_and_tell, args=(settings.home, status.value, runs), daemon=True))
        processes[-1].start()
        ids.append(runs.get(timeout=60))
    unclaimed = start(settings, Status.STARTING, claim=False)
    with open_instance(settings) as instance:
        assert dead_runs(instance) == []
        for process in processes[:2]:
            process.kill()
            process.join()
        assert {record.dagster_run.run_id for record in dead_runs(instance)} == set(ids[:2])
        # Dagster's daemon asks the launcher, in whichever process the run was.
        record = instance.get_run_record_by_id(ids[0])
        assert record is not None
        nobody: Any = None
        monitor_started_run(instance, nobody, record, logging.getLogger())
        assert end_dead_runs(instance) == [ids[1]]
        later = now_utc() + timedelta(seconds=301)
        monkeypatch.setattr(run_owners, "now_utc", lambda: later)
        assert end_dead_runs(instance) == [unclaimed], "nobody claimed it in time"
        final = {run.run_id: run.status for run in instance.get_runs()}
        assert final == {
            ids[0]: Status.FAILURE,
            ids[1]: Status.CANCELED,
            ids[2]: Status.STARTED,
            unclaimed: Status.FAILURE,
        }
        left = {path.stem for path in Path(instance.root_directory, "owners").iterdir()}
        assert left == {ids[2]}, "locks of runs that have ended are removed"
    processes[2].kill()
