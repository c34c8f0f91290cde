"""What the server said, written down before anybody asks: a journal that survives kill -9.

Predictions are queued and written by one thread, a batch every 50 ms; feedback and payouts are written before they
are answered. What a crash loses is known by the number of entries that were accepted, see `acceptance`.
"""

import json
import logging
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from qc_assets.errors import QcError
from qc_assets.serving import chain
from qc_assets.serving.callers import received
from qc_assets.serving.journal_engines import JournalFile, JournalServer, Row
from qc_assets.serving.last_payment import note_payment
from qc_assets.shared_database import SharedDatabase, SharedDatabaseError

log = logging.getLogger(__name__)
_FLUSH_S = 0.05
# PostgreSQL keeps every character but this one.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class JournalFullError(QcError):
    """More entries wait to be written than the journal may hold in memory."""


class Journal:
    """One journal: a file that one process writes, or a PostgreSQL that many servers write; anybody may read.

    Args:
        place: the SQLite file, or the database.
        counters: folder of what this machine's servers accepted, of a database; a file has its own beside it.
        note: where the last payment is noted, see `last_payment`; None notes none.
        most_waiting: entries that may wait to be written; more are refused, never dropped.
        writer: who writes it, for whoever comes second.
        lock_timeout_s: how long to wait for another process that writes the file.

    Attributes:
        identity: the journal's own name; a new file has another.
        lost: entries that a process before this one had accepted and not written.
        doubt: why what was lost is not known, or where the broken file of before is; empty if all is well.
        trouble: why the last batch could not be written; empty if it could.
    """

    def __init__(
        self,
        place: Path | SharedDatabase,
        *,
        counters: Path | None = None,
        note: Path | None = None,
        most_waiting: int = 50_000,
        writer: str = "another journal",
        lock_timeout_s: float = 0.0,
    ) -> None:
        self.place = place
        self.most_waiting = most_waiting
        self._note = note
        self.trouble = ""
        self._engine: JournalFile | JournalServer
        if isinstance(place, SharedDatabase):
            if counters is None:
                raise ValueError("a shared journal needs a folder for what this machine's servers accepted")
            self._engine = JournalServer(place, counters, most_waiting=most_waiting)
        else:
            self._engine = JournalFile(place, most_waiting=most_waiting, writer=writer, lock_timeout_s=lock_timeout_s)
        self.identity, self.lost, self.doubt = self._engine.identity, self._engine.lost, self._engine.doubt
        self._next = self._engine.first
        self._waiting: deque[Row] = deque()
        self._lock, self._disk = threading.Lock(), threading.Lock()
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._write_batches, name="journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that were accepted and are not on the disk yet."""
        return len(self._waiting)

    def paying(self) -> AbstractContextManager[Any]:
        """A turn in which a task is looked up and paid for: by one request at a time, of all servers'."""
        return self._engine.paying()

    def count_after(self, number: int) -> int:
        """Entries with a larger number that are on the disk."""
        with self._disk, self._engine.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM entries WHERE number > ?", [number]).fetchone()[0])

    def record(self, kind: str, documents: Sequence[Mapping[str, Any]], *, written_at: str) -> None:
        """Accept entries, all or none; they are written within 50 ms.

        Raises:
            JournalFullError: if too many wait, or the journal is closed.
        """
        caller = received()
        texts = [self._text({**document, **caller}) for document in documents]
        with self._lock:
            self._refuse_if_closed()
            if len(self._waiting) + len(texts) > self.most_waiting:
                raise JournalFullError(
                    f"{len(self._waiting)} predictions wait for {self.place}, at most {self.most_waiting} may: "
                    "is the disk full or slow?"
                )
            for text in texts:
                self._waiting.append((self._next, kind, None, written_at, text))
                self._next += 1
            self._engine.accept(self._next - 1)

    def write(
        self, kind: str, document: Mapping[str, Any], *, written_at: str, key: str | None = None
    ) -> dict[str, Any] | None:
        """Write an entry at once, and all that waits before it.

        Returns:
            None; or the document of the entry of the same kind and key that is there already, and stays as it is.

        Raises:
            sqlite3.Error, SharedDatabaseError: if it cannot be written; then it is not there.
            JournalFullError: if the journal is closed.
        """
        text = self._text({**document, **received()})
        # What is accepted meanwhile would take the number of an entry of a file; nothing waits for a database.
        with self._lock if self._engine.numbers_what_waits else nullcontext(), self._disk:
            self._refuse_if_closed()
            waiting = self._what_waits()
            with self._engine.writing(waiting, self._next) as batch:
                if key is not None and (earlier := _find(batch.connection, kind, key)) is not None:
                    return earlier
                # In the order in which they came: what is lost is counted from the last that is written.
                batch.put(waiting)
                if kind in chain.KINDS:
                    head = chain.head_of(batch.connection)
                    place = {"number": batch.number, "kind": kind, "key": key, "written_at": written_at}
                    text = self._text(chain.seal(json.loads(text), head, **place))  # type: ignore[arg-type]
                batch.append(kind, key, written_at, text)
                number = batch.number - 1
            for _ in waiting:
                self._waiting.popleft()
            if self._engine.numbers_what_waits:
                self._engine.accept(self._next)
                self._next += 1
            if self._note is not None and kind == "payout" and document.get("refused") is None:
                self._note_payment(self._note, number)
        return None

    def find(self, kind: str, key: str) -> dict[str, Any] | None:
        """The document of the entry with a key, or None."""
        with self._disk, self._engine.reading() as connection:
            return _find(connection, kind, key)

    def flush(self) -> None:
        """Write all that waits, in one transaction."""
        with self._disk:
            if waiting := self._what_waits():
                with self._engine.writing(waiting, waiting[-1][0] + 1) as batch:
                    batch.put(waiting)
                for _ in waiting:
                    self._waiting.popleft()

    def close(self) -> None:
        """Write all that waits, and stop; nothing is accepted afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            self._engine.close()

    def _note_payment(self, note: Path, number: int) -> None:
        try:
            note_payment(note, self.identity, number)
        except OSError as error:  # it was paid, and is in the journal
            log.error("the payment %d cannot be noted in %s: %s", number, note, error)

    def _what_waits(self) -> list[Row]:
        return [self._waiting[index] for index in range(len(self._waiting))]

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalFullError(f"the journal {self.place} is closed")

    def _text(self, document: Mapping[str, Any]) -> str:
        # A fifth of the time of the standard library's, and a batch has ten thousand.
        text = to_json(document).decode()
        return text if isinstance(self.place, Path) or "\\u0000" not in text else _NUL.sub(r"\1\\ufffd", text)

    def _write_batches(self) -> None:
        while not self._closed:
            self._wake.wait(_FLUSH_S)
            try:
                self.flush()
                self.trouble = ""
            except (sqlite3.Error, SharedDatabaseError) as error:  # nothing is dropped: what waits is tried again
                if not self.trouble:
                    log.error("the journal %s cannot be written: %s", self.place, error)
                self.trouble = str(error)


def _find(connection: Any, kind: str, key: str) -> dict[str, Any] | None:
    query = "SELECT CAST(document AS TEXT) FROM entries WHERE kind = ? AND key = ?"
    entry = connection.execute(query, [kind, key]).fetchone()
    return json.loads(entry[0]) if entry else None
