"""Reading a journal while the server writes it, and forgetting what is in the warehouse."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError
from qc_assets.serving import chain
from qc_assets.sqlite_files import existing_sqlite, is_broken

# What is known of one task is looked up by its name; a delivery is the only prediction that has a key.
TASK_NAME = "lower(json_extract(document, '$.task_id'))"
HAS_TASK = "(kind IN ('payout', 'outcome') OR (kind = 'prediction' AND key IS NOT NULL))"
_NAMES = ("number", "kind", "key", "written_at")


def identity(path: Path) -> str:
    """The journal's own name; a new file has another."""
    with _open(path) as connection:
        return connection.execute("SELECT journal FROM identity").fetchone()[0]


def count_lost(path: Path) -> int:
    """Entries that crashes lost, in all."""
    with _open(path) as connection:
        return connection.execute("SELECT coalesce(sum(entries), 0) FROM losses").fetchone()[0]


def broken_links(path: Path) -> list[str]:
    """Where the chain of entries about money does not hold; see `chain`."""
    with _open(path) as connection:
        return chain.unsound_links(connection)


def doubts(path: Path) -> list[str]:
    """Why it is not known what was lost, each with its time (UTC)."""
    with _open(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'doubts'").fetchone():
            return []  # the server of this version has not opened it yet
        return [f"{at}: {doubt}" for at, doubt in connection.execute("SELECT noted_at, doubt FROM doubts")]


def has_entry(path: Path, number: int) -> bool:
    """Whether an entry is there."""
    with _open(path) as connection:
        return connection.execute("SELECT 1 FROM entries WHERE number = ?", [number]).fetchone() is not None


def note_doubt(path: Path, doubt: str) -> None:
    """Write down, once, why it is not known what was lost."""
    with _open(path, writable=True) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS doubts (noted_at TEXT NOT NULL, doubt TEXT NOT NULL)")
        connection.execute(
            "INSERT INTO doubts SELECT datetime('now'), ?1 WHERE NOT EXISTS (SELECT 1 FROM doubts WHERE doubt = ?1)",
            [doubt],
        )


def entries_after(path: Path, after: int, kinds: Sequence[str], limit: int = 50_000) -> list[dict[str, Any]]:
    """Entries with a number above `after`, in their order: number, kind, key, written_at, document."""
    return entries_where(
        path, f"number > ? AND kind IN ({_marks(kinds)}) ORDER BY number LIMIT ?", [after, *kinds, limit]
    )


def latest(path: Path, kinds: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """The newest entries, newest first."""
    return entries_where(path, f"kind IN ({_marks(kinds)}) ORDER BY number DESC LIMIT ?", [*kinds, limit])


def of_task(path: Path, kind: str, task_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Payouts, outcomes or deliveries about a task by any of its names in lower case, oldest first."""
    condition = f"{TASK_NAME} IN ({_marks(task_ids)}) AND {HAS_TASK} AND kind = ? ORDER BY number"
    return entries_where(path, condition, [*task_ids, kind])


def outcome_key(task_id: str, repo_id: int, number: int) -> str:
    """How the keys of outcomes of a pull request begin: by ids, as a repository may be renamed, where there are any."""
    return f"{repo_id}:{number}:" if repo_id else f"{task_id}:"


def outcomes_of(path: Path, task_ids: Sequence[str], repo_id: int, number: int) -> list[dict[str, Any]]:
    """Outcomes of a pull request by its ids, and by any of its names in lower case."""
    by_name = of_task(path, "outcome", task_ids)
    if not repo_id:
        return by_name
    start = outcome_key("", repo_id, number)
    by_id = entries_where(path, "kind = 'outcome' AND key >= ? AND key < ?", [start, f"{start[:-1]};"])
    return list({entry["number"]: entry for entry in (*by_name, *by_id)}.values())


def forget(path: Path, up_to: int, before: str) -> int:
    """Delete predictions before a number that were written before an instant; returns how many.

    What has a key stays, as does the last entry: a delivery or payout that comes again is known, and numbers go on.
    """
    with _open(path, writable=True) as connection:
        deleted = connection.execute(
            "DELETE FROM entries WHERE kind = 'prediction' AND key IS NULL AND number < ? AND written_at < ? "
            "AND number < (SELECT max(number) FROM entries)",
            [up_to, before],
        )
        connection.commit()
        return deleted.rowcount


def entries_where(path: Path, condition: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Entries that a condition in SQL chooses; whatever comes from outside is a parameter of it."""
    with _open(path) as connection:
        rows = connection.execute(
            f"SELECT number, kind, key, written_at, document FROM entries WHERE {condition}", parameters
        ).fetchall()
    return [dict(zip(_NAMES, row[:4], strict=True)) | {"document": json.loads(row[4])} for row in rows]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


@contextmanager
def _open(path: Path, *, writable: bool = False) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise QcError(f"no journal {path}: `qc serve` writes it")
    try:
        with existing_sqlite(path, writable=writable) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        raise QcError(f"the journal {path} is broken ({error}): start `qc serve`, which sets it aside") from error
