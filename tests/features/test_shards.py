"""Features in shards are those of the whole, bit for bit, and what people did elsewhere is why."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings

from qc_assets.assets.feature_tables import feature_assets
from qc_assets.assets.partitions import days_between
from qc_assets.assets.resources import WarehouseResource
from qc_assets.features import shards
from qc_assets.features.shards import rebuild_in_shards
from qc_assets.lake_place import LakePlace
from qc_assets.settings import load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import Rows, issue, pull_request, request, review

TABLES = ("pull_requests", "issues", "comments")
# Of two shards, that of the sixth repository is another than that of the first.
HERE, ELSEWHERE = 1, 6


def computed(store: Warehouse, table: str, number: int) -> Any:
    """The table in so many shards, by key."""
    parameters = load_settings().feature_parameters(table)
    count = rebuild_in_shards(store, f"features/{table}", parameters, number)
    rows = store.query(f"FROM features.{table} ORDER BY ALL")
    assert count == len(rows)
    return rows


def put(store: Warehouse, rows: Rows) -> None:
    with histories.memory(store) as connection:
        histories.put(connection, rows)


def test_the_demo_in_shards_is_the_demo(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    knobs = make_settings(demo_prs=600, demo_days=90)
    store = Warehouse.from_settings(knobs)
    load(store, open_source(knobs), days_between(knobs.first_date, knobs.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    whole = {table: computed(store, table, 1) for table in TABLES}
    for table in TABLES:
        assert len(whole[table]) > 100
        for number in (2, 4):
            assert computed(store, table, number).equals(whole[table], null_equal=True)
    _without_elsewhere(monkeypatch)
    assets = feature_assets(knobs.model_copy(update={"features_shards": 2}))
    assert dg.materialize(assets, resources={"warehouse": WarehouseResource.from_settings(knobs)}).success
    for table in ("pull_requests", "issues"):
        rows = store.query(f"FROM features.{table} ORDER BY ALL")
        assert len(rows) == len(whole[table]) and not rows.equals(whole[table], null_equal=True)


def _without_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards that know nothing of what their people did elsewhere."""
    show = shards.show_shard

    def only_own(connection: Any, query: str, is_own: str) -> None:
        show(connection, query, is_own)
        connection.execute("TRUNCATE people; TRUNCATE opened_by_people")

    monkeypatch.setattr(shards, "show_shard", only_own)


def test_an_author_and_who_was_asked_are_known_from_elsewhere(warehouse: Warehouse) -> None:
    rows = {
        "pull_requests": [
            pull_request(1, 0, repo=ELSEWHERE, author=1, merged=9),
            pull_request(2, 1, repo=ELSEWHERE, author=3),
            pull_request(7, 20, repo=HERE, author=1),
        ],
        "issues": [issue(8, 3, repo=ELSEWHERE, author=2, closed=5), issue(9, 20, repo=HERE, author=2)],
        # Of the author's own work there, and of somebody else's, by the one who is asked here.
        "reviews": [
            review(1, 1, 4, "CHANGES_REQUESTED", repo=ELSEWHERE, author=8),
            review(2, 2, 5, "CHANGES_REQUESTED", repo=ELSEWHERE, author=9),
        ],
        "review_requests": [request(7, 9, 20, repo=HERE)],
    }
    put(warehouse, rows)
    for number in (1, 2):
        row = computed(warehouse, "pull_requests", number).filter(repo_id=HERE).row(0, named=True)
        seen = (row["author_prior_prs"], row["author_prior_merged"], row["author_prior_passed"])
        assert (*seen, row["author_average_cycles"]) == (1, 1, 0, 1.0)
        assert row["asked_changes_rate"] == 2 / 4
        row = computed(warehouse, "issues", number).filter(repo_id=HERE).row(0, named=True)
        assert (row["author_prior_issues"], row["author_prior_closed"], row["author_average_hours"]) == (1, 1, 2.0)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=histories.histories())
def test_any_history_in_shards_is_that_history(warehouse: Warehouse, rows: Rows) -> None:
    apart = {table: [_moved(row) for row in some] for table, some in rows.items()}
    put(warehouse, apart)
    for table in ("pull_requests", "issues"):
        assert computed(warehouse, table, 2).equals(computed(warehouse, table, 1), null_equal=True)


def _moved(row: Any) -> dict[str, Any]:
    """The second repository as one of the other shard."""
    return dict(row) | {"repo_id": ELSEWHERE if row["repo_id"] == 2 else HERE}


def test_a_lake_in_shards_is_the_lake_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = LakePlace.parse(f"ducklake:sqlite:{tmp_path}/catalogue.sqlite")
    store, show = Warehouse(lake, staging=tmp_path / "staging"), shards.show_shard
    rows = [pull_request(1, 0, repo=ELSEWHERE, merged=9), pull_request(7, 20, repo=HERE)]

    def write(rows: list[Any]) -> None:
        with store.write() as connection:
            histories.put(connection, {"pull_requests": rows})

    def show_while_something_lands(connection: Any, query: str, is_own: str) -> None:
        show(connection, query, is_own)
        write([*rows, pull_request(8, 30, repo=HERE), pull_request(9, 30, repo=ELSEWHERE)])

    write(rows)
    whole = computed(store, "pull_requests", 1)
    monkeypatch.setattr(shards, "show_shard", show_while_something_lands)
    assert len(whole) == 2 and computed(store, "pull_requests", 2).equals(whole, null_equal=True)
