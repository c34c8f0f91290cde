"""Dagster's storage in PostgreSQL, with what ours in SQLite has: see `event_log` and `run_origins`.

Of 2,475 planned partitions Dagster's own stored eight a second, each in a connection of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterRun
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage
from dagster_postgres.utils import pg_url_from_config

from qc_assets.assets.event_log import AssetEventBatches
from qc_assets.assets.run_origins import located


class SharedEventLog(AssetEventBatches, PostgresEventLogStorage):
    """Dagster's event log in PostgreSQL, which takes the events of a run's partitions at once."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SharedEventLog":
        """The storage of a URL, such as ``postgresql+psycopg2://user:password@host:5432/dagster``."""
        return cls(postgres_url=pg_url_from_config(config_value), inst_data=inst_data)

    def _insert(self, rows: Sequence[dict[str, Any]], indexed: Sequence[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        # The index is the log: one table.
        insert = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        with self.index_transaction() as connection:
            stored = connection.execute(insert, [row for _, row in indexed])
            self._index(connection, indexed, [int(identity) for (identity,) in stored])


class SharedRuns(PostgresRunStorage):
    """Dagster's runs in PostgreSQL; those that `qc` starts are of the code location, too."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SharedRuns":
        """The storage of a URL."""
        return cls(postgres_url=pg_url_from_config(config_value), inst_data=inst_data)

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Store a new run; one without an origin is of the code location that `workspace.yaml` names."""
        return super().add_run(located(dagster_run))
