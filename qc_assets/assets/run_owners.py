"""Which process executes a run; runs whose process is dead are ended instead of counting as running for ever.

Dagster asks run workers how they are only where it started them itself, and the launcher that starts them here cannot
tell. So whatever executes a run holds a lock for as long as it lives; the launcher and `qc` look at the lock.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import RunRecord
from filelock import FileLock

from qc_assets.clock import now_utc
from qc_assets.locks import acquire_lock, is_locked

# A run that no process has claimed yet may be starting; one of an earlier version never had a lock.
_START_S = 300.0
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_claims: list[FileLock] = []


def claim_run(instance: dg.DagsterInstance, run_id: str) -> FileLock:
    """Say that this process executes a run, until the lock is released or the process ends."""
    lock = acquire_lock(_lock_file(instance, run_id), timeout_s=10)
    if lock is None:
        raise dg.DagsterInvariantViolationError(f"another process executes run {run_id} already")
    _claims.append(lock)  # a lock that nobody refers to is released
    return lock


def dead_runs(instance: dg.DagsterInstance) -> list[RunRecord]:
    """Runs that Dagster takes for running, though no process executes them.

    None where somebody else's launcher starts runs: whether a process on another machine lives cannot be told here, and
    Dagster's own run monitoring asks that launcher.
    """
    if not isinstance(instance.run_launcher, WatchedRunLauncher):
        return []
    records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    return [record for record in records if _is_dead(instance, record)]


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark dead runs as failed, or as canceled if that was asked for; returns their ids."""
    ended = []
    for record in dead_runs(instance):
        run = instance.get_run_by_id(record.dagster_run.run_id)
        if run is None or run.is_finished:  # meanwhile
            continue
        message = "The process that executed this run has ended without a word: it was killed, or the machine went off."
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
        ended.append(run.run_id)
    for path in _left_locks(instance):
        path.unlink(missing_ok=True)
    return ended


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, for which its run monitoring can tell whether a run's process lives."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process lives, also if `qc` executes the run and not a worker of this launcher."""
        record = self._instance.get_run_record_by_id(run.run_id)
        if record is None or not _is_dead(self._instance, record):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process that executed this run has ended")


def _is_dead(instance: dg.DagsterInstance, record: RunRecord) -> bool:
    path = _lock_file(instance, record.dagster_run.run_id)
    if path.exists():
        return not is_locked(path)
    return (now_utc() - record.update_timestamp.replace(tzinfo=None)).total_seconds() > _START_S


def _left_locks(instance: dg.DagsterInstance) -> Iterator[Path]:
    """Files of runs that have ended."""
    unfinished = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))}
    for path in _lock_file(instance, "").parent.glob("*.lock"):
        if path.stem not in unfinished and not is_locked(path):
            yield path


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "owners" / f"{run_id}.lock"
