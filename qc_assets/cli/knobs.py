"""Settings of the servers that `qc up` runs side by side."""

from pydantic import BaseModel, Field


class ServiceKnobs(BaseModel):
    """The servers of `qc up`."""

    host: str = Field("127.0.0.1", description="Address that `qc up` binds.")
    dagster_url: str = Field(
        "/dagster", description="Dagster UI, for links in MLflow: a path where both are behind `qc up`, or a whole URL."
    )
    mlflow_url: str = Field(
        "/mlflow", description="MLflow UI, for links in Dagster: a path where both are behind `qc up`, or a whole URL."
    )
