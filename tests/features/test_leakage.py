"""A feature knows only its past: cut the warehouse off at the row's opening, and it has the same value, bit for bit."""

from collections.abc import Iterator

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.assets.model_versions import SPECS
from qc_assets.learning.spec import ModelSpec
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import Rows

# What happened after the opening: labels, and what is said about them.
OUTCOMES = {
    "pull_requests": {
        "passed",
        "passed_by",
        "decided_by_verdict",
        "decided_at",
        "review_cycles",
        "closed_at",
        "merged_at",
        "landed_at",
        "landed_evidence",
        "first_response_at",
        "first_response_by",
        "first_response_hours",
        "closed_unanswered_at",
        "exclusions",
        "exclusion",
        "observed_until",
    },
    "comments": {"category", "label_origin", "exclusions", "exclusion", "observed_until"},
    "issues": {
        "closed_at",
        "ending",
        "resolution_hours",
        "resolution_hours_by",
        "closed_in_7_days_by",
        "censored_hours",
        "closed_in_7_days",
        "exclusions",
        "exclusion",
        "observed_until",
    },
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with histories.memory(Warehouse(tmp_path_factory.mktemp("leakage") / "qc.duckdb")) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("table", ["pull_requests", "issues"])
@settings(max_examples=40, deadline=None)
@given(rows=histories.histories(), data=st.data())
def test_no_feature_knows_anything_later_than_its_opening(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Rows, data: st.DataObject
) -> None:
    items = rows[table]
    if not items:
        return
    item = data.draw(st.sampled_from(list(items)))
    histories.put(connection, rows)
    whole = _row(histories.features(connection, table), item)
    histories.put(connection, histories.as_of(rows, item["created_at"], item["repo_id"], item["number"]))
    then = _row(histories.features(connection, table), item)
    differences = {
        name: (then[name], whole[name]) for name in whole.keys() - OUTCOMES[table] if then[name] != whole[name]
    }
    assert differences == {}, "(as of the opening, in hindsight)"


def _row(frame: pl.DataFrame, item: dict) -> dict:
    return frame.filter(repo_id=item["repo_id"], number=item["number"]).row(0, named=True)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_no_outcome_is_among_the_features_of_a_model(spec: ModelSpec) -> None:
    assert not set(spec.features) & (OUTCOMES[spec.table.removeprefix("features.")] | {spec.known_at, spec.target})


def test_the_test_would_see_a_leak(connection: duckdb.DuckDBPyConnection) -> None:
    """Were history counted by opening instead of by decision, the comparison above would differ."""
    rows = {
        "pull_requests": [
            histories.pull_request(1, 0, merged=10),
            histories.pull_request(2, 5),
        ]
    }
    leaky = "SELECT count(*) FILTER (merged_at IS NOT NULL AND number < 2) FROM raw.pull_requests"
    histories.put(connection, rows)
    in_hindsight = connection.execute(leaky).fetchone()
    honest = histories.features(connection, "pull_requests").filter(number=2)["author_prior_merged"].item()
    histories.put(connection, histories.as_of(rows, histories.hour(5), 1, 2))
    assert connection.execute(leaky).fetchone() != in_hindsight
    assert histories.features(connection, "pull_requests").filter(number=2)["author_prior_merged"].item() == honest
