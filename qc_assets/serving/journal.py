"""What the server said, written down before anybody asks: a SQLite journal that survives kill -9.

Predictions are queued and written by one thread, a batch every 50 ms; feedback and payouts are written before they
are answered. What a crash loses is known by the number of entries that were accepted, see `acceptance`.
"""

import json
import logging
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from qc_assets.errors import QcError
from qc_assets.locks import acquire_alone
from qc_assets.serving import chain
from qc_assets.serving.acceptance import AcceptedCounter
from qc_assets.serving.callers import received
from qc_assets.serving.journal_reader import HAS_TASK, TASK_NAME
from qc_assets.sqlite_files import is_broken, open_sqlite, set_aside

log = logging.getLogger(__name__)
_FLUSH_S = 0.05
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT,
    written_at TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_entry_a_key ON entries (kind, key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_by_kind ON entries (kind, number);
CREATE TABLE IF NOT EXISTS losses (found_at TEXT NOT NULL, entries INTEGER NOT NULL, up_to INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS identity (journal TEXT PRIMARY KEY);
"""
_SESSIONS = """
CREATE TABLE IF NOT EXISTS sessions (first INTEGER PRIMARY KEY, opened_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS doubts (noted_at TEXT NOT NULL, doubt TEXT NOT NULL);
"""
_TASKS = f"CREATE INDEX IF NOT EXISTS entries_of_task ON entries ({TASK_NAME}) WHERE {HAS_TASK};"
_SCRIPTS = (_SCHEMA, _SESSIONS, _TASKS)
_Row = tuple[int, str, str | None, str, str]


class JournalFullError(QcError):
    """More entries wait to be written than the journal may hold in memory."""


class Journal:
    """One journal file; one process writes it, any may read. A broken file is set aside, and a new one begun.

    Args:
        path: the SQLite file; `<path>.accepted` beside it counts what was accepted.
        most_waiting: entries that may wait for the disk; more are refused, never dropped.
        writer: who writes it, for whoever comes second.
        lock_timeout_s: how long to wait for another process that writes it.

    Attributes:
        identity: the journal's own name; a new file has another.
        lost: entries that a process before this one had accepted and not written.
        doubt: why what was lost is not known, or where the broken file of before is; empty if all is well.
        trouble: why the last batch could not be written; empty if it could.
    """

    def __init__(
        self, path: Path, *, most_waiting: int = 50_000, writer: str = "another journal", lock_timeout_s: float = 0.0
    ) -> None:
        self.path = path
        self.most_waiting = most_waiting
        self.trouble = ""
        self._alone = acquire_alone(path.with_name(f"{path.name}.lock"), writer, timeout_s=lock_timeout_s)
        try:
            self._connection, moved = _open_or_set_aside(path)
            self._connection.execute(
                "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)",
                [uuid.uuid4().hex],
            )
            (self.identity,) = self._connection.execute("SELECT journal FROM identity").fetchone()
            if moved:
                self._connection.execute("INSERT INTO doubts VALUES (datetime('now'), ?)", [moved])
            counter = path.with_name(f"{path.name}.accepted")
            self._accepted = AcceptedCounter(counter, self._connection, most_lost=most_waiting)
            self._head = chain.head_of(self._connection)
        except BaseException:
            self._alone.release()
            raise
        self.lost, self.doubt = self._accepted.lost, moved or self._accepted.doubt
        self._next = self._accepted.first
        self._waiting: deque[_Row] = deque()
        self._lock, self._disk = threading.Lock(), threading.Lock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._write_batches, name="journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that were accepted and are not on the disk yet."""
        return len(self._waiting)

    def count_after(self, number: int) -> int:
        """Entries with a larger number that are on the disk."""
        with self._disk:
            return self._connection.execute("SELECT count(*) FROM entries WHERE number > ?", [number]).fetchone()[0]

    def record(self, kind: str, documents: Sequence[Mapping[str, Any]], *, written_at: str) -> None:
        """Accept entries, all or none; they are written within 50 ms.

        Raises:
            JournalFullError: if too many wait, or the journal is closed.
        """
        caller = received()
        texts = [_text({**document, **caller}) for document in documents]
        with self._lock:
            self._refuse_if_closed()
            if len(self._waiting) + len(texts) > self.most_waiting:
                raise JournalFullError(
                    f"{len(self._waiting)} predictions wait for {self.path}, at most {self.most_waiting} may: "
                    "is the disk full or slow?"
                )
            for text in texts:
                self._waiting.append((self._next, kind, None, written_at, text))
                self._next += 1
            self._accepted.accept(self._next - 1)

    def write(
        self, kind: str, document: Mapping[str, Any], *, written_at: str, key: str | None = None
    ) -> dict[str, Any] | None:
        """Write an entry at once, and all that waits before it.

        Returns:
            None; or the document of the entry of the same kind and key that is there already, and stays as it is.

        Raises:
            sqlite3.Error: if it cannot be written; then it is not there.
            JournalFullError: if the journal is closed.
        """
        with self._lock, self._disk:
            self._refuse_if_closed()
            if key is not None and (earlier := self._find(kind, key)) is not None:
                return earlier
            text, head = _text({**document, **received()}), self._head
            if kind in chain.KINDS:
                place = {"number": self._next, "kind": kind, "key": key, "written_at": written_at}
                sealed = chain.seal(json.loads(text), head, **place)  # type: ignore[arg-type]
                text, head = _text(sealed), sealed["hash"]
            # In the order of numbers: what is lost is counted from the last number on the disk.
            self._put([*self._waiting, (self._next, kind, key, written_at, text)])
            self._head = head
            self._waiting.clear()
            self._accepted.accept(self._next)
            self._next += 1
        return None

    def find(self, kind: str, key: str) -> dict[str, Any] | None:
        """The document of the entry with a key, or None."""
        with self._disk:
            return self._find(kind, key)

    def flush(self) -> None:
        """Write all that waits, in one transaction."""
        with self._disk:
            batch = [self._waiting[index] for index in range(len(self._waiting))]
            if batch:
                self._put(batch)
                for _ in batch:
                    self._waiting.popleft()

    def close(self) -> None:
        """Write all that waits, and stop; nothing is accepted afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.set()
        self._thread.join()
        self.flush()
        self._connection.close()
        self._accepted.close()
        self._alone.release()

    def _find(self, kind: str, key: str) -> dict[str, Any] | None:
        entry = self._connection.execute(
            "SELECT document FROM entries WHERE kind = ? AND key = ?", [kind, key]
        ).fetchone()
        return json.loads(entry[0]) if entry else None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalFullError(f"the journal {self.path} is closed")

    def _put(self, rows: Sequence[_Row]) -> None:
        self._connection.execute("BEGIN")
        try:
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _write_batches(self) -> None:
        while not self._closed:
            self._wake.wait(_FLUSH_S)
            try:
                self.flush()
                self.trouble = ""
            except sqlite3.Error as error:  # nothing is dropped: what waits is tried again
                if not self.trouble:
                    log.error("the journal %s cannot be written: %s", self.path, error)
                self.trouble = str(error)


def _open_or_set_aside(path: Path) -> tuple[sqlite3.Connection, str]:
    """The journal's connection, and where the file of before is, if it was broken."""
    # Durable: a payout must survive a power cut, too.
    options: dict[str, Any] = {"is_durable": True, "timeout_s": 30, "check_same_thread": False, "isolation_level": None}
    try:
        return open_sqlite(path, _SCRIPTS, **options), ""
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        doubt = (
            f"the journal was broken ({error}) and is {set_aside(path)} now: what was not in the warehouse yet is "
            "lost unless it is recovered, and a payout_id of before could be paid again"
        )
        log.error(doubt)
        path.with_name(f"{path.name}.accepted").unlink(missing_ok=True)
        return open_sqlite(path, _SCRIPTS, **options), doubt


def _text(document: Mapping[str, Any]) -> str:
    # A fifth of the time of the standard library's, and a batch has ten thousand.
    return to_json(document).decode()
