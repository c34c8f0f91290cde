"""Settings of what Dagster starts by itself, and of how it tells."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class AutomationKnobs(BaseModel):
    """Runs that start by themselves."""

    executor: Literal["local", "in_process", "multiprocess", "celery", "docker", "k8s"] = Field(
        "local",
        description="What executes the steps of a run: local (one process, two where that gains), a process each "
        "(multiprocess), or the extra `cluster`: celery, docker, k8s. Commands of `qc` without --submit run here.",
    )
    celery_broker: SecretStr | None = Field(None, description="Of QC_EXECUTOR=celery, such as redis://host:6379/0.")
    max_partitions_per_run: int = Field(
        30,
        ge=1,
        description="Days that one run of a backfill takes at most, from Dagster's UI or with --submit; `qc backfill` "
        "without it makes one run.",
    )
    retrain_after_partitions: int = Field(7, ge=1, description="New partitions that trigger retraining.")
    retrain_after_days: int = Field(30, ge=1, description="Days after which models are retrained anyway.")
    failure_webhook_url: str | None = Field(None, description="POSTed a JSON document when a run fails.")
