"""The views for analysts: names in them, one row a thing, numbers that average, and nothing that is private."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from qc_assets.models.p0 import SPEC as P0
from qc_assets.settings import Settings
from qc_assets.store.asking import asked_rows
from qc_assets.store.export import export_table
from qc_assets.store.readable import NotReadingError
from qc_assets.store.schema import view_statements
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of

WITHOUT_PAYOUTS = sorted(name for name in view_statements() if name != "analysis.payouts")
PRIVATE = {
    "received_key", "received_from", "inputs", "opened_coauthors", "hash", "facts", "latency_ms", "body", "opened_body",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(small_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A copy of the small home's warehouse with a payout, a prediction over the API and one of an open item."""
    store = Warehouse.from_settings(copy_of(small_home, tmp_path_factory.mktemp("views")))
    first = "ORDER BY opened_at, number LIMIT 1"
    (pr,) = store.query(f"FROM features.pull_requests WHERE exclusion IS NULL {first}").to_dicts()
    (tested,) = store.query(f"FROM ml.test_predictions {first}").to_dicts()
    told = "INSERT INTO ml.predictions (model, version, repo_id, number, entry, role, opened_at, predicted_at, "
    with store.write() as connection:
        connection.execute(
            "INSERT INTO ml.payouts (entry, asked_at, task_id, worker_id, repo_id, number, version, is_synthetic, "
            "beta, p0, value, d1, allowed, inputs, received_key, received_from) VALUES ('j#1', "
            "TIMESTAMP '2024-05-01', 'x/y#1', 'ann', ?, ?, 1, true, 0.25, 0.8, 100, 20, [], '{}', 'secret-key', "
            "'10.0.0.9')",
            [pr["repo_id"], pr["number"]],
        )
        for repo_id, number, entry, role, task in (
            (pr["repo_id"], pr["number"], "", "champion", None),
            (tested["repo_id"], tested["number"], "", "champion", None),
            (0, 0, "j#2", "served", "who/knows#7"),
        ):
            connection.execute(
                told + "prediction, task_id, worker_id, inputs, received_from) VALUES ('p0', 1, ?, ?, ?, ?, "
                "TIMESTAMP '2024-05-01', TIMESTAMP '2024-05-01', 0.7, ?, 'ann', '{}', '10.0.0.9')",
                [repo_id, number, entry, role, task],
            )
    store.rebuild("reports/payouts")
    return store


def test_show_tables_shows_them_and_each_says_what_it_is(store: Warehouse) -> None:
    shown = store.query("SHOW TABLES")["name"].to_list()
    assert [f"analysis.{name}" for name in shown] == sorted(view_statements())
    about = store.query("SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'analysis'")
    assert about["comment"].null_count() == 0
    columns = store.query(
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE schema_name = 'analysis'"
    )
    assert columns.filter(pl.col("comment").is_null() | (pl.col("comment") == "")).is_empty()
    assert columns.filter(pl.col("data_type") == "BOOLEAN").is_empty(), "avg() of these would fail"


def test_nothing_private_is_in_them(store: Warehouse) -> None:
    for name in view_statements():
        frame = store.query(f"FROM {name}")
        assert not PRIVATE & set(frame.columns), name
        assert "secret-key" not in str(frame.to_dicts()) and "10.0.0.9" not in str(frame.to_dicts())


@pytest.mark.parametrize(
    ("view", "table"),
    [
        ("pull_requests", "features.pull_requests"), ("issues", "features.issues"), ("comments", "features.comments"),
        ("repositories", "raw.repositories"), ("payouts", "ml.payouts"),
    ],
)  # fmt: skip
def test_one_row_a_thing(store: Warehouse, view: str, table: str) -> None:
    count = f"SELECT (SELECT count(*) FROM {view}) AS shown, (SELECT count(*) FROM {table}) AS there"
    ((shown, there),) = store.query(count).rows()
    assert shown == there > 0


def test_predictions_are_those_of_tests_of_open_items_and_of_askers(store: Warehouse) -> None:
    counts = dict(store.query("SELECT made_for, count(*) FROM predictions GROUP BY ALL").rows())
    assert counts == {
        "test window": store.query("SELECT count(*) FROM ml.test_predictions").item(),
        "open item": 2,
        "asked by somebody": 1,
    }
    (asked,) = store.query("FROM predictions WHERE made_for = 'asked by somebody'").to_dicts()
    assert (asked["repository"], asked["author"], asked["outcome"]) == ("who/knows", "ann", None)


def test_the_pass_rate_by_repository_and_month_is_one_select(store: Warehouse) -> None:
    by_view = store.query(
        "SELECT repository, month, avg(passed) AS rate FROM pull_requests WHERE is_used GROUP BY ALL ORDER BY ALL"
    )
    by_hand = store.query(
        "SELECT r.name AS repository, date_trunc('month', f.opened_at)::DATE AS month, avg(f.passed::INTEGER) AS rate "
        "FROM features.pull_requests AS f JOIN raw.repositories AS r USING (repo_id) WHERE f.exclusion IS NULL "
        f"AND f.opened_at < f.observed_until - INTERVAL {P0.maturity.days} DAY GROUP BY ALL ORDER BY ALL"
    )
    young = store.query("SELECT count(*), avg(passed) FROM pull_requests WHERE why_not_used = 'too_young'").row(0)
    assert young[0] > 0, "what is known of the last days is known of the quick"
    assert len(by_view) > 10
    assert by_view.equals(by_hand)


