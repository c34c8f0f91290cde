"""SQLite files that threads and processes share: caches, spools, the journal.

Every one of them has a version (`PRAGMA user_version`): the number of schema scripts that it has been through.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.files import keep_private

log = logging.getLogger(__name__)

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_sqlite(
    path: Path,
    schema: Sequence[str],
    *,
    is_durable: bool = True,
    is_cache: bool = False,
    timeout_s: float = 60.0,
    **options: Any,
) -> sqlite3.Connection:
    """Open a file in WAL mode; it is created with its folder, and its tables are, by whoever comes first.

    Args:
        path: the file; any name that the file system takes.
        schema: scripts; the n-th takes a file from version n - 1 to n. The first must stand tables that exist
            already, since files from before they had a version are of version 0.
        is_durable: whether what is committed survives a power cut; it survives `kill -9` in any case.
        is_cache: whether all in it can be had again: a broken file is set aside then, and a new one begun.
        timeout_s: how long to wait for another's transaction.
        options: more for `sqlite3.connect`.

    Returns:
        A connection; the caller closes it.

    Raises:
        QcError: if the file was written by a newer version of this program.
        sqlite3.Error: if it cannot be written, or is no SQLite file.
    """
    options |= {"is_durable": is_durable, "timeout_s": timeout_s}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path, schema, **options)
    except sqlite3.DatabaseError as error:
        if not (is_cache and is_broken(error)):
            raise
    with FileLock(path.with_name(f"{path.name}.mending.lock")):
        try:
            return _open(path, schema, **options)  # somebody else has mended it
        except sqlite3.DatabaseError as error:
            log.warning("%s was broken (%s), and is %s now", path, error, set_aside(path))
            return _open(path, schema, **options)


def _open(
    path: Path, schema: Sequence[str], *, is_durable: bool, timeout_s: float, **options: Any
) -> sqlite3.Connection:
    keep_private(path)  # its companions get the mode that it has
    connection = sqlite3.connect(path, timeout=timeout_s, **options)
    try:
        _use_write_ahead_log(connection, timeout_s)
        connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        if _version(connection) != len(schema):
            _upgrade(connection, path, schema)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def sqlite_transaction(path: Path, schema: Sequence[str], **options: Any) -> Iterator[sqlite3.Connection]:
    """`open_sqlite` for one transaction: committed at the end of the block, rolled back if it raises."""
    with closing(open_sqlite(path, schema, **options)) as connection, connection:
        yield connection


def is_broken(error: sqlite3.DatabaseError) -> bool:
    """Whether a file is no database, or one that is damaged; not merely locked, read-only or full."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def set_aside(path: Path) -> Path:
    """Rename a broken file and forget what belongs to it; returns where it is now."""
    aside = path.with_name(f"{path.name}.broken-{now_utc():%Y%m%dT%H%M%S%f}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    return aside


@contextmanager
def existing_sqlite(path: Path, *, writable: bool = False, timeout_s: float = 30.0) -> Iterator[sqlite3.Connection]:
    """A file of another process as it is; nothing is created.

    Raises:
        sqlite3.OperationalError: if there is none.
    """
    # A path pasted into a URI would end at its first question mark.
    uri = f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    with closing(sqlite3.connect(uri, uri=True, timeout=timeout_s)) as connection:
        yield connection


def copy_sqlite(path: Path, target: Path) -> None:
    """Copy a file as it is at one moment, whoever writes to it meanwhile."""
    with existing_sqlite(path) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _use_write_ahead_log(connection: sqlite3.Connection, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The one statement for which SQLite does not wait itself: two processes may open a new file at once.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _upgrade(connection: sqlite3.Connection, path: Path, schema: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")  # whoever comes second waits here, and finds the work done
    with connection:
        version = _version(connection)
        if version > len(schema):
            raise QcError(f"{path} was written by a newer version of qc-assets: use that one, or move the file away")
        for script in schema[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(schema)}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit the transaction first.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"no semicolon at the end of {statement.strip()!r}")
