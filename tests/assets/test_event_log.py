"""Events that are stored at once are those that Dagster would have stored one by one."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry
from dagster._core.test_utils import instance_for_test

from qc_assets.assets.event_log import BatchedEventLog, add_rows_of_partitions
from qc_assets.assets.partitions import ROWS_OF_PARTITION

DAYS = dg.DailyPartitionsDefinition("2024-05-01", end_date="2024-05-11")
OURS: dict[str, Any] = {"event_log_storage": {"module": "qc_assets.assets.event_log", "class": "BatchedEventLog"}}


@dg.multi_asset(
    specs=[dg.AssetSpec("left", partitions_def=DAYS), dg.AssetSpec("right", partitions_def=DAYS)],
    check_specs=[dg.AssetCheckSpec("is_left", asset="left")],
)
def both(context: dg.AssetExecutionContext) -> Iterator[Any]:
    if context.has_tag("broken"):
        raise dg.Failure("as asked")
    rows = {day: number // 2 for number, day in enumerate(context.partition_keys)}
    if context.has_tag("one by one"):
        for day, count in rows.items():
            context.add_asset_metadata({ROWS_OF_PARTITION: count}, "left", day)
    else:
        add_rows_of_partitions(context, {dg.AssetKey("left"): rows})
    yield dg.MaterializeResult("left", tags={"kind": "l"}, metadata={"rows": 1})
    yield dg.MaterializeResult("right")
    yield dg.AssetCheckResult(passed=True, asset_key="left", check_name="is_left")


def _load(instance: dg.DagsterInstance, first: str, last: str, **tags: str) -> None:
    between = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    dg.materialize([both], instance=instance, tags=between | tags, raise_on_error=False)


def _contents(folder: Path) -> dict[str, list[Any]]:
    """What the index holds, without times and numbers of runs, and what the runs' own databases do."""
    index = sqlite3.connect(folder / "index.db")
    events = "SELECT asset_key, dagster_event_type, partition, step_key FROM event_logs"
    of_runs = [sqlite3.connect(path) for path in folder.glob("*.db") if path.stem != "index"]
    return {
        "index": sorted(map(repr, index.execute(f"{events} WHERE asset_key IS NOT NULL"))),
        "tags": sorted(index.execute("SELECT asset_key, key, value FROM asset_event_tags WHERE key = 'kind'")),
        "checks": sorted(
            map(repr, index.execute("SELECT check_name, partition, execution_status FROM asset_check_executions"))
        ),
        "made": sorted(
            row
            for run in of_runs
            for row in run.execute(f"{events} WHERE dagster_event_type = 'ASSET_MATERIALIZATION'")
        ),
    }


def test_events_that_differ_in_their_partition_are_stored_as_dagster_would_store_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last letter, though only the first of an asset is packed."""
    packed: list[EventLogEntry] = []
    handed: list[EventLogEntry] = []
    store, pack = BatchedEventLog.store_event_batch, BatchedEventLog._event_to_row

    def stored(log: BatchedEventLog, events: Sequence[EventLogEntry]) -> None:
        handed.extend(
            event for event in events if event.is_dagster_event and event.get_dagster_event().is_step_materialization
        )
        store(log, events)

    def written_out(log: BatchedEventLog, event: EventLogEntry) -> dict[str, Any]:
        packed.append(event)
        return pack(log, event)

    monkeypatch.setattr(BatchedEventLog, "store_event_batch", stored)
    monkeypatch.setattr(BatchedEventLog, "_event_to_row", written_out)
    home = {"event_log_storage": OURS["event_log_storage"] | {"config": {"home": str(tmp_path)}}}
    with instance_for_test(overrides=home, temp_dir=str(tmp_path)) as instance:
        _load(instance, "2024-05-01", "2024-05-06")
    made = [event for event in packed if event.is_dagster_event and event.get_dagster_event().is_step_materialization]
    assert len(handed) == 12 and len(made) == 2, "one for each asset"
    index = sqlite3.connect(tmp_path / "history" / "runs" / "index.db")
    columns = "event, partition, asset_key, step_key, run_id, timestamp"
    rows = index.execute(f"SELECT {columns} FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'")
    expected = [pack(instance.event_log_storage, event) for event in handed]
    assert sorted(rows) == sorted(tuple(str(row[name]) for name in columns.split(", ")) for row in expected), (
        "event, partition and all"
    )


def test_rows_of_partitions_that_are_said_at_once_are_those_said_one_by_one(tmp_path: Path) -> None:
    counts = []
    for tags in ({}, {"one by one": "yes"}):
        with instance_for_test() as instance:
            _load(instance, "2024-05-01", "2024-05-06", **tags)
            events = instance.fetch_materializations(dg.AssetKey("left"), limit=10).records
            materializations = [record.asset_materialization for record in events]
        counts.append({each.partition: each.metadata for each in materializations if each is not None})
    assert counts[0] == counts[1] and len(counts[0]) == 6
    assert [counts[0][f"2024-05-0{day}"][ROWS_OF_PARTITION].value for day in range(1, 7)] == [0, 0, 1, 1, 2, 2]


def test_the_state_of_partitions_is_that_of_events_stored_one_by_one(tmp_path: Path) -> None:
    contents = []
    for home, overrides in ((tmp_path / "ours", OURS), (tmp_path / "theirs", {})):
        home.mkdir()
        for storage in overrides.values():
            storage["config"] = {"home": str(home)}
        with instance_for_test(overrides=overrides, temp_dir=str(home)) as instance:
            _load(instance, "2024-05-01", "2024-05-06")
            _load(instance, "2024-05-05", "2024-05-08", broken="yes")
            key, log = dg.AssetKey("right"), instance.event_log_storage
            assert instance.get_materialized_partitions(key) == {f"2024-05-0{day}" for day in range(1, 7)}
            failed = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
            assert set(failed) == {f"2024-05-0{day}" for day in range(5, 9)}
            event = instance.get_latest_materialization_event(key)
            assert event is not None and event.get_dagster_event().partition == "2024-05-06"
        contents.append(_contents(home / "history" / "runs"))
    assert contents[0] == contents[1]
