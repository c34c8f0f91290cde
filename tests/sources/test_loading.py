from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.errors import SourceError
from qc_assets.source_traits import SourceTraits
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.sources.source import Batch
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse

DAYS = days_between(date(2024, 1, 1), date(2024, 1, 10))


def test_what_is_done_is_not_fetched_again_unless_asked(make_settings: Any) -> None:
    settings = make_settings()
    warehouse, source = Warehouse.from_settings(settings), open_source(settings)
    assert load(warehouse, source, DAYS[:6]).loaded == DAYS[:6]
    second = load(warehouse, source, DAYS)
    assert (second.skipped, second.loaded) == (DAYS[:6], DAYS[6:])
    assert load(warehouse, source, DAYS, refresh=True).loaded == DAYS


def test_a_table_that_was_left_out_is_fetched_later(make_settings: Any) -> None:
    settings = make_settings()
    warehouse, source = Warehouse.from_settings(settings), open_source(settings)
    load(warehouse, source, DAYS, tables=["repositories", "issues"])
    assert warehouse.query("SELECT count(*) FROM raw.pull_requests").item() == 0
    assert load(warehouse, source, DAYS, tables=["issues"]).skipped == DAYS
    assert load(warehouse, source, DAYS, tables=["pull_requests"]).loaded == DAYS
    assert load(warehouse, source, DAYS, tables=["issues", "pull_requests"]).skipped == DAYS
    assert load(warehouse, source, DAYS, tables=RAW_TABLES).loaded == DAYS


class Breaking:
    """Yields its first day, then cannot go on."""

    name, traits = "gharchive", SourceTraits(complete=False)

    def fingerprint(self) -> str:
        return "x"

    def fetch(self, days: Any, *, repos: Any, tables: Any, folder: Path, progress: Any, held: Any) -> Iterator[Batch]:
        yield Batch(days=(days[0],), tables={})
        raise SourceError("the cable was cut")


def test_a_failure_keeps_what_was_committed_and_says_what_was_not(warehouse: Warehouse) -> None:
    with pytest.raises(SourceError, match="the cable was cut"):
        load(warehouse, Breaking(), DAYS[:3])
    log = warehouse.query("SELECT partition_date, status, error FROM ops.ingest_log ORDER BY ALL").rows()
    assert log == [
        (DAYS[0], "done", None),
        (DAYS[1], "failed", "the cable was cut"),
        (DAYS[2], "failed", "the cable was cut"),
    ]
    assert {path.name for path in warehouse.staging_root.glob("*/*")} <= {"spill"}


def test_a_failure_does_not_forget_an_earlier_success(warehouse: Warehouse) -> None:
    with pytest.raises(SourceError):
        load(warehouse, Breaking(), DAYS[:2])
    with pytest.raises(SourceError):
        load(warehouse, Breaking(), [DAYS[5], DAYS[0]], refresh=True)
    log = dict(warehouse.query("SELECT partition_date, status FROM ops.ingest_log").rows())
    assert log[DAYS[0]] == "done"
    assert log[DAYS[5]] == "failed"
