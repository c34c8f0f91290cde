"""What is to be shown on pull requests, until it is: one row a pull request, in a SQLite file that processes share."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from qc_assets.sqlite_files import sqlite_transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    task TEXT PRIMARY KEY, repo TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, sha TEXT NOT NULL,
    title TEXT NOT NULL, text TEXT NOT NULL, wanted_at TEXT NOT NULL, due_at TEXT, tries INTEGER NOT NULL,
    trouble TEXT NOT NULL, shown INTEGER, shown_at TEXT
);
"""
_COLUMNS = "repo, number, kind, sha, title, text, wanted_at, due_at, tries, trouble, shown, shown_at"
_FIRST_WAIT, _LONGEST_WAIT, _PATIENCE = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class OutgoingNote:
    """One note.

    Attributes:
        repo, number: where, ``owner/name`` as it is listed.
        kind: comment or check_run.
        sha: head commit, for a check run; empty for a comment.
        title, text: what.
        wanted_at: since when it is to be shown (UTC).
        due_at: when it is tried next; None if it is shown, or given up.
        tries: how often it failed.
        trouble: why it is not shown; empty if it is, or was not tried yet.
        shown, shown_at: the comment or check run that shows it, or what was wanted before it.
    """

    repo: str
    number: int
    kind: str
    sha: str
    title: str
    text: str
    wanted_at: datetime
    due_at: datetime | None = None
    tries: int = 0
    trouble: str = ""
    shown: int | None = None
    shown_at: datetime | None = None

    @property
    def task(self) -> str:
        """Its key: letter case of names means nothing."""
        return f"{self.repo}#{self.number}".lower()

    @property
    def is_shown(self) -> bool:
        """Whether this, and not only something before it, is there."""
        return self.due_at is None and not self.trouble

    def failed(self, why: str, now: datetime, *, is_final: bool) -> "OutgoingNote":
        """The note after a try that failed: later ones wait longer, for a day in all."""
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self.tries, 10))
        is_over = is_final or now + wait > self.wanted_at + _PATIENCE
        return replace(self, tries=self.tries + 1, trouble=why, due_at=None if is_over else now + wait)


class Outbox:
    """The file.

    Args:
        path: made with its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with sqlite_transaction(self.path, [_SCHEMA], is_durable=True, is_cache=False) as connection:
            yield connection

    def want(self, note: OutgoingNote) -> OutgoingNote:
        """Take a note in; what is shown already with the same words stays as it is.

        Returns:
            The note as the file has it now.
        """
        with self._open() as connection:
            before = _of(connection, note.task)
            if before is not None:
                same = ("kind", "sha", "title", "text")
                if before.is_shown and all(getattr(before, name) == getattr(note, name) for name in same):
                    return before
                if before.kind == note.kind:
                    note = replace(note, shown=before.shown, shown_at=before.shown_at)
            outgoing = replace(note, due_at=note.wanted_at, tries=0, trouble="")
            _write(connection, outgoing)
            return outgoing

    def save(self, note: OutgoingNote) -> None:
        """Write what became of a note, unless another was wanted in its place meanwhile."""
        with self._open() as connection:
            before = _of(connection, note.task)
            if before is None or before.wanted_at == note.wanted_at:
                _write(connection, note)

    def of(self, task: str) -> OutgoingNote | None:
        """The note of a pull request (``owner/name#number``), or None."""
        with self._open() as connection:
            return _of(connection, task.lower())

    def due(self, now: datetime) -> list[OutgoingNote]:
        """Notes to be tried now, the oldest first; what has waited for over a day would surprise people."""
        begun = (now - _PATIENCE).isoformat()
        return self._where("due_at <= ? AND wanted_at > ? ORDER BY due_at LIMIT 100", now.isoformat(), begun)

    def in_trouble(self, since: datetime) -> list[OutgoingNote]:
        """Notes that could not be shown and were wanted since then, the newest first."""
        return self._where("trouble != '' AND wanted_at >= ? ORDER BY wanted_at DESC", since.isoformat())

    def _where(self, condition: str, *instants: str) -> list[OutgoingNote]:
        with self._open() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM notes WHERE {condition}", instants).fetchall()
        return [_read(row) for row in rows]


def outbox_file(journal: Path) -> Path:
    """Where the outbox of a home lies: beside the journal."""
    return journal.with_name("notes.db")


def _of(connection: sqlite3.Connection, task: str) -> OutgoingNote | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM notes WHERE task = ?", [task]).fetchone()
    return None if row is None else _read(row)


def _write(connection: sqlite3.Connection, note: OutgoingNote) -> None:
    values = [getattr(note, name) for name in _COLUMNS.split(", ")]
    told = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    connection.execute(
        f"INSERT OR REPLACE INTO notes (task, {_COLUMNS}) VALUES ({', '.join('?' * 13)})", [note.task, *told]
    )


def _read(row: tuple[object, ...]) -> OutgoingNote:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("wanted_at", "due_at", "shown_at"):
        values[name] = datetime.fromisoformat(str(values[name])) if values[name] else None
    return OutgoingNote(**values)  # type: ignore[arg-type]
