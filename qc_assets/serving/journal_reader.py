"""Reading a journal while the server writes it, and forgetting what is in the warehouse."""

import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.serving import chain
from qc_assets.serving.acceptance import last_written
from qc_assets.shared_database import SharedDatabase
from qc_assets.sqlite_files import existing_sqlite, is_broken

# What is known of one task is looked up by its name; a delivery is the only prediction that has a key.
TASK_NAME = "lower(json_extract(document, '$.task_id'))"
HAS_TASK = "(kind IN ('payout', 'outcome') OR (kind = 'prediction' AND key IS NOT NULL))"
Place = Path | SharedDatabase
"""Where a journal is: the file of one server, or the database of many."""
REMOVED = "entries {first} to {last} were written and are in neither journal nor warehouse: somebody removed them"
_NAMES = ("number", "kind", "key", "written_at")


@cache
def shared_schema() -> str:
    """The statements that make the tables of a journal in PostgreSQL."""
    return Path(__file__).with_name("shared_journal.sql").read_text(encoding="utf-8")


def exists(place: Place) -> bool:
    """Whether a server has written one; a database is made by whoever asks first."""
    return isinstance(place, SharedDatabase) or place.exists()


def identity(place: Place) -> str:
    """The journal's own name; a new file has another."""
    with _open(place) as connection:
        if isinstance(place, SharedDatabase):  # whoever asks first may be no server
            return identified(connection)
        return connection.execute("SELECT journal FROM identity").fetchone()[0]


def identified(connection: Any) -> str:
    """The journal's own name, given to it if it has none."""
    connection.execute("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", [uuid.uuid4().hex])
    return str(connection.execute("SELECT journal FROM identity").fetchone()[0])


def count_lost(place: Place) -> int:
    """Entries that crashes lost, in all."""
    with _open(place) as connection:
        return int(connection.execute("SELECT coalesce(sum(entries), 0) FROM losses").fetchone()[0])


def broken_links(place: Place) -> list[str]:
    """Where the chain of entries about money does not hold; see `chain`."""
    with _open(place, takes_any_bytes=True) as connection:
        return chain.unsound_links(connection)


def money_entries(place: Place) -> list[dict[str, Any]]:
    """Entries about money as `entries_after` has them, but for those that `broken_links` cannot read."""
    with _open(place, takes_any_bytes=True) as connection:
        return [dict(zip((*_NAMES, "document"), link, strict=True)) for link in chain.readable_links(connection)]


def missing_entries(place: Place, after: int) -> list[tuple[int, int]]:
    """First and last of what a journal wrote and does not have, behind a number that it has had.

    Numbers of a file, and positions of a database, whose numbers have gaps. Before that only what was imported is
    missing, see `forget`. What a kill lost was never written: `count_lost` tells it.
    """
    return _missing_positions(place, after) if isinstance(place, SharedDatabase) else _missing_numbers(place, after)


def _missing_positions(database: SharedDatabase, after: int) -> list[tuple[int, int]]:
    with _open(database) as connection:
        after = max(after, _forgotten_up_to(connection))
        # First: what is written meanwhile lies behind it.
        (tail,) = connection.execute("SELECT position FROM tail").fetchone()
        steps = connection.execute(_STEPS_OF_POSITIONS, [after]).fetchall()
        (last,) = connection.execute("SELECT coalesce(max(position), 0) FROM entries").fetchone()
    gaps = [(before + 1, position - 1) for before, position in steps]
    return gaps + ([(last + 1, tail)] if tail > last else [])


def _missing_numbers(place: Path, after: int) -> list[tuple[int, int]]:
    with _open(place) as connection:
        if not _has_table(connection, "sessions"):
            return []  # the server of this version has not opened it yet
        after = max(after, _forgotten_up_to(connection) if _has_table(connection, "forgotten") else 0)
        has = connection.execute("SELECT max(number), count(*) FROM entries WHERE number > ?", [after]).fetchone()
        steps = connection.execute(_STEPS, [after]).fetchall()
        firsts = [first for (first,) in connection.execute("SELECT first FROM sessions ORDER BY first")]
        lost = connection.execute("SELECT up_to - entries + 1, up_to FROM losses").fetchall()
    counter = last_written(place.with_name(f"{place.name}.accepted"))
    last = max(has[0] or 0, after)
    if counter is not None and counter[0] in firsts and counter[1] > last:
        steps.append((last, counter[1] + 1))
    gaps = []
    for before, number in steps:
        # A process begins anew, behind all numbers of before.
        begun = max([first for first in firsts if before < first <= number], default=before + 1)
        if begun < number and (begun, number - 1) not in lost:
            gaps.append((begun, number - 1))
    return gaps


def doubts(place: Place) -> list[str]:
    """Why it is not known what was lost, each with its time (UTC)."""
    with _open(place) as connection:
        if isinstance(place, Path) and not _has_table(connection, "doubts"):
            return []  # the server of this version has not opened it yet
        return [f"{at}: {doubt}" for at, doubt in connection.execute("SELECT noted_at, doubt FROM doubts")]


def has_entry(place: Place, number: int) -> bool:
    """Whether an entry is there."""
    with _open(place) as connection:
        return connection.execute("SELECT 1 FROM entries WHERE number = ?", [number]).fetchone() is not None


