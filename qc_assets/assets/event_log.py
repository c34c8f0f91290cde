"""Dagster's event log, which takes the events of a run's partitions at once.

Dagster's own SQLite storage opens, commits and closes two files for every event: 240 days of eight tables were loaded
in 10 s, and their 3,840 events stored in 100. And it writes each of them out: of 14 years that is most of the work,
though the events of an asset differ in their day alone.
"""

import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetKey, StringSource
from dagster._core.events import ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData, serialize_value
from sqlalchemy import text

from qc_assets.assets.partitions import NOT_WHOLE, NOTHING_MADE, ROWS_OF_PARTITION

_EVENTS_PER_BATCH = 2000
_VARIABLES = 500  # of one SQL statement


class AssetEventBatches(SqlEventLogStorage):
    """What an SQL event log of Dagster's does with events of assets: many in one transaction, none of what is missing.

    Whoever has it says where rows go, see `_insert`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Dagster collects events only if the environment says so, and asks it at each event.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_EVENTS_PER_BATCH))
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]

    @property
    def supports_partition_subset_in_asset_materialization_planned_events(self) -> bool:
        """A run plans an asset's partitions by one event; what is asked by partition finds a row for each."""
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event."""
        if _is_of_asset(event):
            self._store_asset_events([event])
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run; those of assets in one transaction for each of the two databases."""
        of_assets = [event for event in events if _is_of_asset(event)]
        if of_assets:
            self._store_asset_events(of_assets)
        for event in events:
            if not _is_of_asset(event):
                super().store_event(event)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        # Dagster materializes all partitions of a run alike, and shows green what has a known gap. Without the event
        # it is missing, and "failed and missing" selects it again.
        whole = [event for event in events if not _is_not_whole(event) and not _made_nothing(event)]
        if len(whole) < len(events):
            self._forget([event for event in events if _is_not_whole(event)])
        if not whole:
            return
        events = whole
        rows = list(self._rows(events))
        indexed = [(event, row | by) for event, row in zip(events, rows, strict=True) for by in _partitions(event)]
        self._insert(rows, indexed)

    @abstractmethod
    def _insert(self, rows: Sequence[dict[str, Any]], indexed: Sequence[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        """Write rows of events into the log of their run, and a row for each of their partitions into the index."""

    def _index(self, connection: Any, indexed: Sequence[tuple[EventLogEntry, dict[str, Any]]], ids: list[int]) -> None:
        """Write what belongs to rows of the index that have these ids."""
        self._store_asset_event_tags(connection, [event for event, _ in indexed], ids)
        # An asset's own row says what came last.
        last = {(row["asset_key"], row["dagster_event_type"]): place for place, (_, row) in enumerate(indexed)}
        for place in last.values():
            self._store_asset_event(connection, indexed[place][0], ids[place])

    def _forget(self, events: Sequence[EventLogEntry]) -> None:
        """What these events would materialize is not materialized any more."""
        days: dict[AssetKey, list[str]] = {}
        for event in events:
            materialized = event.get_dagster_event()
            if materialized.asset_key is not None and materialized.partition is not None:
                days.setdefault(materialized.asset_key, []).append(materialized.partition)
        table = SqlEventLogStorageTable.c
        for key, partitions in days.items():
            with self.index_connection() as connection:
                for start in range(0, len(partitions), _VARIABLES):
                    of_days = table.partition.in_(partitions[start : start + _VARIABLES])
                    of_asset = table.asset_key == key.to_string()
                    is_materialization = table.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value
                    connection.execute(SqlEventLogStorageTable.delete().where(of_asset & of_days & is_materialization))
            self.wipe_asset_cached_status(key)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        # Dagster packs the event for each day, into one statement that has more variables than some SQLite takes.
        planned: Any = event.get_dagster_event().event_specific_data
        days = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": event_id,
        }
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.insert(), [row | {"partition": day} for day in days])

    def _rows(self, events: Sequence[EventLogEntry]) -> Iterator[dict[str, Any]]:
        """A row for each event; an event that differs from the one before in its partition alone is not packed anew."""
        model: EventLogEntry | None = None
        row: dict[str, Any] = {}
        for event in events:
            packed = None if model is None else _packed_like(model, event, row["event"])
            if packed:
                inserted_at = self._event_insert_timestamp(event)  # type: ignore[no-untyped-call]
                row = row | {
                    "event": packed,
                    "partition": event.get_dagster_event().partition,
                    "timestamp": inserted_at,
                }
            else:
                row = self._event_to_row(event)
            model = event
            yield row


