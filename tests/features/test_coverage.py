"""Models may train only on time for which a repository's history is whole."""

from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.settings import load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.keyless import upsert
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import START


def test_only_the_latest_unbroken_run_of_days_is_covered(make_settings: Any) -> None:
    settings = make_settings()
    warehouse, source = Warehouse.from_settings(settings), open_source(settings)
    for first, last in ((1, 10), (15, 40)):
        load(warehouse, source, days_between(date(2024, 1, 1), date(2024, 2, 29))[first - 1 : last])
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    windows = warehouse.query("SELECT DISTINCT covered_from, covered_until, is_covered FROM ops.coverage").rows()
    assert windows == [(datetime(2024, 1, 15), datetime(2024, 2, 10), True)]
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    early = "SELECT DISTINCT exclusion FROM features.pull_requests WHERE opened_at < TIMESTAMP '2024-01-15'"
    assert warehouse.query(early)["exclusion"].to_list() == ["outside_coverage"]


def record(connection: duckdb.DuckDBPyConnection, of_load: dict[str, Any]) -> None:
    """What a load writes into its log."""
    connection.execute(sql_sections("ops/ingest_log")["entries"], of_load)
    upsert(connection, "ops.ingest_log", "entries")


def archive_coverage(
    warehouse: Warehouse, numbers: list[int], day: date = date(2024, 3, 1), source: str = "gharchive"
) -> dict[str, Any]:
    with histories.memory(warehouse) as connection:
        rows = [histories.pull_request(number, number / 10) for number in numbers]
        histories.put(connection, {"pull_requests": rows})
        connection.execute(
            "INSERT INTO observed.repositories BY NAME SELECT 1 AS repo_id, 'o/r' AS name, $source AS source, "
            "TIMESTAMP '2024-03-01' AS observed_at, DATE '2024-03-01' AS partition_date",
            {"source": source},
        )
        record(
            connection,
            {"source": source, "repos": ["*"], "repo_ids": [None], "days": [day], "fingerprint": "x",
             "status": "done", "tables": ["pull_requests", "reviews", "issues", "label_events"], "requests": 0,
             "points": 0, "lines": 0, "bad_lines": 0, "rows": 0, "started": START, "finished": START, "error": None},
        )  # fmt: skip
        found = connection.execute(sql_sections("ops/coverage")["rows"], {"min_archive_completeness": 0.95}).pl()
    return found.row(0, named=True) if len(found) else {}


@pytest.mark.parametrize(
    ("numbers", "covered", "completeness"), [(list(range(1, 21)), True, 1.0), ([1, 2, 3, 20], False, 0.2)]
)
def test_the_archive_is_covered_as_far_as_its_numbers_are_consecutive(
    warehouse: Warehouse, numbers: list[int], covered: bool, completeness: float
) -> None:
    found = archive_coverage(warehouse, numbers)
    assert (found["is_covered"], found["completeness"]) == (covered, completeness)


@pytest.mark.parametrize(("numbers", "covered"), [(list(range(1, 21)), True), ([1, 2, 3, 20], False), ([], False)])
def test_a_source_that_nobody_knows_is_covered_when_it_shows_that_it_is(
    warehouse: Warehouse, numbers: list[int], covered: bool
) -> None:
    assert archive_coverage(warehouse, numbers, source="of-a-plug-in-that-is-gone")["is_covered"] == covered