def note_doubt(place: Place, doubt: str) -> None:
    """Write down, once, why it is not known what was lost."""
    with _open(place, writable=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS doubts (noted_at TEXT NOT NULL, doubt TEXT NOT NULL)")
        connection.execute(
            "INSERT INTO doubts SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM doubts WHERE doubt = ?2)",
            [f"{now_utc():%Y-%m-%d %H:%M:%S}", doubt],
        )


def entries_after(place: Place, after: int, kinds: Sequence[str], limit: int = 50_000) -> list[dict[str, Any]]:
    """Entries with a number above `after`, in their order: number, kind, key, written_at, document."""
    return entries_where(
        place, f"number > ? AND kind IN ({_marks(kinds)}) ORDER BY number LIMIT ?", [after, *kinds, limit]
    )


def latest(place: Place, kinds: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """The newest entries, newest first."""
    return entries_where(place, f"kind IN ({_marks(kinds)}) ORDER BY number DESC LIMIT ?", [*kinds, limit])


def of_task(place: Place, kind: str, task_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Payouts, outcomes or deliveries about a task by any of its names in lower case, oldest first."""
    condition = f"{TASK_NAME} IN ({_marks(task_ids)}) AND {HAS_TASK} AND kind = ? ORDER BY number"
    return entries_where(place, condition, [*task_ids, kind])


def outcome_key(task_id: str, repo_id: int, number: int) -> str:
    """How the keys of outcomes of a pull request begin: by ids, as a repository may be renamed, where there are any."""
    return f"{repo_id}:{number}:" if repo_id else f"{task_id}:"


def outcomes_of(place: Place, task_ids: Sequence[str], repo_id: int, number: int) -> list[dict[str, Any]]:
    """Outcomes of a pull request by its ids, and by any of its names in lower case."""
    by_name = of_task(place, "outcome", task_ids)
    if not repo_id:
        return by_name
    start = outcome_key("", repo_id, number)
    by_id = entries_where(place, "kind = 'outcome' AND key >= ? AND key < ?", [start, f"{start[:-1]};"])
    return list({entry["number"]: entry for entry in (*by_name, *by_id)}.values())


def forget(place: Place, up_to: int, before: str) -> int:
    """Delete predictions before a number that were written before an instant; returns how many.

    What has a key stays, as does the last entry: a delivery or payout that comes again is known, and numbers go on.
    """
    with _open(place, writable=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS forgotten (up_to BIGINT NOT NULL)")
        old = (
            "FROM entries WHERE kind = 'prediction' AND key IS NULL AND number < ? AND written_at < ? "
            "AND number < (SELECT max(number) FROM entries)"
        )
        # That they are missing tells nothing then, also to a warehouse that has none of them.
        last = f"INSERT INTO forgotten SELECT max(number) {old} HAVING count(*) > 0"
        connection.execute(last, [up_to, before])
        return connection.execute(f"DELETE {old}", [up_to, before]).rowcount


def _has_table(connection: Any, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone() is not None


def _forgotten_up_to(connection: Any) -> int:
    return int(connection.execute("SELECT coalesce(max(up_to), 0) FROM forgotten").fetchone()[0])


def entries_where(place: Place, condition: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Entries that a condition in SQL chooses; whatever comes from outside is a parameter of it."""
    with _open(place) as connection:
        rows = connection.execute(
            f"SELECT number, kind, key, written_at, CAST(document AS TEXT) FROM entries WHERE {condition}", parameters
        ).fetchall()
    return [dict(zip(_NAMES, row[:4], strict=True)) | {"document": json.loads(row[4])} for row in rows]


_STEPS = """
SELECT before, number FROM (
    SELECT number, coalesce(lag(number) OVER (ORDER BY number), ?1) AS before FROM entries WHERE number > ?1
) AS steps WHERE number > before + 1
"""
_STEPS_OF_POSITIONS = """
SELECT before, position FROM (
    SELECT
        number,
        position,
        coalesce(lag(position) OVER (ORDER BY number), CASE WHEN ?1 = 0 THEN 0 ELSE position - 1 END) AS before
    FROM entries
    WHERE position IS NOT NULL AND (number >= ?1 OR ?1 = 0)
) AS steps
WHERE position > before + 1
"""


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


@contextmanager
def _open(place: Place, *, writable: bool = False, takes_any_bytes: bool = False) -> Iterator[Any]:
    """A connection for one transaction; it takes the statements that SQLite takes.

    With `takes_any_bytes` a text of a file need not be UTF-8.
    """
    if isinstance(place, SharedDatabase):
        with place.transaction(shared_schema()) as shared:
            yield shared
        return
    if not place.exists():
        raise QcError(f"no journal {place}: `qc serve` writes it")
    try:
        with existing_sqlite(place, writable=writable) as connection, connection:
            if takes_any_bytes:
                connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            yield connection
    except sqlite3.DatabaseError as error:
        if not is_broken(error):
            raise
        raise QcError(
            f"the journal {place} is broken ({error}): start `qc serve` without QC_JOURNAL, which sets it aside"
        ) from error
