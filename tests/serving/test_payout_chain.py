"""Entries about money form a chain, identities have one form, and gaming shows."""

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from qc_assets.serving.callers import CALLER, Caller
from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.serving.journal_reader import broken_links, entries_after, latest, missing_entries
from qc_assets.serving.one_form import normalised, plain_number
from qc_assets.serving.payout_audit import audit_payouts
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.serving.test_importing import paid, prediction

NOW = "2026-03-01T00:00:00"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A warehouse that knows nothing of what is paid for; it is only read."""
    folder = tmp_path_factory.mktemp("judged")
    store = Warehouse(folder / "qc.duckdb", staging=folder / "staging")
    with store.write():
        pass
    histories.make_features(store)
    return store


def written(path: Path, count: int = 4) -> None:
    journal = Journal(path)
    for number in range(count):
        journal.record("prediction", [prediction(number)], written_at=NOW)
        document = paid(task_id=f"a/b#{number}", number=number, repo_id=7, payout_id=f"p{number}", id=f"p{number}")
        journal.write("payout", document, written_at=NOW, key=f"p{number}")
    journal.close()


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_entries_of_before_there_was_a_chain_are_sealed_by_the_first_link(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    written(path, 2)
    change(path, "UPDATE entries SET document = json_remove(document, '$.hash', '$.previous') WHERE kind = 'payout'")
    assert broken_links(path) == []
    journal = Journal(path)
    journal.write("payout", paid(), written_at=NOW)
    journal.close()
    assert broken_links(path) == []
    change(path, "UPDATE entries SET document = replace(document, '62.50', '99.50') WHERE key = 'p0'")
    assert broken_links(path)


def test_the_end_of_the_chain_is_in_the_warehouse(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    written(path)
    bring_in(warehouse, path, keep_days=9)
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": [{"repo_id": 7, "number": 1, "author_id": 5, "created_at": NOW}]})
    histories.make_features(warehouse)
    assert audit_payouts(warehouse, None, path).troubles == ()  # type: ignore[arg-type]
    change(path, "DELETE FROM entries WHERE key = 'p3'")
    assert broken_links(path) == []
    (trouble,) = audit_payouts(warehouse, None, path).troubles  # type: ignore[arg-type]
    assert "the journal lost entry" in trouble


def test_the_audit_finds_wrong_sums_and_tasks_that_were_paid_for_twice(judged: Warehouse, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.write("payout", paid(id="a", d1="62.51", repo_id=0), written_at=NOW)
    journal.write("payout", paid(id="b", repo_id=0, task_id="A/B#1"), written_at=NOW)
    journal.write("payout", paid(id="c", repo_id=0, replaces="b"), written_at=NOW)
    journal.close()
    audit = audit_payouts(judged, None, tmp_path / "journal.db")  # type: ignore[arg-type]
    assert audit.payments == 3 and len(audit.troubles) == 2
    assert "is not 62.51" in audit.troubles[0] and "had been paid for by a" in audit.troubles[1]


def test_entries_say_which_key_wrote_them_from_where(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    token = CALLER.set(Caller("ci", "10.0.0.7"))
    journal.record("prediction", [{"n": 1}], written_at=NOW)
    journal.write("feedback", {"n": 2}, written_at=NOW)
    CALLER.reset(token)
    journal.close()
    for entry in entries_after(tmp_path / "journal.db", 0, ["prediction", "feedback"]):
        assert entry["document"]["received_key"] == "ci" and entry["document"]["received_from"] == "10.0.0.7"
    assert latest(tmp_path / "journal.db", ["feedback"], 1)[0]["document"]["n"] == 2


@pytest.mark.parametrize("text", [
    "a\u200bb", "a\nb", "\u202eab", "a\u0000", "n\u043ebody", "\u03b1lpha", "\uff41bc", "\U0001d41aa", "in\u00advoice",
    "x\u0335", "\u0661\u0662", "a\u3164", "\u2800", "  ", "\u200b", "\u0251lpha", "a\u00a0b", "\ufeffa",
])  # fmt: skip
def test_identities_that_look_like_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalised(text)


@given(st.text(max_size=12))
def test_an_identity_has_one_form(text: str) -> None:
    try:
        once = normalised(text)
    except ValueError:
        return
    assert normalised(once) == normalised(f" {once}\t") == once and once.isprintable()
    assert json.loads(json.dumps(once)) == once


def test_plain_identities_and_amounts_stay_what_they_are() -> None:
    for text in (
        "dev-00001",
        "acme/atlas#7",
        "Zo\u00eb",
        "\u65e5\u672c\u8a9e-7",
        "stra\u00dfe",
        "a b",
        "ghe.corp:8443/a/b#7",
    ):
        assert normalised(text) == text
    assert normalised("e\u0301") == "\u00e9"
    assert [plain_number(number) for number in ("0", "1000.00", 7, 1.5)] == ["0", "1000.00", 7, 1.5]


def test_gaming_shows(warehouse: Warehouse, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")

    def at(day: int, hour: int = 0) -> str:
        return datetime(2026, 2, day, hour).isoformat()

    def asked(number: int, worker: str, day: int, **request: Any) -> None:
        p0 = request.pop("p0", 0.25)
        document = prediction(number, request=request, prediction=p0, worker_id=worker, features={})
        journal.record("prediction", [document], written_at=at(day))

    def payment(number: int, worker: str, day: int, lines: int) -> None:
        request = {"facts": {"lines_changed": lines}}
        document = paid(number=number, task_id=f"a/b#{number}", worker_id=worker, request=request, id=f"p{number}")
        journal.write("payout", document, written_at=at(day, 1), key=f"p{number}")

    for number in range(5):
        payment(number, "splits", 3 + number, 9)  # five small ones in a week
    for number, day in ((10, 1), (11, 9), (12, 17), (13, 25)):
        payment(number, "slow", day, 9)  # four in a month
    for lines in range(6):
        asked(20, "probes", 4, lines_changed=lines, p0=0.25)
    asked(20, "probes", 4, purpose="payout")
    payment(20, "Probes", 5, 300)
    asked(21, "flips", 6, lines_changed=1, p0=0.95)
    payment(21, "flips", 7, 300)
    for number in (31, 32, 33):
        payment(number, "one-change", number - 20, 400)
    journal.close()
    bring_in(warehouse, tmp_path / "journal.db", keep_days=900)
    opened = [
        {"repo_id": 1, "number": number, "author_id": 5, "created_at": histories.hour(number)}
        for number in (31, 32, 33)
    ]
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": opened})
    histories.make_features(warehouse)
    warehouse.rebuild("reports/payout_patterns")
    rows = warehouse.query("SELECT pattern, worker_id, count FROM reports.payout_patterns ORDER BY ALL").rows()
    assert rows == [
        ("flipped_bucket", "flips", 1), ("many_small_tasks", "splits", 5), ("probing", "probes", 6),
        ("split_change", "one-change", 3),
    ]  # fmt: skip


@pytest.mark.parametrize("statement", [
    # SQLite takes the first value of a name, and Python the last.
    "UPDATE entries SET document = '{\"task_id\":\"x/y#1\",\"repo_id\":1,' || substr(document, 2) WHERE key = 'p1'",
    "UPDATE entries SET document = substr(document, 2) WHERE key = 'p1'",
    "UPDATE entries SET document = '[]' WHERE key = 'p1'",
    "UPDATE entries SET document = '{}' WHERE key = 'p3'",
    "UPDATE entries SET document = x'ff00' WHERE key = 'p1'",
    "UPDATE entries SET document = replace(document, '62.50', 'many') WHERE key = 'p3'",
    "UPDATE entries SET document = replace(document, '\"p0\":\"', '\"p0\":\"9') WHERE key = 'p3'",
    "UPDATE entries SET document = replace(document, '62.50', '99.50') WHERE key = 'p1'",
    "UPDATE entries SET written_at = '2026-02-01T00:00:00' WHERE key = 'p1'",
    "UPDATE entries SET key = 'other' WHERE key = 'p1'",
    "INSERT INTO entries SELECT number + 100, kind, 'more', written_at, document FROM entries WHERE key = 'p1'",
    "UPDATE entries SET document = json_remove(document, '$.hash') WHERE key = 'p2'",
    "DELETE FROM entries WHERE key = 'p1'",
    "DELETE FROM entries WHERE key = 'p3'",
    "DELETE FROM entries WHERE key IN ('p2', 'p3')",
    "UPDATE entries SET document = json_remove(json_set(document, '$.facts_from', 'claims'), '$.hash', '$.previous')",
])  # fmt: skip
def test_an_audit_tells_what_was_done_to_a_journal_and_goes_on(
    judged: Warehouse, tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "journal.db"
    written(path)
    assert audit_payouts(judged, None, path).troubles == ()  # type: ignore[arg-type]
    change(path, "DROP INDEX entries_of_task")  # which would not take what is no JSON
    change(path, statement)
    audit = audit_payouts(judged, None, path)  # type: ignore[arg-type]
    assert audit.troubles and audit.payments >= 2, "the others are audited"


@given(position=st.integers(0, 10**6), flipped=st.integers(1, 255))
@examples(max_examples=60, deadline=None)
def test_no_byte_of_an_entry_changes_unseen(
    tmp_path_factory: pytest.TempPathFactory, position: int, flipped: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "journal.db"
    written(path, 2)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX entries_of_task")
        (text,) = connection.execute("SELECT CAST(document AS BLOB) FROM entries WHERE key = 'p0'").fetchone()
        place = position % len(text)
        changed = text[:place] + bytes([text[place] ^ flipped]) + text[place + 1 :]
        connection.execute("UPDATE entries SET document = CAST(? AS TEXT) WHERE key = 'p0'", [changed])
    connection.close()
    assert broken_links(path)


def test_a_deletion_in_what_is_not_imported_yet_shows_and_a_new_start_or_a_kill_does_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    written(path)
    written(path, 0)
    journal = Journal(path)
    journal.write("payout", paid(id="z", number=9), written_at=NOW, key="z")
    journal.close()
    assert missing_entries(path, 0) == []
    change(path, "DELETE FROM entries WHERE kind = 'prediction'")
    numbers = [entry["number"] for entry in entries_after(path, 0, ["payout"])]
    gaps = missing_entries(path, 0)
    assert len(gaps) == 4 and all(
        first == last == number - 1 for (first, last), number in zip(gaps, numbers, strict=False)
    )
    assert missing_entries(path, numbers[-2]) == []
