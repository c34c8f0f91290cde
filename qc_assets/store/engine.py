"""How a kind of warehouse is opened, and how one writer at a time is let in; the kind that is a DuckDB file."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

from qc_assets.errors import QcError, WarehouseBusyError
from qc_assets.files import changed_when
from qc_assets.lake_place import WarehousePlace
from qc_assets.store.connections import connect_locked, prepared, when_free
from qc_assets.store.copies import copy_before_migration
from qc_assets.store.staging import process_folder

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True)
class Means:
    """What a connection may take.

    Attributes:
        staging: folder for staged Parquet and for what DuckDB spills.
        lock_timeout_s: seconds to wait while somebody else writes.
        memory_limit: DuckDB's memory limit for one connection, such as ``2GiB``.
        threads: DuckDB's threads; None means all cores.
    """

    staging: Path
    lock_timeout_s: float = 300.0
    memory_limit: str = "2GiB"
    threads: int | None = None

    def config(self) -> dict[str, str]:
        """DuckDB's settings."""
        spill = process_folder(self.staging) / "spill"
        config = {"memory_limit": self.memory_limit, "temp_directory": str(spill)}
        return config | ({"threads": str(self.threads)} if self.threads else {})


class Opening(Protocol):
    """What a warehouse is opened by, as it stands in settings and in Dagster's resource."""

    warehouse: str
    staging: str
    lock_timeout_s: float
    memory_limit: str
    threads: int | None
    forges: dict[str, str]


class StoreEngine(Protocol):
    """A kind of warehouse at one place."""

    @property
    def place(self) -> WarehousePlace:
        """Where it lies."""

    def exists(self) -> bool:
        """Whether anything has been written yet."""

    def stamp(self) -> tuple[int, ...]:
        """Another answer than before means that something was written; empty if there is nothing."""

    def open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """A connection on which nothing is forbidden but, perhaps, to write."""

    def open_locked(self) -> duckdb.DuckDBPyConnection:
        """A connection that reads the warehouse as it is now, and what is staged, and nothing else."""

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Close a connection of `open` or `open_locked`."""

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Let a connection read the warehouse by a name."""

    def turn(self) -> AbstractContextManager[Callable[[], None]]:
        """Nobody else writes meanwhile; what it gives raises an error if that has ceased to be so."""

    def explained(self) -> AbstractContextManager[None]:
        """What a server's absence raises says so."""

    def copy_of_before(self, connection: duckdb.DuckDBPyConnection) -> Path | None:
        """A copy of the file beside it, where that is the way back."""


class FileEngine:
    """A DuckDB file, which one process has at a time."""

    def __init__(self, place: Path, means: Means) -> None:
        if "?" in str(place.resolve()):  # its log would lie where the path ends before the mark
            raise QcError(f"{place}: DuckDB cannot write where a path has a question mark; set QC_WAREHOUSE elsewhere")
        self.place = place
        self.means = means

    def exists(self) -> bool:
        return self.place.exists()

    def stamp(self) -> tuple[int, ...]:
        return changed_when([self.place])

    def open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        config = self.means.config()
        return prepared(self._when_free(duckdb.connect, str(self.place), read_only=read_only, config=config))

    def open_locked(self) -> duckdb.DuckDBPyConnection:
        connection = self._when_free(connect_locked, self.place, self.means.staging, self.means.config())
        assert isinstance(connection, duckdb.DuckDBPyConnection)
        return connection

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.close()

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        path = str(self.place).replace("'", "''")
        self._when_free(connection.execute, f"ATTACH '{path}' AS {name} (READ_ONLY)")

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        self.place.parent.mkdir(parents=True, exist_ok=True)
        # DuckDB lets threads of one process write side by side, and then fails the slower one's commit.
        turn, wait_s = _turns[str(self.place)], self.means.lock_timeout_s
        if not turn.acquire(timeout=wait_s):
            raise WarehouseBusyError(f"another thread has been writing {self.place} for {wait_s:.0f} s")
        try:
            yield lambda: None  # the file's own lock holds as long as it is open
        finally:
            turn.release()

    @contextmanager
    def explained(self) -> Iterator[None]:
        yield

    def copy_of_before(self, connection: duckdb.DuckDBPyConnection) -> Path | None:
        return copy_before_migration(connection, self.place)

    def _when_free(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return when_free(self.place, self.means.lock_timeout_s, act, *arguments, **options)
