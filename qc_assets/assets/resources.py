"""What assets are given by Dagster: the warehouse and the model registry, opened from settings."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from qc_assets.settings import Settings, load_settings
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.registry.model_registry import Registry


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse."""

    warehouse: str = Field(description="The DuckDB file, or the lake.")
    staging: str = Field(description="Folder for staged files.")
    lock_timeout_s: float = Field(300.0, description="Seconds to wait for another process's lock.")
    memory_limit: str = Field("2GiB", description="Memory that one connection may use.")
    threads: int | None = Field(None, description="Threads of one connection; all cores if not given.")
    forges: dict[str, str] = Field({}, description="Whose activity each source reads.")

    @classmethod
    def from_settings(cls, settings: Settings) -> "WarehouseResource":
        return cls(
            warehouse=str(settings.warehouse),
            staging=str(settings.staging),
            lock_timeout_s=settings.lock_timeout_s,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            forges=settings.forges,
        )

    def open(self) -> Warehouse:
        """The warehouse; nothing is locked until it is read or written."""
        return Warehouse.from_settings(self)


class RegistryResource(dg.ConfigurableResource):
    """MLflow's tracking store and model registry, and the encoder that models of texts share."""

    tracking_uri: str = Field(description="MLflow tracking URI.")
    artifact_root: str = Field(description="Folder of artifacts when the store is a SQLite file.")
    url: str = Field(description="MLflow UI, for links.")
    encoder: str = Field(description="Encoder of texts.")
    embeddings_cache: str = Field(description="SQLite file that keeps embeddings.")

    @classmethod
    def from_settings(cls, settings: Settings) -> "RegistryResource":
        return cls(
            tracking_uri=settings.tracking_uri,
            artifact_root=str(settings.artifact_root),
            url=settings.mlflow_url,
            encoder=settings.encoder,
            embeddings_cache=str(settings.embeddings_cache),
        )

    def open(self) -> "Registry":
        """The registry; models that this process fits or loads from now on use the encoder of these settings.

        Raises:
            QcError: if it is a server that does not answer, before anything is computed for it.
        """
        from qc_assets.learning.text.embeddings import configure_embeddings
        from qc_assets.registry.model_registry import Registry
        from qc_assets.registry.tracking_server import refuse_if_away

        refuse_if_away(self.tracking_uri)

        configure_embeddings(self.encoder, Path(self.embeddings_cache))
        # Not a field of this resource: Dagster shows those.
        settings = load_settings()
        return Registry(self.tracking_uri, Path(self.artifact_root), settings.signing_secret, settings.mlflow_artifacts)

    def run_url(self, experiment: str, run: str) -> str:
        return f"{self.url.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