def days_of_hours(
    warehouse: Warehouse, lost: set[int], share_read: dict[int, float], *, hours: int = 240, repo_ids: object = None
) -> list[tuple[Any, ...]]:
    """Coverage of ten days with an opening an hour, but for the lost ones; of some days only a share was read."""
    with histories.memory(warehouse) as connection:
        rows = [histories.pull_request(n + 1, n) for n in range(hours) if n not in lost]
        histories.put(connection, {"pull_requests": rows})
        connection.execute(
            "INSERT INTO observed.repositories BY NAME SELECT 1 AS repo_id, 'new/name' AS name, 'gharchive' AS source, "
            "TIMESTAMP '2024-03-01' AS observed_at, DATE '2024-03-01' AS partition_date"
        )
        log = sql_sections("ops/ingest_log")
        for number in range(10):
            share, name = share_read.get(number, 1.0), "*" if repo_ids is None else "new/name"
            entry = {"source": "gharchive", "repos": [name], "days": [START.date() + timedelta(days=number)]}
            status = "partial" if number in share_read else "done"
            counted = {"fingerprint": "x", "status": status, "repo_ids": [None], "requests": 0, "points": 0, "lines": 0,
                       "tables": ["pull_requests", "reviews", "issues", "label_events"], "bad_lines": 0, "rows": 0,
                       "started": START, "finished": START, "error": None}  # fmt: skip
            record(connection, entry | counted)
            ids = repo_ids[number] if isinstance(repo_ids, dict) else repo_ids
            connection.execute(log["record_input"], entry | {"inputs": None, "repo_ids": [ids], "share_read": share})
        query = sql_sections("ops/coverage")["rows"]
        found = connection.execute(query, {"min_archive_completeness": 0.95}).fetchall()
    return [((row[2] - START).days, (row[3] - START).days, row[-1]) for row in found]


@pytest.mark.parametrize(
    ("lost", "share_read", "window"),
    [
        (set(), {8: 23 / 24}, (0, 10, True)),  # consecutive over a missing hour
        ({200}, {8: 23 / 24}, (0, 10, True)),  # one of 240 was lost: complete enough
        (set(range(192, 210)), {8: 6 / 24}, (9, 10, True)),  # too many were
        (set(), {3: 1.0, 8: 1.0}, (0, 10, True)),  # a line could not be read
        ({*range(221, 240)}, {9: 5 / 24}, (0, 9, True)),  # of the last hours no number tells
        ({*range(1, 24)}, {0: 1 / 24}, (1, 10, True)),  # nor of the first
    ],
)
def test_numbers_decide_what_a_day_with_gaps_misses(
    warehouse: Warehouse, lost: set[int], share_read: dict[int, float], window: tuple[int, int, bool]
) -> None:
    assert days_of_hours(warehouse, lost, share_read) == [window]


def test_a_repository_is_covered_on_days_that_were_read_for_its_id(warehouse: Warehouse) -> None:
    by_name_alone: list[int] = []
    read_for = {number: by_name_alone if number < 4 else [1, 9] for number in range(10)}
    assert days_of_hours(warehouse, set(range(96)), {}, repo_ids=read_for) == [(4, 10, True)]


def test_the_archive_is_never_covered_after_payloads_were_trimmed(warehouse: Warehouse) -> None:
    assert archive_coverage(warehouse, [1, 2], day=date(2025, 10, 7)) == {}


@pytest.mark.parametrize(("read_on", "covered"), [(date(2024, 3, 2), True), (date(2024, 3, 20), False)])
def test_days_read_from_github_count_only_if_they_reach_up_to_the_reading(
    warehouse: Warehouse, read_on: date, covered: bool
) -> None:
    """What was updated after the last day is missing from it: the busy items, so that the rest is no fair sample."""
    read_at = datetime.combine(read_on, datetime.min.time()) + timedelta(hours=3)
    with histories.memory(warehouse) as connection:
        connection.execute(
            "INSERT INTO observed.repositories BY NAME SELECT 1 AS repo_id, 'new/name' AS name, 'github' AS source, "
            "TIMESTAMP '2024-03-02' AS observed_at, DATE '2024-03-01' AS partition_date"
        )
        record(
            connection,
            {"source": "github", "repos": ["old/name"], "repo_ids": [1], "days": [date(2024, 2, 29), date(2024, 3, 1)],
             "fingerprint": "x", "status": "done", "tables": ["pull_requests", "reviews", "issues", "label_events"],
             "requests": 5, "points": 0, "lines": 0, "bad_lines": 0, "rows": 0, "started": read_at,
             "finished": read_at, "error": None},
        )  # fmt: skip
        found = connection.execute(sql_sections("ops/coverage")["rows"], {"min_archive_completeness": 0.95}).pl()
        assert connection.execute("SELECT sum(requests) FROM ops.ingest_log").fetchone() == (5,)
    assert found.select("repo_id", "is_covered").rows() == [(1, covered)]
