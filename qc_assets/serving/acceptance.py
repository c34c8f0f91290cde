"""How many entries a journal has accepted and written: numbers in a mapped file, which outlives the process.

After a kill they tell with the journal what was lost: accepted, and never written. What was written and is gone was
removed, or an older copy was put back; that is noted as a doubt, as is a file that is broken, removed or of another
time, and the journal goes on.
"""

import mmap
import sqlite3
import struct
import time
from pathlib import Path
from typing import Any

from qc_assets.clock import now_utc
from qc_assets.files import keep_private
from qc_assets.locks import acquire_lock

_NUMBERS = struct.Struct("<qqq")
_NUMBER = struct.Struct("<q")
# Before it said what was written, and before there were sessions.
_PAIR, _ALONE = struct.Struct("<qq"), _NUMBER


class _MappedNumbers:
    """A file with the first number to come, the last that was accepted and the last written: it survives `kill -9`."""

    def __init__(self, path: Path, first: int) -> None:
        keep_private(path)
        path.write_bytes(_NUMBERS.pack(first, first - 1, first - 1))
        with path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), _NUMBERS.size)

    def accept(self, last: int) -> None:
        """Entries up to this number have been accepted."""
        self._mapped[_NUMBER.size : 2 * _NUMBER.size] = _NUMBER.pack(last)

    def wrote(self, last: int) -> None:
        """Entries up to this number are on the disk, or in the database."""
        self._mapped[2 * _NUMBER.size :] = _NUMBER.pack(last)

    def close(self) -> None:
        """Let the file go."""
        self._mapped.close()


class AcceptedCounter(_MappedNumbers):
    """The counter of one journal while a process writes it.

    Args:
        path: the counter's file.
        journal: an open connection to the journal, which has its sessions and losses.
        most_lost: entries that a kill can lose at most.

    Attributes:
        lost: entries that the process before had accepted and not written.
        doubt: why what was lost is not known; empty if it is.
        first: the number of the first entry to come. Numbers of a journal that was put back must not come again, or
            the warehouse would take new entries for those that it has: so they go on from the time in microseconds.
    """

    def __init__(self, path: Path, journal: sqlite3.Connection, *, most_lost: int) -> None:
        (written,) = journal.execute(
            "SELECT max((SELECT coalesce(max(number), 0) FROM entries), (SELECT coalesce(max(up_to), 0) FROM losses))"
        ).fetchone()
        sessions = [first for (first,) in journal.execute("SELECT first FROM sessions ORDER BY first")]
        before = _read(path)
        is_new = not written and not sessions and not before
        self.lost, up_to, self.doubt = (0, 0, "") if is_new else _loss(before, written, sessions, most_lost)
        self.first = 1 if is_new else max(up_to, time.time_ns() // 1000) + 1
        if self.lost:
            journal.execute("INSERT INTO losses VALUES (datetime('now'), ?, ?)", [self.lost, up_to])
        if self.doubt:
            journal.execute("INSERT INTO doubts VALUES (datetime('now'), ?)", [self.doubt])
        journal.execute("INSERT INTO sessions VALUES (?, datetime('now'))", [self.first])
        super().__init__(path, self.first)


class SessionCounter(_MappedNumbers):
    """The counter of one server of a shared journal, and what those of this machine that are dead had not written.

    Args:
        folder: of the counters of this machine's servers, by session.
        session: of this server.
        journal: a transaction of the journal, which has its sessions and losses.
        most_lost: entries that a kill can lose at most.

    Attributes:
        lost: entries that servers before had accepted and not written.
        doubt: why what was lost is not known; empty if it is.
    """

    def __init__(self, folder: Path, session: str, journal: Any, *, most_lost: int) -> None:
        self.lost, self.doubt = 0, ""
        folder.mkdir(parents=True, exist_ok=True)
        at = now_utc().isoformat()
        for path in sorted(folder.glob("*.accepted")):
            lock = acquire_lock(path.with_suffix(".lock"))
            if lock is None:
                continue  # its server lives
            row = journal.execute("SELECT written FROM sessions WHERE session = ?", [path.stem]).fetchone()
            written = row[0] if row else 0
            lost, up_to, doubt = _loss(_read(path), written, [1], most_lost)
            if lost:
                journal.execute("INSERT INTO losses VALUES (?, ?, 0)", [at, lost])
            is_counted = up_to > written
            if is_counted:  # again if this transaction fails, and once if it does not
                journal.execute("DELETE FROM sessions WHERE session = ?", [path.stem])
                journal.execute("INSERT INTO sessions VALUES (?, ?, ?)", [path.stem, at, up_to])
            else:
                path.unlink()
            if doubt:
                journal.execute("INSERT INTO doubts VALUES (?, ?)", [at, doubt])
            self.lost, self.doubt = self.lost + lost, doubt or self.doubt
            lock.release()
            if not is_counted:
                path.with_suffix(".lock").unlink(missing_ok=True)
        journal.execute("INSERT INTO sessions VALUES (?, ?, 0)", [session, at])
        lock = acquire_lock(folder / f"{session}.lock")
        assert lock is not None, "a session has a name that no other has"
        self._lock = lock
        super().__init__(folder / f"{session}.accepted", 1)

    def close(self) -> None:
        """Let the file go; whoever comes next looks at it."""
        super().close()
        self._lock.release()


def last_written(path: Path) -> tuple[int, int] | None:
    """The first number that a process had to give, and the last that it wrote; None if the counter does not tell."""
    counter = _read(path)
    return _NUMBERS.unpack(counter)[::2] if len(counter) == _NUMBERS.size else None


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _loss(counter: bytes, written: int, sessions: list[int], most_lost: int) -> tuple[int, int, str]:
    """How many entries a counter says were lost, up to which number all is explained, and what is doubtful."""
    unknown = "so it is not known whether the last end of the server lost predictions"
    if len(counter) == _ALONE.size:
        first, (accepted,), had_written = 1, _ALONE.unpack(counter), 0
    elif len(counter) in (_PAIR.size, _NUMBERS.size):
        first, accepted = _PAIR.unpack(counter[: _PAIR.size])
        had_written = _NUMBERS.unpack(counter)[-1] if len(counter) == _NUMBERS.size else first - 1
        later = [session for session in sessions if session > first]
        if first not in sessions or (later and written >= later[0]):
            doubt = f"the journal and its counter are of different times, as after putting back a copy, {unknown}"
            return 0, written, doubt
    else:
        return 0, written, f"the journal's counter is missing or broken, {unknown}"
    there = max(written, first - 1)
    lost = accepted - max(there, had_written)
    # An entry that is written at once is counted after that.
    if not -1 <= lost <= most_lost or had_written > accepted + 1:
        doubt = f"the journal's counter cannot be right ({accepted}, and the last entry is {written}), {unknown}"
        return 0, written, doubt
    removed = had_written - there
    doubt = (
        f"{removed} entries at the end of the journal are gone that had been written: they were cut off, or an older "
        "copy was put back; no end of the server lost them"
    )
    return max(0, lost), max(written, had_written, accepted), doubt if removed > 0 else ""
