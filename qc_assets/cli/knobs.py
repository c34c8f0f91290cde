"""Settings of the servers that `qc up` runs side by side."""

from pydantic import BaseModel, Field


class ServiceKnobs(BaseModel):
    """The servers of `qc up`."""

    host: str = Field("127.0.0.1", description="Address that `qc up` binds.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of the MLflow UI.")
    dagster_url: str = Field("http://127.0.0.1:3000", description="Dagster UI, for links in MLflow.")
    mlflow_url: str = Field("http://127.0.0.1:5000", description="MLflow UI, for links in Dagster.")
