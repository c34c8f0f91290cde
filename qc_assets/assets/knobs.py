"""Settings of what Dagster starts by itself, and of how it tells."""

from pydantic import BaseModel, Field


class AutomationKnobs(BaseModel):
    """Runs that start by themselves."""

    max_partitions_per_run: int = Field(
        30, ge=1, description="Days that one backfill run from Dagster's UI takes at most; `qc backfill` makes one run."
    )
    retrain_after_partitions: int = Field(7, ge=1, description="New partitions that trigger retraining.")
    retrain_after_days: int = Field(30, ge=1, description="Days after which models are retrained anyway.")
    failure_webhook_url: str | None = Field(None, description="POSTed a JSON document when a run fails.")
