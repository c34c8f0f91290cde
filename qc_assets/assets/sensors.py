"""The sensors: what retrains the models, mines critiques and reports failures."""

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.critique_batches import GROUP
from qc_assets.assets.retraining import retraining_sensor
from qc_assets.settings import Settings


def sensors(settings: Settings) -> list:
    """Retraining and reports of failures, which run at once, and critiques, which somebody turns on."""
    return [retraining_sensor(settings), critiques_sensor(), failure_sensor(settings)]


def critiques_sensor() -> dg.AutomationConditionSensorDefinition:
    """Mine comments as days land; off until somebody turns it on, as an endpoint of summaries may cost money."""
    return dg.AutomationConditionSensorDefinition(
        "critiques",
        target=dg.AssetSelection.groups(tables.group_name(GROUP)),
        minimum_interval_seconds=60,
        description="New review comments get their batches, the batches their steps, and then the data set is written.",
    )


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
            "url": f"{settings.beyond_the_gate(settings.dagster_url).rstrip('/')}/runs/{run.run_id}",
        }
        context.log.error(f"run {run.run_id} of {run.job_name} failed: {document['error']}")
        if settings.failure_webhook_url:
            import httpx

            try:
                httpx.post(settings.failure_webhook_url, json=document, timeout=10).raise_for_status()
            except httpx.HTTPError as error:
                context.log.error(f"the webhook QC_FAILURE_WEBHOOK_URL could not be called: {error}")

    return run_failures
