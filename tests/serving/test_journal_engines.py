"""What a journal promises wherever it lies: the same tests on a file and on a real PostgreSQL."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from qc_assets.serving import journal_reader, ledger
from qc_assets.serving.importing import Imported, bring_in
from qc_assets.serving.journal import Journal, JournalFullError
from qc_assets.serving.journal_reader import (
    Place,
    broken_links,
    count_lost,
    doubts,
    entries_after,
    entries_where,
    forget,
    identity,
    latest,
    of_task,
    outcomes_of,
)
from qc_assets.serving.payout_audit import audit_payouts
from qc_assets.store.warehouse import Warehouse
from tests.histories import make_features
from tests.serving.test_importing import fill, paid, prediction

NOW = "2026-01-01T00:00:00"


@pytest.fixture(params=["file", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return tmp_path / "journal.db" if request.param == "file" else request.getfixturevalue("shared")


@pytest.fixture
def opened(place: Place, tmp_path: Path) -> Callable[..., Journal]:
    return lambda **options: Journal(place, counters=tmp_path / "accepted", **options)


def test_what_is_recorded_is_written_once_in_its_order(place: Place, opened: Callable[..., Journal]) -> None:
    with closing(opened()) as journal:
        for number in range(100):
            journal.record("prediction", [{"n": number}], written_at=NOW)
        journal.write("payout", {"n": -1}, written_at=NOW)
        assert journal.waiting == 0, "what was accepted before is written before"
        journal.record("prediction", [{"n": 100}], written_at=NOW)
    entries = entries_after(place, 0, ["prediction", "payout"])
    assert [entry["document"]["n"] for entry in entries] == [*range(100), -1, 100]
    numbers = [entry["number"] for entry in entries]
    assert numbers == sorted(set(numbers)) and entries_after(place, numbers[-3], ["payout"]) == [entries[-2]]
    assert [entry["document"]["n"] for entry in latest(place, ["prediction"], 2)] == [100, 99]
    with closing(opened()) as again:
        assert again.lost == 0 and again.doubt == "" and again.identity == identity(place)
        assert again.count_after(numbers[-3]) == 2
    with pytest.raises(JournalFullError, match="is closed"):
        journal.record("prediction", [{}], written_at=NOW)
    assert count_lost(place) == 0 and doubts(place) == []


def test_a_key_counts_once_and_texts_come_back_as_they_were(place: Place, opened: Callable[..., Journal]) -> None:
    odd = {
        "x": "a\\u0000 ? $1 %s \u202e\U0001f600 'quoted'",
        "y": 1e-7,
        "z": 1e22,
        "n": None,
        "deep": {"list": [1.0, True]},
    }
    with closing(opened()) as journal:
        assert journal.write("feedback", odd, written_at=NOW, key="a") is None
        assert journal.write("feedback", {"x": 2}, written_at=NOW, key="a") == odd
        assert journal.write("outcome", {"x": 3}, written_at=NOW, key="a") is None, "of another kind"
        assert journal.find("feedback", "a") == odd and journal.find("feedback", "b") is None
        journal.write("prediction", {"task_id": "nul\x00here"}, written_at=NOW, key="b")
        journal.write("payout", odd, written_at=NOW)
    (entry,) = entries_after(place, 0, ["feedback"])
    assert entry["document"] == odd and entry["key"] == "a" and entry["written_at"] == NOW
    assert len(entries_after(place, 0, ["prediction"])) == 1 and broken_links(place) == []


def test_the_chain_goes_on_and_what_is_changed_shows(place: Place, opened: Callable[..., Journal]) -> None:
    for number in range(3):
        with closing(opened()) as journal:
            document = paid(task_id=f"a/b#{number}", number=number, payout_id=f"p{number}", id=f"p{number}", odd=1e22)
            journal.write("payout", document, written_at=NOW, key=f"p{number}")
            journal.write("appeal", {"payout": "p0", "state": "open"}, written_at=NOW)
    entries = entries_after(place, 0, ["payout", "appeal"])
    assert broken_links(place) == [] and len({entry["document"]["hash"] for entry in entries}) == 6
    assert [one["document"]["previous"] for one in entries] == ["", *(one["document"]["hash"] for one in entries[:-1])]
    from qc_assets.serving.journal_reader import _open

    changed = json.dumps(entries[2]["document"] | {"d1": "99.50"})
    with _open(place, writable=True) as connection:
        connection.execute("UPDATE entries SET document = ? WHERE number = ?", [changed, entries[2]["number"]])
    assert broken_links(place) == [f"entry {entries[2]['number']} (payout) is not as it was written"]


def test_payments_are_found_by_every_name(place: Place, opened: Callable[..., Journal]) -> None:
    at = {"written_at": NOW}
    with closing(opened()) as journal:
        journal.write("payout", paid(id="a", task_id="A/B#1", repo_id=7), **at, key="a")
        journal.write("payout", paid(id="r", task_id="a/b#1", repo_id=7, refused="no", d1=None), **at)
        journal.write("payout", paid(id="b", task_id="a/renamed#1", repo_id=7, replaces="a"), **at, key="b")
        journal.write("payout", paid(id="c", task_id="c/d#1", repo_id=0), **at, key="c")
        journal.write("appeal", {"payout": "b", "state": "open"}, **at, key="x")
        journal.write("outcome", {"task_id": "A/b#1", "decided_at": NOW}, **at, key="7:1:review:1")
        journal.write("prediction", {"task_id": "a/B#1"}, **at, key="delivery:1")
    (of_file,) = [ledger.payout_of([place], "a")]
    assert of_file and of_file["document"]["task_id"] == "A/B#1"
    standing = ledger.paid_for([place], ["a/b#1"], 7, 1)
    assert standing and standing["document"]["id"] == "b", "by its place, as it was renamed"
    assert (ledger.paid_for([place], ["c/d#1"], 0, 1) or {})["document"]["id"] == "c"
    assert ledger.paid_for([place], ["nobody/knows#1"], 8, 1) is None
    assert [one["document"]["id"] for one in ledger.corrections_of([place], "a")] == ["b"]
    assert [one["document"]["state"] for one in ledger.contested([place], "b")] == ["open"]
    newest = ledger.latest_payouts(place, before=2**62, limit=2)
    assert [one["document"]["id"] for one in newest] == ["c", "b"]
    assert len(of_task(place, "prediction", ["a/b#1"])) == len(outcomes_of(place, ["x"], 7, 1)) == 1
    assert len(outcomes_of(place, ["a/b#1"], 0, 1)) == 1 and outcomes_of(place, ["x"], 7, 11) == []


def test_everything_comes_in_once_and_old_predictions_leave(
    warehouse: Warehouse, place: Place, opened: Callable[..., Journal], tmp_path: Path
) -> None:
    now, beside = datetime(2026, 3, 1), tmp_path / "journal.db"
    fill(place, opened)
    assert bring_in(warehouse, place, keep_days=9, now=now, beside=beside) == Imported(3, 1, 1, 2, closings=1)
    assert bring_in(warehouse, place, keep_days=9, now=now) == Imported()
    make_features(warehouse)
    assert audit_payouts(warehouse, None, place).troubles == ()  # type: ignore[arg-type]
    assert bring_in(warehouse, place, keep_days=30, now=datetime(2026, 5, 1)).forgotten == 3
    kinds = [one["kind"] for one in entries_where(place, "number > ? ORDER BY number", [0])]
    assert kinds == ["payout", "payout", "feedback", "outcome", "closing"]
    with closing(opened()) as journal:
        assert journal.lost == 0, "what was forgotten was not lost"
        journal.record("prediction", [prediction(9)], written_at="2026-04-20T00:00:00")
    assert bring_in(warehouse, place, keep_days=9, now=datetime(2027, 1, 1)).predictions == 1
    assert forget(place, 2**62, "2099") == 0, "the last stays, so that numbers go on"
    assert count_lost(place) == 0
    assert warehouse.query("SELECT count(*) FROM ml.predictions").item() == 4


def test_a_journal_that_was_put_back_is_noticed_and_loses_no_new_entry(
    warehouse: Warehouse, place: Place, opened: Callable[..., Journal]
) -> None:
    def write(number: int) -> None:
        with closing(opened()) as journal:
            journal.record("prediction", [prediction(number)], written_at=NOW)

    write(1)
    write(2)
    assert bring_in(warehouse, place, keep_days=9000).predictions == 2
    from qc_assets.serving.journal_reader import _open

    with _open(place, writable=True) as connection:  # as a copy of before is
        connection.execute("DELETE FROM entries WHERE number = (SELECT max(number) FROM entries)")
    write(3)
    imported = bring_in(warehouse, place, keep_days=9000)
    assert imported.predictions == 1 and any("an older copy was put back" in doubt for doubt in imported.doubts)
    known: list[Any] = warehouse.query("SELECT number FROM ml.predictions ORDER BY ALL").rows()
    assert known == [(1,), (2,), (3,)]


def remove_entries(place: Place, condition: str) -> None:
    with journal_reader._open(place, writable=True) as connection:
        connection.execute(f"DELETE FROM entries WHERE {condition}")


LAST = "(SELECT max(number) FROM entries)"


def test_what_was_cut_off_is_told_and_is_no_loss(place: Place, opened: Callable[..., Journal]) -> None:
    """By somebody, or as an older copy of the same session was put back; three more were accepted and never written."""
    with closing(opened()) as journal:
        journal.record("prediction", [prediction(number) for number in range(6)], written_at=NOW)
        journal.flush()
        journal._engine.accept(journal._next + 2)
    remove_entries(place, f"number > {LAST} - 4")
    if not isinstance(place, Path):
        with journal_reader._open(place) as connection:  # as a database is that was put back
            connection.execute("UPDATE sessions SET written = 2")
    with closing(opened()) as journal:
        assert journal.lost == count_lost(place) == 3
        assert journal.doubt.startswith("4 entries at the end of the journal are gone that had been written")
        journal.record("prediction", [prediction(9)], written_at=NOW)
    with closing(opened()) as journal:
        assert journal.lost == 0 and journal.doubt == "" and count_lost(place) == 3, "told once"


@pytest.mark.parametrize(
    "condition", [f"number > {LAST} - 2", "key = 'p1'", "key = 'p0'"], ids=["end", "middle", "first"]
)
def test_what_somebody_removed_before_the_import_shows_in_audit_and_import(
    warehouse: Warehouse, place: Place, opened: Callable[..., Journal], condition: str
) -> None:
    with warehouse.write():
        pass
    make_features(warehouse)
    with closing(opened()) as journal:
        for number in range(4):
            document = paid(task_id=f"a/b#{number}", number=number, repo_id=7, payout_id=f"p{number}", id=f"p{number}")
            journal.write("payout", document, written_at=NOW, key=f"p{number}")
        journal.record("prediction", [prediction(9)], written_at=NOW)
    assert audit_payouts(warehouse, None, place).troubles == ()  # type: ignore[arg-type]
    remove_entries(place, condition)
    removed = [one for one in audit_payouts(warehouse, None, place).troubles if "somebody removed" in one]  # type: ignore[arg-type]
    assert len(removed) == 1
    doubts_of = [bring_in(warehouse, place, keep_days=9000).doubts for _ in range(2)]
    assert doubts_of[0] == doubts_of[1] and [removed[0] in doubt for doubt in doubts_of[0]] == [True]


def test_what_was_forgotten_is_not_missing(
    warehouse: Warehouse, place: Place, opened: Callable[..., Journal], tmp_path: Path
) -> None:
    with closing(opened()) as journal:
        journal.record("prediction", [prediction(number) for number in range(5)], written_at=NOW)
        journal.write("payout", paid(), written_at=NOW)
    assert bring_in(warehouse, place, keep_days=9, now=datetime(2026, 5, 1)).forgotten == 5
    with closing(opened()) as journal:
        journal.write("payout", paid(task_id="a/b#2", number=2), written_at=NOW)
    other = Warehouse(tmp_path / "other.duckdb", staging=tmp_path / "staging")
    assert bring_in(other, place, keep_days=9).doubts == bring_in(warehouse, place, keep_days=9).doubts == ()