def test_calibration_by_seniority_is_one_select(store: Warehouse) -> None:
    by_view = store.query(
        "SELECT seniority, avg(prediction) AS predicted, avg(outcome) AS observed, avg(squared_error) AS brier "
        "FROM predictions WHERE model = 'p0' AND is_champion AND made_for = 'test window' GROUP BY ALL ORDER BY ALL"
    )
    by_hand = store.query(
        "SELECT f.author_seniority AS seniority, avg(t.prediction) AS predicted, avg(t.label) AS observed, "
        "avg((t.prediction - t.label) ** 2) AS brier FROM ml.test_predictions AS t "
        "JOIN features.pull_requests AS f USING (repo_id, number) GROUP BY ALL ORDER BY ALL"
    )
    assert by_view["seniority"].to_list() == by_hand["seniority"].to_list()
    for column in ("predicted", "observed", "brier"):
        assert by_view[column].to_list() == pytest.approx(by_hand[column].to_list())


def test_p0_of_a_pull_request_is_what_was_said_without_knowing(store: Warehouse) -> None:
    said = store.query("SELECT count(*) FROM pull_requests WHERE p0 IS NOT NULL").item()
    # One open item was scored that had been in the test window: what was said there counts.
    assert said == store.query("SELECT count(*) FROM ml.test_predictions").item() + 1


def test_a_payout_has_a_name_and_what_became_of_it(store: Warehouse) -> None:
    (row,) = store.query("FROM payouts").to_dicts()
    (item,) = store.query(
        "FROM pull_requests WHERE (repo_id, number) = (SELECT (repo_id, number) FROM ml.payouts)"
    ).to_dicts()
    assert {name: row[name] for name in ("repository", "title", "seniority", "passed")} == {
        name: item[name] for name in ("repository", "title", "seniority", "passed")
    }
    assert (row["is_paid"], row["counts"], row["adds_up"], row["is_made_up"]) == (1, 1, 1, 1)


def test_they_need_no_function_of_ours(store: Warehouse) -> None:
    with duckdb.connect(str(store.path), read_only=True) as plain:
        for name in view_statements():
            assert plain.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] > 0, name


def test_a_view_is_exported_like_a_table(store: Warehouse, tmp_path: Path) -> None:
    rows = export_table(store, "analysis.pull_requests", tmp_path / "rows.csv", "csv")
    assert rows == len(pl.read_csv(tmp_path / "rows.csv", infer_schema=False))


@pytest.mark.parametrize(
    ("repo_id", "name", "link"),
    [
        (7, "a/b", "https://github.com/a/b"), (8, "a/<img src=x>", None), (9, None, None), (10, "a/b/c", None),
        (-7, "a/b", None), (11, "javascript:alert(1)", None),
    ],
)  # fmt: skip
def test_a_link_leads_to_the_forge_or_nowhere(warehouse: Warehouse, repo_id: int, name: Any, link: Any) -> None:
    with warehouse.write() as connection:
        connection.execute(
            "INSERT INTO raw.repositories (repo_id, name, source, observed_at, partition_date) "
            "VALUES (?, ?, 'github', now()::TIMESTAMP, current_date)",
            [repo_id, name],
        )
    (row,) = warehouse.query("FROM repositories").to_dicts()
    assert (row["repository"], row["link"]) == (name or str(repo_id), link)


def test_a_view_comes_with_its_tables_and_is_said_to_be_missing_until_then(store: Warehouse, tmp_path: Path) -> None:
    new = Warehouse(tmp_path / "new.duckdb", staging=tmp_path / "staging")
    with new.write():
        pass
    assert new.query("SHOW TABLES")["name"].to_list() == ["repositories"]
    with pytest.raises(NotReadingError, match=r"analysis\.issues is not there yet: it comes with the features"):
        asked_rows(new, "FROM issues", 1)
    with pytest.raises(duckdb.CatalogException):
        asked_rows(new, "FROM nonsense", 1)
    for table in ("pull_requests", "issues", "comments"):
        new.replace(f"features/{table}", store.query(f"FROM features.{table} LIMIT 3"))
    assert [f"analysis.{name}" for name in new.query("SHOW TABLES")["name"]] == WITHOUT_PAYOUTS
    new.replace("features/issues", store.query("FROM features.issues LIMIT 5"))
    assert new.query("SELECT count(*) FROM issues").item() == 5, "the table was made anew under it"


def test_a_warehouse_of_before_gets_them_when_it_is_migrated(small_home: Settings, tmp_path: Path) -> None:
    store = Warehouse.from_settings(copy_of(small_home, tmp_path))
    with duckdb.connect(str(store.path)) as plain:
        for name in WITHOUT_PAYOUTS:
            plain.execute(f"DROP VIEW {name}")
        # A column that the present declaration has is missing, as of an older version.
        plain.execute("ALTER TABLE features.issues DROP COLUMN ending")
        plain.execute("UPDATE ops.schema_version SET declarations = 'of before'")
    assert store.migrate() == []
    assert "issues" not in store.query("SHOW TABLES")["name"]
    assert store.query("SELECT count(*) FROM pull_requests").item() == 400
    store.rebuild("features/issues", small_home.feature_parameters("issues"))
    assert store.query("SELECT count(*) FROM issues").item() > 0
