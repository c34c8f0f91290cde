"""Feature SQL made plain gives the same rows on DuckDB; what cannot be made plain, or said on Spark, is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlglot import exp

from qc_assets.assets.partitions import days_between
from qc_assets.features.asof_joins import PlainSqlError
from qc_assets.features.plain_sql import plain_query
from qc_assets.features.sql_names import macros_of_ours
from qc_assets.settings import load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import columns, sql_sections
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import Rows
from tests.odd_history import put_odd_history

TABLES = ("pull_requests", "issues", "comments")


def plain(table: str) -> Any:
    parameters = load_settings().feature_parameters(table)
    return plain_query(sql_sections(f"features/{table}")["rows"], parameters)


def assert_plain_is_the_same(store: Warehouse, table: str) -> int:
    """Compare the plain query with the file's; returns how many rows were compared."""
    count = store.rebuild(f"features/{table}", load_settings().feature_parameters(table))
    types = ", ".join(f"{name}::{kind} AS {name}" for name, kind, _ in columns(f"features.{table}"))
    rows = store.query(f"SELECT {types} FROM ({plain(table).duckdb()}) ORDER BY ALL")
    assert rows.equals(store.query(f"FROM features.{table} ORDER BY ALL"), null_equal=True)
    return count


def test_the_demo_by_plain_sql_is_the_demo(make_settings: Any) -> None:
    knobs = make_settings(demo_prs=400, demo_days=90)
    store = Warehouse.from_settings(knobs)
    load(store, open_source(knobs), days_between(knobs.first_date, knobs.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    for table in TABLES:
        assert assert_plain_is_the_same(store, table) > 100


def test_an_odd_history_by_plain_sql_is_the_same(warehouse: Warehouse) -> None:
    put_odd_history(warehouse)
    for table in TABLES:
        assert assert_plain_is_the_same(warehouse, table) > 50


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=histories.histories())
def test_any_history_by_plain_sql_is_the_same(warehouse: Warehouse, rows: Rows) -> None:
    with histories.memory(warehouse) as connection:
        histories.put(connection, rows)
    for table in ("pull_requests", "issues"):
        assert_plain_is_the_same(warehouse, table)


def test_plain_sql_has_neither_macros_nor_what_only_duckdb_has() -> None:
    for table in TABLES:
        query = plain(table)
        for tree in [*query.steps.values(), query.result]:
            names = {call.name.lower() for call in tree.find_all(exp.Anonymous)}
            assert not names & {*macros_of_ours(), "query_table", "getvariable"}
            assert not [join for join in tree.find_all(exp.Join) if join.method == "ASOF"]
            assert not list(tree.find_all(exp.Median, exp.Placeholder))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT epoch(created_at) FROM raw.issues", "epoch"),
        ("SELECT date_diff('day', created_at, closed_at) FROM raw.issues", "date_diff"),
        ("SELECT a.number FROM raw.issues AS a ASOF JOIN raw.files AS b ON a.number >= b.number", "ASOF join is ON"),
        ("SELECT number FROM raw.issues AS a ASOF JOIN raw.files AS b ON a.x = b.x AND a.y > b.y", "name a source"),
        ("SELECT $left FROM raw.issues", "\\$left"),
        ("SELECT label_by(1) FROM raw.issues", "label_by takes 4"),
        ("FROM of_others('x')", "none of ours"),
        (
            "SELECT count(*) OVER (ORDER BY t RANGE BETWEEN INTERVAL 1 MONTH PRECEDING AND CURRENT ROW) FROM raw.files",
            "MONTH",
        ),
    ],
)
def test_what_cannot_be_made_plain_is_refused(query: str, message: str) -> None:
    with pytest.raises(PlainSqlError, match=message):
        plain_query(query, {})
