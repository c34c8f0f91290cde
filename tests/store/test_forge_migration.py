"""Warehouses of before ids held their forge: every row is still there, and finds what it belongs to."""

from pathlib import Path

import duckdb
import pytest

from qc_assets.settings import load_settings
from qc_assets.store.schema import RAW_TABLES, id_columns
from qc_assets.store.warehouse import Warehouse
from tests.old_homes import unpack_home

# What must find each other: predictions, feedback, payouts and critiques their items.
JOINS = {
    "predictions": "ml.predictions JOIN raw.pull_requests USING (repo_id, number) WHERE model = 'p0'",
    "comment predictions": "ml.predictions JOIN raw.review_comments USING (comment_id)",
    "tested": "ml.test_predictions JOIN features.issues USING (repo_id, number)",
    "trained on": "ml.training_rows JOIN features.pull_requests USING (repo_id, number)",
    "feedback": "ml.feedback JOIN features.pull_requests USING (repo_id, number)",
    "payouts": "ml.payouts JOIN raw.repositories USING (repo_id)",
    "labels": "ml.imported_labels JOIN raw.review_comments USING (comment_id)",
    "threads": "critique.filtered JOIN critique.summaries USING (thread_id)",
    "answers": "raw.review_comments AS a JOIN raw.review_comments AS b ON a.in_reply_to_id = b.comment_id",
    "critiques": "reports.critiques JOIN raw.review_comments USING (comment_id)",
    "covered": "ops.coverage JOIN raw.repositories USING (repo_id)",
    "authors": "features.pull_requests JOIN raw.users ON author_id = user_id",
}
SETTINGS = {"source": "github", "github_url": "https://ghe.corp/api/v3"}


def joined(path: Path) -> dict[str, int]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {query}").fetchall()[0][0] for name, query in JOINS.items()
        }


def of_github(path: Path, *, keep: str = "false") -> None:
    """Make a demo of 0.1.0 look as if read from a GitHub; repositories that `keep` says become the archive's."""
    with duckdb.connect(str(path)) as connection:
        tables = connection.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        for (table,) in tables:
            name = table.replace("observed.", "raw.")
            if table in ("ops.schema_version", "ops.journal_imports"):
                continue
            names = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
            ids = [column for column in id_columns(name) if column in names]
            if ids:
                sql = ", ".join(
                    f"{column} = CASE WHEN {column} > -1e12 THEN abs({column}) ELSE {column} END" for column in ids
                )
                connection.execute(f"UPDATE {table} SET {sql}")
            if "source" in names:
                connection.execute(f"UPDATE {table} SET source = 'github' WHERE source = 'demo'")
                if "repo_id" in names:
                    connection.execute(f"UPDATE {table} SET source = 'gharchive' WHERE source = 'github' AND {keep}")
        connection.execute("UPDATE ops.ingest_log SET repo = 'acme/atlas'")


YOUNGER = ("files", "review_requests")  # raw tables that the old home does not have


def test_rows_that_an_enterprise_server_told_become_its_own(tmp_path: Path) -> None:
    path = unpack_home(tmp_path) / "qc.duckdb"
    of_github(path)
    before = joined(path)
    assert all(before.values()), before
    settings = load_settings(home=tmp_path / "home", warehouse=path, **SETTINGS)
    store = Warehouse.from_settings(settings)
    assert "0002_forges" in store.migrate()
    assert joined(path) == before
    ids = {table: id_columns(f"raw.{table}") for table in RAW_TABLES if table not in YOUNGER}
    for table, names in ids.items():
        told = ", ".join(f"ops.forge_of({name})" for name in names)
        assert store.query(f"SELECT DISTINCT unnest([{told}]) FROM raw.{table} ORDER BY ALL NULLS LAST").rows()[0] == (
            "ghe.corp",
        ), table
        assert store.query(f"SELECT count(*) FROM raw.{table} WHERE len(list_distinct([{told}])) > 1").item() == 0
    assert store.query("SELECT DISTINCT repo FROM ops.ingest_log").rows() == [("ghe.corp/acme/atlas",)]
    assert store.query("SELECT forge, is_synthetic FROM ops.forges").rows() == [("ghe.corp", False)]
    assert store.query("SELECT count(*) FROM ml.predictions WHERE forge_number(repo_id) IN (0, -1)").item() == 0


def test_of_two_forges_in_one_warehouse_each_row_goes_where_its_source_read_it(tmp_path: Path) -> None:
    path = unpack_home(tmp_path) / "qc.duckdb"
    of_github(path, keep="repo_id % 2 = 0")
    before = joined(path)
    store = Warehouse.from_settings(load_settings(home=tmp_path / "home", warehouse=path, **SETTINGS))
    store.migrate()
    after = joined(path)
    # Accounts belong to one source here, so authors that were seen on both forges are looked up on one.
    assert {name: count for name, count in after.items() if name != "authors"} == {
        name: count for name, count in before.items() if name != "authors"
    }
    query = "SELECT ops.forge_of(repo_id), count(*) > 0, bool_and(own_id(repo_id) % 2 = $n) FROM {} GROUP BY 1"
    for table in ("raw.pull_requests", "features.issues", "ml.predictions", "ml.payouts", "critique.filtered"):
        rows = {row[0]: row[2] for n in (0, 1) for row in store.query(query.format(table), {"n": n}).rows() if row[2]}
        assert set(rows) <= {"github.com", "ghe.corp"} and len(rows) >= 1, table


def test_what_was_one_row_of_two_forges_becomes_a_row_of_each(tmp_path: Path) -> None:
    path = unpack_home(tmp_path) / "qc.duckdb"
    of_github(path)
    with duckdb.connect(str(path)) as connection:
        stamp = "TIMESTAMP '2026-01-01' AS observed_at, DATE '2026-01-01' AS partition_date"
        connection.execute(f"""
            INSERT INTO observed.repositories BY NAME
            SELECT 1 AS repo_id, 'octo/public' AS name, 5 AS stars, 'gharchive' AS source, {stamp}
        """)
        connection.execute("""
            INSERT OR REPLACE INTO raw.repositories BY NAME
            SELECT * REPLACE ('octo/public' AS name, 5 AS stars, 'gharchive' AS source) FROM raw.repositories
            WHERE repo_id = 1
        """)
    store = Warehouse.from_settings(load_settings(home=tmp_path / "home", warehouse=path, **SETTINGS))
    store.migrate()
    rows = store.query(
        "SELECT ops.forge_of(repo_id), name, source, language IS NULL FROM raw.repositories WHERE own_id(repo_id) = 1"
    ).rows()
    assert sorted(rows) == [
        ("ghe.corp", "acme/atlas", "github", False),
        ("github.com", "octo/public", "gharchive", True),
    ]


@pytest.mark.parametrize(("url", "expected"), [("https://api.github.com", 0), ("http://127.0.0.1:8081", -1)])
def test_ids_of_github_stay_and_those_of_a_server_of_this_machine_are_made_up(
    tmp_path: Path, url: str, expected: int
) -> None:
    path = unpack_home(tmp_path) / "qc.duckdb"
    of_github(path)
    Warehouse.from_settings(load_settings(warehouse=path, home=tmp_path, source="github", github_url=url)).migrate()
    with duckdb.connect(str(path)) as connection:
        signs = connection.execute("SELECT DISTINCT sign(repo_id >> 40) FROM raw.pull_requests").fetchall()
    assert signs == [(expected,)]
