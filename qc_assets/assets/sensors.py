"""The sensors: what retrains the models, mines critiques and reports failures."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from qc_assets.assets import tables
from qc_assets.assets.champion_reports import MONITORING
from qc_assets.assets.critique_batches import GROUP
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings

WATCHED = tables.key("raw.pull_requests")


def sensors(settings: Settings) -> list:
    """Retraining and reports of failures, which run at once, and critiques, which somebody turns on."""
    return [retraining_sensor(settings), critiques_sensor(), failure_sensor(settings)]


def critiques_sensor() -> dg.AutomationConditionSensorDefinition:
    """Mine comments as days land; off until somebody turns it on, as an endpoint of summaries may cost money."""
    return dg.AutomationConditionSensorDefinition(
        "critiques",
        target=dg.AssetSelection.groups(GROUP),
        minimum_interval_seconds=60,
        description="New review comments get their batches, the batches their steps, and then the data set is written.",
    )


def retraining_sensor(settings: Settings) -> dg.SensorDefinition:
    """Launch `training` when enough new partitions have landed, or the last training is too long ago."""

    @dg.sensor(
        name="retraining",
        job_name="training",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Retrains after {settings.retrain_after_partitions} new partitions, or "
        f"{settings.retrain_after_days} days after the last training, or when monitoring turns red.",
    )
    def retraining(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        trained = [_latest(context.instance, tables.key(f"models.{spec.name}")) for spec in SPECS]
        # What landed before the last request is being trained on already, even if that run has not ended.
        requested_id, _, requested_at = (context.cursor or "0@0").partition("@")
        since = max([int(requested_id), *(storage_id for storage_id, _ in trained)])
        last_time = max([float(requested_at), *(timestamp for _, timestamp in trained)])
        landed, newest = _partitions_since(context.instance, since)
        now = datetime.now(UTC).timestamp()
        failed = _failed_since(context.instance, since) if landed else []
        overdue = last_time > 0 and now - last_time > timedelta(days=settings.retrain_after_days).total_seconds()
        enough = len(landed) >= settings.retrain_after_partitions
        if not enough and not overdue and not failed:
            return dg.SkipReason(
                f"{len(landed)} new days since the last training; {settings.retrain_after_partitions} start the next"
            )
        if enough:
            reason = f"{len(landed)} new days"
        elif failed:
            reason = f"red: {', '.join(failed)}"
        else:
            reason = f"the last training is over {settings.retrain_after_days} days ago"
        cursor = f"{max(newest, since)}@{now:.0f}"
        context.update_cursor(cursor)
        return dg.RunRequest(run_key=cursor, tags={"qc/retraining": reason})

    return retraining


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[int, float]:
    event = instance.get_latest_materialization_event(key)
    return (0, 0.0) if event is None else (_storage_id(instance, key), event.timestamp)


def _storage_id(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    newest = instance.fetch_materializations(key, limit=1)
    return newest.records[0].storage_id if newest.records else 0


def _partitions_since(instance: dg.DagsterInstance, storage_id: int) -> tuple[set[str], int]:
    """Partitions of the watched raw table that were materialized after `storage_id`, and the newest event's id."""
    landed: set[str] = set()
    newest, cursor = storage_id, None
    while True:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(WATCHED, after_storage_id=storage_id), limit=1000, cursor=cursor
        )
        landed |= {record.partition_key for record in page.records if record.partition_key}
        newest = max([newest, *(record.storage_id for record in page.records)])
        if not page.has_more:
            return landed, newest
        cursor = page.cursor


def _failed_since(instance: dg.DagsterInstance, storage_id: int) -> list[str]:
    """Monitoring checks whose last answer is red and came after the event `storage_id`.

    Without days that have landed since, a training would learn nothing new, and the next check would be red again.
    """
    names = [f"{spec.name}_holds" for spec in SPECS]
    keys = {dg.AssetCheckKey(MONITORING, name): name for name in names}
    executions = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return [
        keys[key]
        for key, record in executions.items()
        if record.event is not None
        and record.status == AssetCheckExecutionRecordStatus.FAILED
        and (_storage_id(instance, MONITORING) > storage_id)
    ]


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Log every failed run, and POST it to QC_FAILURE_WEBHOOK_URL if that is set."""

    @dg.run_failure_sensor(
        name="run_failures",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Logs failed runs and calls a webhook.",
    )
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        document = {
            "job": run.job_name,
            "run_id": run.run_id,
            "partition": run.tags.get("dagster/partition"),
            "error": context.failure_event.message,
            "url": f"{settings.dagster_url.rstrip('/')}/runs/{run.run_id}",
        }
        context.log.error(f"run {run.run_id} of {run.job_name} failed: {document['error']}")
        if settings.failure_webhook_url:
            import httpx

            try:
                httpx.post(settings.failure_webhook_url, json=document, timeout=10).raise_for_status()
            except httpx.HTTPError as error:
                context.log.error(f"the webhook QC_FAILURE_WEBHOOK_URL could not be called: {error}")

    return run_failures
