"""Outcomes go by the repository's id where there is one, and say which key told them."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qc_assets.serving import journal_reader
from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.serving.test_importing import paid

AT = "2026-02-28T12:00:00"


def outcome(task_id: str, *, passed: bool, event: str = "review:1", **changes: Any) -> dict[str, Any]:
    return {"task_id": task_id, "event": event, "passed": passed, "decided_at": AT} | changes


def tell(path: Path, *documents: dict[str, Any]) -> None:
    with closing(Journal(path)) as journal:
        for document in documents:
            start = journal_reader.outcome_key(
                document["task_id"], document.get("repo_id", 0), document.get("number", 0)
            )
            journal.write("outcome", document, written_at=AT, key=start + document["event"])


@pytest.fixture
def known(warehouse: Warehouse) -> Warehouse:
    """Repository 1, which is called new/name now, and 2, which took over the name a/b."""
    names = [{"repo_id": 1, "name": "new/name"}, {"repo_id": 2, "name": "a/b"}]
    with warehouse.write() as connection:
        histories.put(connection, {"repositories": names})
        histories.cover(connection)
    histories.make_features(warehouse)
    return warehouse


def test_an_outcome_under_an_old_name_is_that_of_the_id_and_says_who_told_it(known: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    told_by = {"received_key": "QC_WEBHOOK_SECRET", "received_from": "203.0.113.5"}
    tell(path, outcome("a/b#1", passed=False, repo_id=1, number=1, **told_by))
    tell(path, outcome("a/b#1", passed=True, repo_id=2, number=1, event="review:2"))
    with closing(Journal(path)) as journal:
        for repo_id in (1, 2):
            journal.write("payout", paid(repo_id=repo_id, number=1, payout_id=f"p{repo_id}"), written_at=AT)
        journal.write("payout", paid(repo_id=0, number=0, payout_id="p0", task_id="x/y#3"), written_at=AT)
    tell(path, outcome("x/y#3", passed=True, repo_id=99, number=3))
    bring_in(known, path, keep_days=9)
    columns = "repo_id, repo, passed, received_key, received_from"
    assert known.query(f"SELECT {columns} FROM ml.outcomes WHERE repo_id < 9 ORDER BY repo_id").rows() == [
        (1, "a/b", False, "QC_WEBHOOK_SECRET", "203.0.113.5"), (2, "a/b", True, None, None),
    ]  # fmt: skip
    known.rebuild("reports/payouts")
    rows = known.query("SELECT payout_id, passed FROM reports.payouts ORDER BY payout_id").rows()
    assert rows == [("p0", True), ("p1", False), ("p2", True)]


def test_outcomes_of_older_servers_are_given_the_id_of_the_name_and_nothing_counts_twice(
    known: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    tell(path, outcome("new/name#5", passed=False), outcome("unknown/one#5", passed=True))
    bring_in(known, path, keep_days=9)
    rows = "SELECT repo_id, repo, number, passed FROM ml.outcomes ORDER BY repo_id, repo"
    assert known.query(rows).rows() == [(0, "unknown/one", 5, True), (1, "new/name", 5, False)]
    # GitHub delivers the event again, to a server that knows the id; and the unknown repository is loaded.
    tell(path, outcome("new/name#5", passed=False, repo_id=1, number=5))
    with known.write() as connection:
        connection.execute(
            "INSERT INTO raw.repositories BY NAME SELECT * REPLACE (3 AS repo_id, 'unknown/one' AS name) "
            "FROM raw.repositories WHERE repo_id = 2"
        )
    bring_in(known, path, keep_days=9)
    assert known.query(rows).rows() == [(1, "new/name", 5, False), (3, "unknown/one", 5, True)]


def test_a_verdict_under_another_name_is_known_before_a_payout(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    tell(
        path, outcome("old/name#1", passed=False, repo_id=7, number=1), outcome("a/b#1", passed=True, event="closed:x")
    )
    tell(
        path,
        outcome("old/name#12", passed=True, repo_id=7, number=12),
        outcome("c/d#1", passed=True, repo_id=71, number=1),
    )

    def verdicts(*names: str, repo_id: int = 0) -> list[tuple[str, bool]]:
        entries = journal_reader.outcomes_of(path, names, repo_id, 1)
        return [(entry["document"]["task_id"], entry["document"]["passed"]) for entry in entries]

    assert verdicts("new/name#1", repo_id=7) == [("old/name#1", False)]
    assert verdicts("old/name#1", repo_id=7) == [("old/name#1", False)], "by both, and once"
    assert verdicts("a/b#1", repo_id=8) == [("a/b#1", True)] and verdicts("new/name#1") == []
