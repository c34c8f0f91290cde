"""Settings of the servers that `qc up` runs side by side."""

from pydantic import BaseModel, Field


class ServiceKnobs(BaseModel):
    """The servers of `qc up`."""

    host: str = Field("127.0.0.1", description="Address that `qc up` binds.")
    dagster_url: str = Field("http://127.0.0.1:8000/dagster", description="Dagster UI, for links in MLflow.")
    mlflow_url: str = Field("http://127.0.0.1:8000/mlflow", description="MLflow UI, for links in Dagster.")