class BatchedEventLog(AssetEventBatches, SqliteEventLogStorage):
    """Dagster's SQLite event log, in the place where Dagster itself would put it."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """``home`` is DAGSTER_HOME."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "BatchedEventLog":
        """The storage of a Dagster home."""
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    def _insert(self, rows: Sequence[dict[str, Any]], indexed: Sequence[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(rows[0]["run_id"]) as connection:
            connection.execute(insert, rows)
        with self.index_transaction() as connection:
            connection.execute(insert, [row for _, row in indexed])
            # Nobody else writes during a transaction, so the ids of its rows follow each other.
            newest = connection.execute(text("SELECT last_insert_rowid()")).scalar_one()
            self._index(connection, indexed, list(range(newest - len(indexed) + 1, newest + 1)))


def _packed_like(model: EventLogEntry, event: EventLogEntry, packed: str) -> str | None:
    """A materialization as it is stored, if it differs from another in its partition, with its rows, and time alone.

    Args:
        model: the other.
        event: the materialization.
        packed: the other as it is stored.
    """
    if not _same_but(model, event, "dagster_event", "timestamp"):
        return None
    ours, theirs = model.dagster_event, event.dagster_event
    if ours is None or theirs is None or not (ours.is_step_materialization and theirs.is_step_materialization):
        return None
    if not _same_but(ours, theirs, "event_specific_data"):
        return None
    before, after = ours.step_materialization_data, theirs.step_materialization_data
    if not _same_but(before, after, "materialization"):
        return None
    old, new = before.materialization, after.materialization
    if not _same_but(old, new, "partition", "metadata") or not new.partition:
        return None
    if _of_all_partitions(old) != _of_all_partitions(new):
        return None
    differences = {
        f'"partition": {json.dumps(old.partition)}': f'"partition": {json.dumps(new.partition)}',
        f'"timestamp": {json.dumps(model.timestamp)}': f'"timestamp": {json.dumps(event.timestamp)}',
        _packed_rows(old): _packed_rows(new),
    }
    for was, becomes in differences.items():
        if was and packed.count(was) != 1:  # metadata that reads alike
            return None
        packed = packed.replace(was, becomes) if was else packed
    return packed


def _of_all_partitions(materialization: Any) -> dict[str, Any]:
    """Metadata but for how many rows the partition has; that it has it counts."""
    rows = {name: "" for name in materialization.metadata if name == ROWS_OF_PARTITION}
    return {**materialization.metadata, **rows}


def _packed_rows(materialization: Any) -> str:
    """How many rows the partition has, as Dagster packs it; empty if it does not say."""
    rows = materialization.metadata.get(ROWS_OF_PARTITION)
    return "" if rows is None else f'"value": {json.dumps(rows.value)}}}, "label": "{ROWS_OF_PARTITION}"'


def _same_but(event: Any, other: Any, *names: str) -> bool:
    """Whether two named tuples of a kind are equal but for some of their fields."""
    return all(getattr(event, name) == getattr(other, name) for name in event._fields if name not in names)


def _is_not_whole(event: EventLogEntry) -> bool:
    """Whether a materialization says of its own partition that it is not whole."""
    of = event.get_dagster_event()
    if not of.is_step_materialization or of.partition is None:
        return False
    told: Any = of.step_materialization_data.materialization.metadata.get(NOT_WHOLE)
    return told is not None and of.partition in told.value


def _made_nothing(event: EventLogEntry) -> bool:
    """Whether a materialization says that there is nothing; what was before stays."""
    of = event.get_dagster_event()
    return of.is_step_materialization and NOTHING_MADE in of.step_materialization_data.materialization.metadata


def _is_of_asset(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _partitions(event: EventLogEntry) -> Iterator[dict[str, str]]:
    """What differs between the rows of an event in the index: the partitions that it plans, if it plans any."""
    subset = event.get_dagster_event().partitions_subset
    if subset is None:
        yield {}
    else:
        yield from ({"partition": key} for key in subset.get_partition_keys())


def add_rows_of_partitions(context: AssetExecutionContext, rows: Mapping[AssetKey, Mapping[str, int]]) -> None:
    """Say how many rows partitions of a run have, all at once, by asset and partition.

    `AssetExecutionContext.add_asset_metadata` copies and checks all that was said before, each time: of ten years' days
    of nine tables that took ten minutes, and the loading itself half of one.
    """
    step = context.get_step_execution_context()
    metadata: dict[Any, Mapping[str, Any]] = dict(step._metadata_accumulator.per_output_metadata)
    for key, of_asset in rows.items():
        for partition, count in of_asset.items():
            metadata[AssetMetadataHandle(asset_key=key, partition_key=partition)] = {ROWS_OF_PARTITION: count}
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=metadata)
