"""Where a journal lies: in a SQLite file that one process writes, or in a PostgreSQL that many servers write."""

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qc_assets.clock import now_utc
from qc_assets.locks import acquire_alone
from qc_assets.serving.acceptance import AcceptedCounter, SessionCounter
from qc_assets.serving.journal_reader import HAS_TASK, TASK_NAME, identified, shared_schema
from qc_assets.shared_database import SharedDatabase
from qc_assets.sqlite_files import is_broken, open_sqlite, set_aside

log = logging.getLogger(__name__)
Row = tuple[int, str, str | None, str, str]
_INSERT = "INSERT INTO entries (number, kind, key, written_at, document) VALUES (?1, ?2, ?3, ?4, ?5)"
_INSERT_COUNTED = (
    "INSERT INTO entries (number, kind, key, written_at, document, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
)
_NUMBERING, _PAYING = 1, 2
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


@dataclass
class JournalBatch:
    """A transaction that appends to a journal.

    Attributes:
        connection: takes statements, with parameters as SQLite has them.
        written: the ordinal up to which what was accepted is written already.
        number: of the next entry.
        session: of the server, which is told how much of what it accepted is written.
        position: how many entries there were before it, of a database; a file counts by its numbers.
    """

    connection: Any
    written: int
    number: int
    session: str = ""
    position: int | None = None

    def put(self, waiting: Sequence[Row]) -> None:
        """Append what waited, each once: a commit whose answer was lost may have written it before."""
        rows = [row[1:] for row in waiting if row[0] > self.written]
        if rows:
            self._insert(rows)
            self.written = waiting[-1][0]
            if self.session:
                done = [self.written, self.session]
                self.connection.execute("UPDATE sessions SET written = ? WHERE session = ?", done)

    def append(self, *entry: Any) -> None:
        """Append one entry: its kind, key, time and document."""
        self._insert([entry])

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        numbered = [(self.number + place, *row) for place, row in enumerate(rows)]
        if self.position is None:
            self.connection.executemany(_INSERT, numbered)
        else:
            counted = [(*row, self.position + place) for place, row in enumerate(numbered, 1)]
            self.connection.executemany(_INSERT_COUNTED, counted)
            self.position += len(rows)
        self.number += len(rows)


class JournalFile:
    """A journal's file; one process writes it. A broken file is set aside, and a new one begun.

    Args:
        path: the SQLite file; `<path>.accepted` beside it counts what was accepted.
        most_waiting: entries that may wait for the disk.
        writer: who writes it, for whoever comes second.
        lock_timeout_s: how long to wait for another process that writes it.
    """

    numbers_what_waits = True  # when it is accepted: its ordinal is its number

    def __init__(self, path: Path, *, most_waiting: int, writer: str, lock_timeout_s: float) -> None:
        self._alone = acquire_alone(path.with_name(f"{path.name}.lock"), writer, timeout_s=lock_timeout_s)
        try:
            self.connection, moved = _open_or_set_aside(path)
            self.identity = identified(self.connection)
            if moved:
                self.connection.execute("INSERT INTO doubts VALUES (datetime('now'), ?)", [moved])
            counter = path.with_name(f"{path.name}.accepted")
            self._accepted = AcceptedCounter(counter, self.connection, most_lost=most_waiting)
        except BaseException:
            self._alone.release()
            raise
        self.lost, self.doubt, self.first = self._accepted.lost, moved or self._accepted.doubt, self._accepted.first
        self.accept = self._accepted.accept
        self._paying = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection to look something up."""
        yield self.connection

    @contextmanager
    def writing(self, waiting: Sequence[Row], following: int) -> Iterator[JournalBatch]:
        """A transaction that appends; `following` is the number after what waits."""
        self.connection.execute("BEGIN")
        try:
            number = waiting[0][0] if waiting else following
            batch = JournalBatch(self.connection, number - 1, number)
            yield batch
            self.connection.execute("COMMIT")
            self._accepted.wrote(batch.number - 1)
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def paying(self) -> Any:
        """What one request at a time may hold."""
        return self._paying

    def close(self) -> None:
        """Let the file go."""
        self.connection.close()
        self._accepted.close()
        self._alone.release()


class JournalServer:
    """A journal in PostgreSQL. Servers take turns for as long as a transaction takes; a lost connection is opened anew.

    Args:
        database: where.
        counters: this machine's folder of what its servers accepted.
        most_waiting: predictions that may wait.
    """

    numbers_what_waits = False

    def __init__(self, database: SharedDatabase, counters: Path, *, most_waiting: int) -> None:
        self._database, self._session = database, uuid.uuid4().hex
        self.doubt, self.first = "", 1
        self._paying = threading.Lock()
        with database.transaction(shared_schema()) as connection:
            connection.hold(_NUMBERING)
            self.identity = identified(connection)
            self._accepted = SessionCounter(counters, self._session, connection, most_lost=most_waiting)
        self.lost, self.doubt = self._accepted.lost, self._accepted.doubt
        self.accept = self._accepted.accept

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection to look something up."""
        with self._database.transaction() as connection:
            yield connection

    @contextmanager
    def writing(self, waiting: Sequence[Row], following: int) -> Iterator[JournalBatch]:
        """A transaction that appends, the only one of all servers'."""
        with self._database.transaction() as connection:
            connection.hold(_NUMBERING)
            query = (
                "SELECT (SELECT max(number) FROM entries), (SELECT written FROM sessions WHERE session = ?), position "
                "FROM tail"
            )
            last, written, position = connection.execute(query, [self._session]).fetchone()
            if written is None:  # the database was put back from a copy
                written = waiting[0][0] - 1 if waiting else following - 1
                entry = [self._session, now_utc().isoformat(), written]
                connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", entry)
            # By the clock, so that numbers of before do not come again then.
            number = max((last or 0) + 1, time.time_ns() // 1000)
            batch = JournalBatch(connection, written, number, self._session, position)
            yield batch
            connection.execute("UPDATE tail SET position = ?", [batch.position])
        self._accepted.wrote(batch.written)

    @contextmanager
    def paying(self) -> Iterator[None]:
        """What one request at a time may hold, of all servers': whoever waits too long is refused.

        Were it lost with its connection, the keys of the table would still refuse a second payment.
        """
        with self._paying, self._database.transaction() as connection:
            connection.hold(_PAYING)
            yield

    def close(self) -> None:
        """End this server's session."""
        self._accepted.close()


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
