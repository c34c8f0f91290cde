"""Whose repository, comment and pull request is meant, where callers, webhooks and old journals name them."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from qc_assets.clock import now_utc
from qc_assets.features.labels import import_file
from qc_assets.forges import forge_id, forge_number, id_beside
from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.serving.schemas import repository_and_number
from qc_assets.serving.webhook import Event
from qc_assets.settings import load_settings
from qc_assets.store.forge_records import assumed_forge, register
from qc_assets.store.warehouse import Warehouse
from tests.serving.test_importing import given_feedback, paid, prediction

CORP = forge_number("ghe.corp", is_synthetic=False)


@pytest.fixture
def of_corp(warehouse: Warehouse) -> Warehouse:
    """A warehouse with a repository of an Enterprise server."""
    with warehouse.write() as connection:
        register(connection, "ghe.corp", is_synthetic=False)
        connection.execute(
            "INSERT INTO raw.repositories BY NAME SELECT $1 AS repo_id, 'a/b' AS name, 'github' AS source, "
            "TIMESTAMP '2026-01-01' AS observed_at, DATE '2026-01-01' AS partition_date",
            [forge_id(CORP, 1)],
        )
    return warehouse


def test_a_task_may_name_its_host() -> None:
    assert repository_and_number("a/b#7") == ("a/b", 7)
    assert repository_and_number("ghe.corp/a/b#7") == ("ghe.corp/a/b", 7)
    assert repository_and_number("127.0.0.1:8081/a/b#7") == ("127.0.0.1:8081/a/b", 7)
    assert repository_and_number("x/ghe.corp/a/b#7") == repository_and_number("b#7") == (None, 0)


def test_names_without_a_host_are_those_of_the_only_forge_or_of_the_settings(of_corp: Warehouse) -> None:
    github = load_settings(source="github")
    with of_corp.write() as connection:
        assert assumed_forge(connection, github) == "ghe.corp"
        connection.execute("INSERT INTO raw.repositories SELECT * REPLACE (1 AS repo_id) FROM raw.repositories")
        assert assumed_forge(connection, github) == "github.com"


def test_a_comment_is_one_of_its_repositorys_forge() -> None:
    corp = forge_id(CORP, 1)
    assert id_beside(corp, 5) == id_beside(corp, forge_id(CORP, 5)) == forge_id(CORP, 5)
    assert (id_beside(1, 5), id_beside(-3, -5), id_beside(corp, 0), id_beside(0, 5)) == (5, -5, 0, 5)


def test_a_delivery_says_which_forge_sent_it() -> None:
    def forge(**repository: str) -> str:
        event = Event.model_validate({"repository": {"full_name": "a/b"} | repository})
        assert event.repository is not None
        return event.repository.forge("settings.corp")

    assert forge(html_url="https://ghe.corp/a/b") == "ghe.corp"
    assert forge(html_url="https://github.com/a/b") == "github.com"
    assert forge() == forge(html_url="javascript:alert(1)") == "settings.corp"


def test_what_a_journal_held_before_ids_held_their_forge_finds_its_item(of_corp: Warehouse, tmp_path: Path) -> None:
    path, journal = tmp_path / "journal.db", Journal(tmp_path / "journal.db")
    before, after = now_utc() - timedelta(days=1), now_utc() + timedelta(minutes=1)
    comment = {"model": "comment_category", "comment_id": 5}
    for at, repo_id, comment_id in ((before, 1, 5), (after, forge_id(CORP, 1), forge_id(CORP, 5))):
        written = at.isoformat()
        journal.record("prediction", [prediction(repo_id=repo_id)], written_at=written)
        journal.write("payout", paid(repo_id=repo_id), written_at=written)
        document = given_feedback(written, "functional", written, repo_id=repo_id, kind="category", **comment)
        journal.write("feedback", document | {"comment_id": comment_id}, written_at=written, key=written)
    journal.close()
    bring_in(of_corp, path, keep_days=9, forge="ghe.corp", now=datetime(2100, 1, 1))
    for table in ("ml.predictions", "ml.payouts", "ml.feedback"):
        found = of_corp.query(f"SELECT count(*), count(name) FROM {table} LEFT JOIN raw.repositories USING (repo_id)")
        assert found.rows() == [(2, 2)], table
    assert of_corp.query("SELECT DISTINCT comment_id FROM ml.feedback").rows() == [(forge_id(CORP, 5),)]


def test_labels_are_of_the_forge_that_the_file_is_of(of_corp: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"body,category,comment_id\nWhy?,discussion,5\nNo.,functional,{2**50}\n")
    import_file(of_corp, tmp_path / "labels.csv", forge=CORP)
    assert sorted(of_corp.query("SELECT comment_id FROM ml.imported_labels")["comment_id"]) == sorted(
        [forge_id(CORP, 5), 2**50]
    )
