"""Dagster's home under QC_HOME, and running jobs of this project in the present process."""

import os
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from qc_assets.cli.dagster_records import bring_up_to_date
from qc_assets.cli.trouble import advice_about
from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.interrupts import insistent_interrupts
from qc_assets.places import dagster_config, settings_file
from qc_assets.settings import Settings
from qc_assets.sqlite_files import is_broken

if TYPE_CHECKING:
    import dagster as dg

# Dagster itself takes a daemon for dead after that.
_DAEMON_S = 300.0


class RunFailedError(QcError):
    """A Dagster run failed; its events are kept in Dagster's storage."""


@dataclass(frozen=True)
class JobResult:
    """What a finished run reports.

    Attributes:
        seconds: duration by step.
        checks: whether each asset check passed, by ``asset: check``, with what it measured.
        metadata: of the last materialization, by asset.
    """

    run_id: str
    seconds: dict[str, float]
    checks: dict[str, tuple[bool, dict[str, Any]]]
    metadata: dict[str, dict[str, Any]]


def dagster_home(settings: Settings) -> Path:
    """QC_HOME/dagster, with our dagster.yaml linked into it; one that somebody wrote there is theirs, and stays."""
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)  # Dagster makes its databases by the umask
    link, target = home / "dagster.yaml", dagster_config("dagster.yaml")
    if own_dagster_yaml(settings) is None and (not link.is_symlink() or link.readlink() != target):
        with suppress(FileNotFoundError):
            link.unlink()
        with suppress(FileExistsError):  # another process was quicker
            link.symlink_to(target)
    return home


def own_dagster_yaml(settings: Settings) -> Path | None:
    """The dagster.yaml that somebody put into QC_HOME/dagster; None if ours is linked there, or none is yet."""
    path, ours = settings.home / "dagster" / "dagster.yaml", dagster_config("dagster.yaml")
    if not path.exists():
        return None  # not there, or a link of ours into a checkout that was moved
    first_lines = [file.read_text(encoding="utf-8").partition("\n")[0] for file in (path, ours)]
    is_ours = path.is_symlink() and first_lines[0] == first_lines[1]  # also one of another checkout's
    return None if is_ours else path


def write_env_file(settings: Settings, path: Path | None = None) -> Path:
    """Put an absolute DAGSTER_HOME into `.env`, leaving its other lines alone.

    `dagster dev` typed by hand reads it, and would otherwise forget everything when it stops.
    """
    path = path or settings_file()
    line = f"DAGSTER_HOME={dagster_home(settings)}"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if re.search(r"^DAGSTER_HOME=", text, flags=re.MULTILINE):
        new = re.sub(r"^DAGSTER_HOME=.*$", lambda _: line, text, flags=re.MULTILINE)
    else:
        new = f"{text.rstrip()}\n{line}\n".lstrip()
    if new != text:
        write_whole(path, new, is_private=True)
    return path


def open_instance(settings: Settings) -> "dg.DagsterInstance":
    """The persistent Dagster instance of this project; its databases are made by whoever comes first.

    Raises:
        QcError: if they cannot be opened.
    """
    import dagster as dg
    from sqlalchemy.exc import DBAPIError

    home = dagster_home(settings)
    os.environ["DAGSTER_HOME"] = str(home)
    # Dagster has no lock of its own: one of two processes would find half of the other's tables.
    with FileLock(home / "making.lock"):
        try:
            bring_up_to_date(home)
            return dg.DagsterInstance.get()
        except (DBAPIError, sqlite3.DatabaseError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            mend = f"Move {home} away: runs and schedules are forgotten, models and data are elsewhere"
            if isinstance(cause, sqlite3.DatabaseError) and not is_broken(cause):
                mend = advice_about(str(cause)) or mend
            raise QcError(f"Dagster's databases in {home} cannot be opened: {cause} – {mend}") from error
        except Exception as error:
            own = own_dagster_yaml(settings)
            if own is None:
                raise
            raise QcError(f"what {own} says cannot be used: {error}. Start its database, or mend the file") from error


def is_queue_served(instance: "dg.DagsterInstance") -> bool:
    """Whether a daemon takes runs from the queue of an instance."""
    beats = instance.get_daemon_heartbeats().values()
    return any(beat.timestamp > time.time() - _DAEMON_S for beat in beats)


def days_as_tags(days: Sequence[date]) -> dict[str, str]:
    """How Dagster is told which consecutive partitions a run is about; empty for none."""
    if not days:
        return {}
    ends = {"start": min(days), "end": max(days)}
    return {f"dagster/asset_partition_range_{name}": day.isoformat() for name, day in ends.items()}


def run_job(
    settings: Settings,
    job: str,
    *,
    days: Sequence[date] = (),
    ops: Mapping[str, Any] | None = None,
    selection: Sequence[str] = (),
    without: Sequence[str] = (),
    hear: "Callable[[dg.EventLogEntry], None] | None" = None,
) -> JobResult:
    """Run a job here and now, recorded in Dagster's storage as any other run.

    Args:
        settings: the settings that the code location is built from.
        job: name of the job.
        days: consecutive partitions to load, for jobs with the raw tables.
        ops: configuration by op name, each ``{"config": {...}}``.
        selection: only these assets, such as ``models.p0`` or ``raw.issues``.
        without: all but these.
        hear: called with each event of the run.

    Raises:
        RunFailedError: naming the step that failed and why.
    """
    from qc_assets.assets import tables
    from qc_assets.assets.jobs import keys_without
    from qc_assets.assets.run_owners import claim_run, end_dead_runs
    from qc_assets.definitions import build_definitions

    definition = build_definitions(settings).resolve_job_def(job)
    run_id = str(uuid.uuid4())
    with open_instance(settings) as instance, claim_run(instance, run_id), insistent_interrupts():
        end_dead_runs(instance)
        if hear is not None:
            instance.add_event_listener(run_id, hear)
        result = definition.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags=days_as_tags(days),
            raise_on_error=False,
            run_config=_run_config(ops),
            asset_selection=[tables.key(name) for name in selection] or keys_without(definition, without),
        )
        if not result.success:
            raise RunFailedError(_failure(result))
        return result_of(result.run_id, result.all_events)


