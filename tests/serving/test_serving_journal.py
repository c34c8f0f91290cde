"""The journal loses at most the last batch to kill -9, and knows how much; payouts are decimal."""

import multiprocessing
import os
import sqlite3
import struct
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc_assets.errors import QcError
from qc_assets.serving.journal import Journal, JournalFullError
from qc_assets.serving.journal_reader import count_lost, doubts, entries_after
from qc_assets.serving.payouts import PayoutError, payout
from tests.killed_writers import accepted_until_killed

NOW = "2026-01-01T00:00:00"


def numbered(*numbers: int) -> list[dict[str, int]]:
    return [{"n": number} for number in numbers]


def reopened(path: Path) -> Journal:
    """What a journal says of the process before, when it is opened; closed again."""
    journal = Journal(path)
    journal.close()
    return journal


def test_a_full_journal_refuses_instead_of_dropping(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", most_waiting=3)
    with journal._disk:  # the disk is busy
        journal.record("prediction", numbered(0, 1), written_at=NOW)
        with pytest.raises(JournalFullError, match=r"2 predictions wait for .*at most 3 may: is the disk full"):
            journal.record("prediction", numbered(2, 3), written_at=NOW)
        journal.record("prediction", numbered(2), written_at=NOW)
    journal.close()
    assert [one["document"]["n"] for one in entries_after(tmp_path / "journal.db", 0, ["prediction"])] == [0, 1, 2]
    with pytest.raises(QcError, match="no journal"):
        entries_after(tmp_path / "other.db", 0, ["prediction"])


def test_a_disk_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    journal._engine.connection.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN IMMEDIATE")
    journal.record("prediction", numbered(1, 2), written_at=NOW)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        journal.write("payout", {"n": 3}, written_at=NOW)
    deadline = time.monotonic() + 10
    while not journal.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "locked" in journal.trouble and journal.waiting == 2
    other.execute("ROLLBACK")
    while (journal.waiting or journal.trouble) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert journal.trouble == "" and journal.waiting == 0
    journal.close()
    assert [one["document"]["n"] for one in entries_after(tmp_path / "journal.db", 0, ["prediction", "payout"])] == [
        1,
        2,
    ]
    assert reopened(tmp_path / "journal.db").lost == 0, "a refused entry is not a lost one"


def write_until_killed(path: Path, told: "multiprocessing.Queue[int]") -> None:
    journal, number = Journal(path), 0
    while True:
        journal.record("prediction", numbered(*range(number, number + 50)), written_at=NOW)
        number += 50
        told.put(number)
        time.sleep(0.005)


def test_kill_9_loses_at_most_the_last_moments_and_they_are_counted(tmp_path: Path) -> None:
    accepted = accepted_until_killed(write_until_killed, tmp_path / "journal.db")
    written = len(entries_after(tmp_path / "journal.db", 0, ["prediction"]))
    again = Journal(tmp_path / "journal.db")
    assert written + again.lost >= accepted
    assert again.lost < 3_000, "a tenth of a second at this pace"
    again.close()
    assert count_lost(tmp_path / "journal.db") == again.lost
    assert reopened(tmp_path / "journal.db").lost == 0, "a loss is reported once"


@pytest.mark.parametrize(
    "counter",
    [
        None,
        b"",
        b"abc",
        b"\xff" * 7 + b"\x7f",
        b"\xff" * 8,
        struct.pack("<q", 5),
        b"\xff" * 16,
        struct.pack("<qq", 1, 2**60),
    ],
    ids=["missing", "empty", "short", "absurd", "negative", "behind", "negative pair", "absurd pair"],
)
def test_a_counter_that_cannot_be_right_blocks_nothing_and_hides_nothing(tmp_path: Path, counter: bytes | None) -> None:
    path, accepted = tmp_path / "journal.db", tmp_path / "journal.db.accepted"
    with closing(Journal(path)) as journal:
        journal.record("prediction", numbered(*range(9)), written_at=NOW)
    accepted.unlink() if counter is None else accepted.write_bytes(counter)
    with closing(Journal(path)) as journal:
        assert journal.lost == 0 and "counter" in journal.doubt
        assert journal.write("payout", {"n": 1}, written_at=NOW, key="a") is None
    assert [journal.doubt in doubt for doubt in doubts(path)] == [True]
    assert reopened(path).doubt == "", "noted once"
    assert [entry["document"]["n"] for entry in entries_after(path, 0, ["prediction", "payout"])] == [*range(9), 1]


def test_a_broken_journal_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    before = reopened(path).identity
    path.write_bytes(b"no database at all" * 1000)
    with closing(Journal(path)) as journal:
        assert journal.write("payout", {"n": 1}, written_at=NOW, key="a") is None
        assert journal.identity != before and "a payout_id of before could be paid again" in journal.doubt
    (broken,) = tmp_path.glob("journal.db.broken-*")
    assert broken.read_bytes().startswith(b"no database") and str(broken) in doubts(path)[0]


def test_the_second_writer_is_told_who_has_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    who = rf"qc serve on port 8000 \(process {os.getpid()} on .* uses .*journal.db: stop it"
    with closing(Journal(path, writer="qc serve on port 8000")), pytest.raises(QcError, match=who):
        Journal(path)
    reopened(path)


@given(p0=st.floats(0, 1), value=st.decimals(0, 10**9, places=2), beta=st.decimals("0", "1", places=4))
def test_a_payout_is_the_product_of_what_is_recorded(p0: float, value: Decimal, beta: Decimal) -> None:
    found = payout(p0, value, beta)
    assert abs(found.amount - found.beta * found.p0 * found.value) <= Decimal("0.005")
    assert found.amount.as_tuple().exponent == -2
    assert abs(found.p0 - Decimal(p0)) <= Decimal("0.0000005")


def test_halves_go_to_the_even_cent_and_nonsense_is_refused() -> None:
    assert payout(0.5, "1.00", "0.25").amount == Decimal("0.12")
    assert payout(0.5, "3.00", "0.25").amount == Decimal("0.38")
    for p0, value, beta, what in ((1.1, "1", "0.2", "p0"), (0.5, "-1", "0.2", "value"), (0.5, "1", "2", "beta")):
        with pytest.raises(PayoutError, match=f"{what} is "):
            payout(p0, value, beta)
    with pytest.raises(PayoutError, match="value is 'much'"):
        payout(0.5, "much", "0.2")
    with pytest.raises(PayoutError, match="beta is a binary number"):
        payout(0.5, "1", 0.2)  # type: ignore[arg-type]
