"""The sensor that retrains models: each has a watermark of its own, which only a training that ended well moves."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES, DagsterRunStatus, RunsFilter

from qc_assets.assets import tables
from qc_assets.assets.champion_reports import MONITORING
from qc_assets.assets.jobs import keys_without, of_other_models
from qc_assets.assets.model_versions import FAILED
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings

WATCHED = tables.key("raw.pull_requests")
_JOB = "training"
_RUN_KEY_TAG = "dagster/run_key"
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=15), timedelta(days=1)
# The daemon launches what a tick asks for within seconds; after this time the request is taken for lost.
_UNTIL_LAUNCHED = timedelta(minutes=10)


@dataclass
class _Memory:
    """What the sensor keeps in its cursor.

    Attributes:
        run_key: of the last request; empty if there was none.
        asked_at: when it was made, seconds since 1970.
        models: that it was about.
        failures: requests in a row whose runs failed.
        tried: models that were retrained because their check was red, and has not been green since.
    """

    run_key: str = ""
    asked_at: float = 0.0
    models: list[str] = field(default_factory=list)
    failures: int = 0
    tried: list[str] = field(default_factory=list)

    @classmethod
    def of_cursor(cls, cursor: str | None) -> "_Memory":
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):  # of an older version
            return cls()


@dataclass(frozen=True)
class _Due:
    """Why a model is to be retrained, or empty; and how many days have landed since its last training."""

    reason: str
    landed: int


def retraining_sensor(settings: Settings) -> dg.SensorDefinition:
    """Launch `training` of the models for which enough new partitions have landed, or that are old, or off."""

    @dg.sensor(
        name="retraining",
        job_name=_JOB,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retrains a model after {settings.retrain_after_partitions} new partitions, "
        f"{settings.retrain_after_days} days after its last training, or once when its monitoring turns red. A run "
        "that failed is tried again, after longer and longer waits.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance, now = context.instance, datetime.now(UTC)
        memory = _Memory.of_cursor(context.cursor)
        red = _red(instance)
        memory.tried = [model for model in memory.tried if model in red]
        wait = _wait_for(instance, memory, now)
        due = {} if wait else {spec.name: _due(settings, instance, spec.name, red, memory, now) for spec in SPECS}
        models = [model for model, why in due.items() if why.reason]
        if models:
            reasons = list(dict.fromkeys(due[model].reason for model in models))
            newest = _storage_id(instance, WATCHED)
            memory.run_key = f"{'+'.join(models)}@{newest}@{now.timestamp():.0f}"
            memory.asked_at, memory.models = now.timestamp(), models
            memory.tried = sorted({*memory.tried, *(model for model in models if model in red)})
        context.update_cursor(json.dumps(asdict(memory)))
        if models:
            return dg.RunRequest(
                run_key=memory.run_key,
                tags={"qc/retraining": "; ".join(reasons), "qc/models": ", ".join(models)},
                asset_selection=_selection(context, models),
            )
        unmended = [f"{model}_holds is red still, after a retraining: see its report" for model in memory.tried]
        days = max((why.landed for why in due.values()), default=0)
        enough = settings.retrain_after_partitions
        waits = wait or f"{days} new days since the last training; {enough} start the next"
        return dg.SkipReason("; ".join([*unmended, waits]))

    return retraining


def _wait_for(instance: dg.DagsterInstance, memory: _Memory, now: datetime) -> str:
    """What the last request still waits for, in words; empty if it is settled. Counts failures in `memory`."""
    if not memory.run_key:
        return ""
    asked_at = datetime.fromtimestamp(memory.asked_at, UTC)
    trained = [_latest(instance, tables.key(f"models.{model}")) for model in memory.models]
    records = instance.get_run_records(RunsFilter(tags={_RUN_KEY_TAG: memory.run_key}), limit=1)
    status = records[0].dagster_run.status if records else None
    if status not in FINISHED_STATUSES:
        if records:
            return f"run {records[0].dagster_run.run_id[:8]} is retraining {', '.join(memory.models)}"
        if min(timestamp for _, timestamp in trained) > memory.asked_at:
            memory.run_key, memory.failures = "", 0  # trained by another run meanwhile
            return ""
        if now - asked_at < _UNTIL_LAUNCHED:
            return f"a retraining of {', '.join(memory.models)} has just been asked for"
    if status == DagsterRunStatus.SUCCESS:
        memory.run_key, memory.failures = "", 0
        return ""
    ended = (records[0].end_time if records else None) or asked_at.timestamp()
    again = datetime.fromtimestamp(ended, UTC) + min(_FIRST_WAIT * 2**memory.failures, _LONGEST_WAIT)
    if now < again:
        return f"the last retraining failed; it is tried again at {again:%Y-%m-%d %H:%M} UTC"
    memory.run_key = ""
    memory.failures = min(memory.failures + 1, 10)
    memory.tried = [model for model in memory.tried if model not in memory.models]
    return ""


def _due(
    settings: Settings, instance: dg.DagsterInstance, model: str, red: set[str], memory: _Memory, now: datetime
) -> _Due:
    since, trained_at = _latest(instance, tables.key(f"models.{model}"))
    # A day that is made again is no new day: what it had before, the last training knew.
    known = instance.get_materialized_partitions(WATCHED, before_cursor=since + 1)
    landed = len(instance.get_materialized_partitions(WATCHED, after_cursor=since) - known)
    age = now.timestamp() - trained_at
    reason = ""
    if landed >= settings.retrain_after_partitions:
        reason = f"{landed} new days"
    elif trained_at and landed and model in red and model not in memory.tried:
        reason = f"red: {model}_holds"  # without new days a training would learn nothing new
    elif trained_at and age > timedelta(days=settings.retrain_after_days).total_seconds():
        reason = f"the last training is over {settings.retrain_after_days} days ago"
    return _Due(reason, landed)


def _selection(context: dg.SensorEvaluationContext, models: list[str]) -> list[dg.AssetKey] | None:
    """Assets of the job without what belongs to other models only; None for all."""
    if context.repository_def is None:
        return None
    return keys_without(context.repository_def.get_job(_JOB), of_other_models(models))


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[int, float]:
    """Storage id and time of the last training that ended well, if only by seeing that it had nothing to learn from.

    Zeros if there is none.
    """
    ended = [
        record
        for record in instance.fetch_materializations(key, limit=100).records
        if record.asset_materialization is not None and FAILED not in record.asset_materialization.metadata
    ][:1]
    ended += instance.fetch_observations(key, limit=1).records
    return max(((record.storage_id, record.timestamp) for record in ended), default=(0, 0.0))


def _storage_id(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    newest = instance.fetch_materializations(key, limit=1)
    return newest.records[0].storage_id if newest.records else 0


def _red(instance: dg.DagsterInstance) -> set[str]:
    """Models whose monitoring check is red by its last answer."""
    keys = {dg.AssetCheckKey(MONITORING, f"{spec.name}_holds"): spec.name for spec in SPECS}
    executions = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return {
        keys[key]
        for key, record in executions.items()
        if record.event is not None and record.status == AssetCheckExecutionRecordStatus.FAILED
    }