def run_in_processes(settings: Settings, job: str, *, partition: str, ops: Mapping[str, Any] | None = None) -> str:
    """Run a job of one partition by the executor of the code location, which may give steps processes of their own.

    Args:
        settings: as the environment gives them: the processes read them there.
        job: name of the job.
        partition: a key that the job's partitions have.
        ops: configuration by op name.

    Returns:
        The run's id.

    Raises:
        RunFailedError: naming the step that failed and why.
    """
    import dagster as dg

    from qc_assets.assets.run_owners import end_dead_runs

    with open_instance(settings) as instance:
        end_dead_runs(instance)
        result = dg.execute_job(
            dg.build_reconstructable_job("qc_assets.definitions", "resolve_job", (job,)),
            instance=instance,
            tags={"dagster/partition": partition},
            run_config=_run_config(ops),
        )
        if not result.success:
            raise RunFailedError(_failure(result))
        return str(result.run_id)


def _run_config(ops: Mapping[str, Any] | None) -> dict[str, Any]:
    """Configuration of a run that says nothing on the terminal: who started it reports what came of it."""
    return {"ops": dict(ops or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _failure(result: "dg.ExecuteInProcessResult | dg.JobExecutionResult") -> str:
    for event in result.all_events:
        if event.is_step_failure:
            broken = _broken_promise(result, event.step_key)
            if broken:
                return f"{broken} (run {result.run_id}; all other steps are done)"
            error = event.step_failure_data.error
            # Our own sentence, where there is one, and not that of the library's error which it is about.
            while error is not None and error.cause is not None and not _is_ours(error.cls_name):
                error = error.cause
            if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
                return f"stopped in step {event.step_key}; run the same command again to go on (run {result.run_id})"
            reason = error.message.strip() if error is not None else "unknown"
            advice = advice_about(reason)
            mend = f" – {advice}" if advice and error is not None and not _is_ours(error.cls_name) else ""
            return f"step {event.step_key} failed: {_without_class(reason)}{mend} (run {result.run_id})"
    return f"run {result.run_id} ended before its first step; run the same command again to go on"


def _broken_promise(result: "dg.ExecuteInProcessResult | dg.JobExecutionResult", step: str | None) -> str | None:
    """What a blocking check of a step found, or None if none failed."""
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION" and event.step_key == step:
            evaluation = event.asset_check_evaluation_data
            if evaluation.blocking and not evaluation.passed:
                return str(evaluation.metadata["detail"].value)
    return None


def _is_ours(name: str | None) -> bool:
    """Whether an error of that class says itself how to mend it."""
    kinds: list[type[QcError]] = [QcError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return any(kind.__name__ == name for kind in kinds)


def _without_class(message: str) -> str:
    return re.sub(r"^[\w.]*(Error|Failure): ", "", message)


def result_of(run_id: str, events: Iterable["dg.DagsterEvent"]) -> JobResult:
    """What came of a run, from its events."""
    seconds, checks, metadata = {}, {}, {}
    for event in events:
        if event.is_step_success and event.step_key is not None:
            seconds[event.step_key] = event.step_success_data.duration_ms / 1000
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
            checks[name] = (evaluation.passed, {key: value.value for key, value in evaluation.metadata.items()})
        if event.is_step_materialization and event.asset_key is not None:
            values = event.materialization.metadata
            metadata[event.asset_key.to_user_string()] = {key: value.value for key, value in values.items()}
    return JobResult(run_id, seconds, checks, metadata)
