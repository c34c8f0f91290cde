"""What Dagster starts by the clock. Off until somebody turns it on."""

from datetime import UTC, timedelta

import dagster as dg

from qc_assets.assets.partitions import daily_partitions
from qc_assets.settings import Settings


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Yesterday's activity and then scoring every morning; against GitHub also revisits. Off until turned on."""
    every_source = [
        _daily_ingest(settings),
        dg.ScheduleDefinition(
            name="daily_scoring",
            job_name="scoring",
            cron_schedule="0 6 * * *",
            execution_timezone="UTC",
            description="Predicts what is open and checks the champions, at 06:00 UTC.",
        ),
    ]
    if settings.has_lake:
        tidying = dg.ScheduleDefinition(
            name="nightly_tidying",
            job_name="tidying",
            cron_schedule="30 1 * * *",
            execution_timezone="UTC",
            description="Merges the lake's small files and forgets old snapshots, at 01:30 UTC.",
        )
        every_source.append(tidying)
    if not settings.traits.states:
        return every_source
    revisits = dg.ScheduleDefinition(
        name="daily_revisits",
        job_name="revisits",
        cron_schedule="30 5 * * *",
        execution_timezone="UTC",
        description="Reads again what is due, at 05:30 UTC.",
    )
    return [*every_source, revisits]


def _daily_ingest(settings: Settings) -> dg.ScheduleDefinition:
    """Ingest yesterday, every morning; off until somebody turns it on."""

    @dg.schedule(
        name="daily_ingest",
        job_name="ingest",
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
        description="Loads the day that has just ended, at 02:30 UTC.",
    )
    def daily_ingest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = (context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)).isoformat()
        if not daily_partitions(settings).has_partition_key(day):
            return dg.SkipReason(f"{day} is outside of the partitions ({settings.first_date} to {settings.last_date})")
        return dg.RunRequest(run_key=day, partition_key=day)

    return daily_ingest
