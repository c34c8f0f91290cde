"""Settings of the model registry: where MLflow keeps its runs, and where champions are exported to."""

from pydantic import BaseModel, Field, SecretStr


class RegistryKnobs(BaseModel):
    """Models."""

    mlflow_tracking_uri: str | None = Field(None, description="Default: SQLite under QC_HOME.")
    mlflow_artifacts: str | None = Field(
        None,
        description="Folder or s3://bucket/prefix of the files of new runs and models, where QC_MLFLOW_TRACKING_URI is "
        "a database, or a server that does not keep them itself; all machines must reach it.",
    )
    export_url: str | None = Field(
        None, description="Folder or s3://bucket/prefix that champions are exported to; default: QC_HOME/export."
    )
    others_url: str | None = Field(
        None,
        description="Where another home's `qc publish` put its champions, a folder or s3://bucket/prefix: a small "
        "project's p0 learns from what that p0 knows of many others, too.",
    )
    s3_endpoint: str | None = Field(None, description="Of another S3 than Amazon's, such as http://minio:9000.")
    signing_key: SecretStr | None = Field(
        None, min_length=16, description="Signs models and exports; with it, only what it signed is loaded."
    )
