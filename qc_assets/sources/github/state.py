"""What the GitHub source must remember between processes: work under way, page sizes, and budgets.

A SQLite file under `QC_HOME`. A page and the cursor behind it are one row, so that a process killed at any moment
loses the request it was waiting for and nothing else. Work is dropped once the warehouse has it.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from qc_assets.errors import SourceError
from qc_assets.shared_database import SharedDatabase
from qc_assets.sqlite_files import open_sqlite

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plans (plan TEXT PRIMARY KEY, made_at TEXT NOT NULL, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
    plan TEXT NOT NULL, unit TEXT NOT NULL, step INTEGER NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (plan, unit, step)
);
CREATE TABLE IF NOT EXISTS page_sizes (
    repo TEXT NOT NULL, operation TEXT NOT NULL, size INTEGER NOT NULL, clean INTEGER NOT NULL,
    PRIMARY KEY (repo, operation)
);
CREATE TABLE IF NOT EXISTS opened_files (item TEXT PRIMARY KEY, document BLOB NOT NULL);
"""
_BUDGETS = """
CREATE TABLE IF NOT EXISTS budgets (
    identity TEXT PRIMARY KEY, remaining INTEGER, quota INTEGER, reset_at TEXT, blocked_until TEXT, strikes INTEGER
);
"""


@dataclass(frozen=True)
class Budget:
    """What is known of an identity's limits.

    Attributes:
        remaining, quota: points left and points an hour; None until an answer has said so.
        reset_at: when `remaining` becomes `quota` again (naive UTC).
        blocked_until: not to be used before (naive UTC).
        strikes: secondary limits in a row.
    """

    remaining: int | None = None
    quota: int | None = None
    reset_at: datetime | None = None
    blocked_until: datetime | None = None
    strikes: int = 0


class State:
    """The file. Safe under many threads and processes.

    Args:
        path: the SQLite file; created with its folder.
        shared: where budgets are kept instead, for all machines that have the same tokens.
    """

    def __init__(self, path: Path, shared: SharedDatabase | None = None) -> None:
        self.path = path
        self._shared = shared
        # To open the file for each answer, and to fold its log in when it is closed, took a third of all reading.
        self._of_thread = threading.local()
        with self._open():
            pass  # says at once if the file cannot be written

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connection()
            with connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise SourceError(
                f"{self.path} cannot be written ({error}): free some space or mend its permissions, "
                "then run the same command again; it goes on where it stopped"
            ) from error

    def _budgets(self) -> AbstractContextManager[Any]:
        return self._shared.transaction(_BUDGETS) if self._shared else self._open()

    def _connection(self) -> sqlite3.Connection:
        """This thread's, opened anew if the file is another."""
        inode = self.path.stat().st_ino if self.path.exists() else None
        if inode is None or getattr(self._of_thread, "inode", None) != inode:
            self._of_thread.connection = open_sqlite(self.path, [_SCHEMA + _BUDGETS], is_durable=False, is_cache=True)
            self._of_thread.inode = self.path.stat().st_ino
        return self._of_thread.connection

    def plan(self, key: str) -> Any:
        """The plan under `key`, or None."""
        with self._open() as connection:
            row = connection.execute("SELECT document FROM plans WHERE plan = ?", [key]).fetchone()
        return None if row is None else _unpack(row[0])

    def save_plan(self, key: str, plan: Any, now: datetime) -> None:
        """Remember a plan; plans of over a week ago, and their steps, are forgotten."""
        old = (now - timedelta(days=7)).isoformat()
        with self._open() as connection:
            connection.execute("DELETE FROM steps WHERE plan IN (SELECT plan FROM plans WHERE made_at < ?)", [old])
            connection.execute("DELETE FROM plans WHERE made_at < ?", [old])
            connection.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", [key, now.isoformat(), _pack(plan)])

    def drop_plan(self, key: str) -> None:
        """Forget a plan and its steps."""
        with self._open() as connection:
            connection.execute("DELETE FROM steps WHERE plan = ?", [key])
            connection.execute("DELETE FROM plans WHERE plan = ?", [key])

    def steps(self, plan: str, unit: str) -> list[Any]:
        """What has been fetched of a unit, in order."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT document FROM steps WHERE plan = ? AND unit = ? ORDER BY step", [plan, unit]
            ).fetchall()
        return [_unpack(row[0]) for row in rows]

    def add_step(self, plan: str, unit: str, step: int, document: Any) -> None:
        """Remember one answer and the cursor behind it."""
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", [plan, unit, step, _pack(document)])

    def opened_files(self, item: str) -> list[Any] | None:
        """The files of a pull request's opening, by its node id; None if they have not been read."""
        with self._open() as connection:
            row = connection.execute("SELECT document FROM opened_files WHERE item = ?", [item]).fetchone()
        return None if row is None else list(_unpack(row[0]))

    def save_opened_files(self, item: str, files: Sequence[Any]) -> None:
        """Remember the files of an opening, which do not change any more."""
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO opened_files VALUES (?, ?)", [item, _pack(list(files))])

    def page_size(self, repo: str, operation: str) -> tuple[int, int] | None:
        """The page size that a repository was last seen to stand, and the pages without trouble since."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT size, clean FROM page_sizes WHERE repo = ? AND operation = ?", [repo, operation]
            ).fetchone()
        return None if row is None else (int(row[0]), int(row[1]))

    def save_page_size(self, repo: str, operation: str, size: int, clean: int) -> None:
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO page_sizes VALUES (?, ?, ?, ?)", [repo, operation, size, clean])

    def budget(self, identity: str) -> Budget:
        """What is known of an identity's limits."""
        with self._budgets() as connection:
            row = connection.execute(
                "SELECT remaining, quota, reset_at, blocked_until, strikes FROM budgets WHERE identity = ?", [identity]
            ).fetchone()
        if row is None:
            return Budget()
        reset_at, blocked_until = (datetime.fromisoformat(text) if text else None for text in row[2:4])
        return Budget(row[0], row[1], reset_at, blocked_until, row[4])

    def save_budget(self, identity: str, budget: Budget) -> None:
        times = [time.isoformat() if time else None for time in (budget.reset_at, budget.blocked_until)]
        names = ("remaining", "quota", "reset_at", "blocked_until", "strikes")
        newer = ", ".join(f"{name} = excluded.{name}" for name in names)
        with self._budgets() as connection:
            connection.execute(
                f"INSERT INTO budgets VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (identity) DO UPDATE SET {newer}",
                [identity, budget.remaining, budget.quota, *times, budget.strikes],
            )


class UnitSteps:
    """The answers that one unit of a plan has got so far, in their order.

    Args:
        state: where they are remembered.
        plan, unit: whose they are.
    """

    def __init__(self, state: State, plan: str, unit: str) -> None:
        self.state, self.plan, self.unit = state, plan, unit
        self.count = 0

    def replay(self) -> list[dict[str, Any]]:
        """Those of an earlier process; the next one is added behind them."""
        steps = self.state.steps(self.plan, self.unit)
        self.count = len(steps)
        return steps

    def add(self, step: Mapping[str, Any]) -> None:
        """Remember the next answer."""
        self.state.add_step(self.plan, self.unit, self.count, step)
        self.count += 1


def _pack(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode(), 1)


def _unpack(blob: bytes) -> Any:
    return json.loads(zlib.decompress(blob))
