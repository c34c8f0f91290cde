"""A warehouse in a DuckLake: many read it at once, and one at a time writes, under a lock that is no part of the lake.

The lock is taken before the lake is attached, in a session of its own: what its own connection sees was fixed when its
transaction began. DuckLake itself refuses to commit onto a snapshot that it has not seen (no retries), so that a lock
that was lost shows as an error and not as a row that is there twice.
"""

import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from qc_assets.errors import QcError, WarehouseAwayError, WarehouseBusyError
from qc_assets.files import changed_when
from qc_assets.lake_place import LakePlace
from qc_assets.locks import acquire_lock
from qc_assets.store.connections import lock_to, prepared, when_free, with_short_names
from qc_assets.store.engine import Means
from qc_assets.store.lake_errors import refusal_in, wrong_place
from qc_assets.store.lake_extensions import bucket_secret, load_extension, package_for
from qc_assets.store.lake_folder import claim_folder, make_folder

_CATALOG = "warehouse"
_AWAY = re.compile(
    r"connection to server|closed the connection|connection refused|terminating connection|unable to connect|"
    r"no connection to|could not (?:connect|establish)|Failed to execute query \"ROLLBACK\"|SSL SYSCALL|starting up|"
    r"Could not connect to server|curl|IO Error: .*HTTP|from DuckLake: Current transaction is aborted",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"HTTP (?:code )?40[13]\b|AccessDenied|SignatureDoesNotMatch")
_NO_LAKE = re.compile(r"Existing DuckLake at .* does not exist")
_RECONNECT_S = 20.0
# Any number: one lock in each database, since a database has one lake.
_LOCK = zlib.crc32(b"qc-assets: who writes the warehouse")

_roots: dict[tuple[object, ...], duckdb.DuckDBPyConnection] = {}
_making = threading.Lock()
_claimed: set[LakePlace] = set()


class LakeEngine:
    """A DuckLake with its catalogue in PostgreSQL, SQLite or a DuckDB file."""

    def __init__(self, place: LakePlace, means: Means) -> None:
        self.place = place
        self.means = means

    def exists(self) -> bool:
        if self.place.file is not None and not self.place.file.exists():
            return False
        with self.explained():
            try:
                self._connected(read_only=True, locked=True).close()
            except duckdb.InvalidInputException as error:
                if _NO_LAKE.search(str(error)):
                    return False
                raise
        return True

    def stamp(self) -> tuple[int, ...]:
        if self.place.catalogue == "duckdb":
            return changed_when([Path(self.place.where)])
        if not self.exists():
            return ()
        with self.explained(), closing(self._connected(read_only=True, locked=True)) as connection:
            # A lake that was made anew counts from one again, at other times.
            newest = f"FROM {_CATALOG}.snapshots() ORDER BY snapshot_id DESC LIMIT 1"
            (row,) = connection.execute(f"SELECT snapshot_id, epoch_us(snapshot_time) {newest}").fetchall()
            return int(row[0]), int(row[1])

    def open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        return prepared(self._connected(read_only=read_only, locked=False))

    def open_locked(self) -> duckdb.DuckDBPyConnection:
        connection = self._connected(read_only=True, locked=True)
        connection.begin()  # all that it is asked is answered from one snapshot
        return with_short_names(connection)

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        # A transaction that is left open is rolled back by a destructor, which ends the process if the server is gone.
        with suppress(duckdb.Error):
            connection.rollback()
        connection.close()

    def attach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        with self.explained():
            self._prepare(connection)
            self._attach(connection, name, read_only=True)

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        if self.place.file is None:
            with self._turn_by_server() as check:
                self._claim()
                yield check
            return
        file = self.place.file
        lock = acquire_lock(file.with_name(f"{file.name}.writing.lock"), timeout_s=self.means.lock_timeout_s)
        if lock is None:
            raise WarehouseBusyError(f"somebody has been writing {self.place} for {self.means.lock_timeout_s:.0f} s")
        try:
            if self.place.catalogue == "sqlite" and not file.exists():
                with closing(sqlite3.connect(file)) as catalogue:  # so that readers do not keep the writer out
                    catalogue.execute("PRAGMA journal_mode = WAL")
            self._claim()
            yield lambda: None  # the lock is this process's as long as it lives
        finally:
            lock.release()

    @contextmanager
    def reaching(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reaches the folder, and knows of no lake."""
        with self.explained(), closing(self._instance()) as connection:
            self._let_reach_folder(connection)
            yield connection

    def _claim(self) -> None:
        if self.place in _claimed:
            return
        with self.reaching() as connection:
            claim_folder(connection, self.place, self._newest)
        _claimed.add(self.place)

    def _newest(self) -> int:
        if not self.exists():
            return -1
        with self.explained(), closing(self._connected(read_only=True, locked=True)) as connection:
            return int(connection.execute(f"SELECT max(snapshot_id) FROM {_CATALOG}.snapshots()").fetchall()[0][0])

    @contextmanager
    def _turn_by_server(self) -> Iterator[Callable[[], None]]:
        psycopg2 = package_for("psycopg2")
        try:
            session = self._while_it_starts(
                lambda: psycopg2.connect(self.place.where, connect_timeout=10, keepalives_idle=30, keepalives_count=3)
            )
        except psycopg2.Error as error:
            raise self._away(error) from error
        with closing(session):
            session.autocommit = True
            with closing(session.cursor()) as cursor:
                try:
                    cursor.execute(
                        "SELECT set_config('lock_timeout', %s, false)", [f"{self.means.lock_timeout_s:.3f}s"]
                    )
                    cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
                except psycopg2.errors.LockNotAvailable as error:
                    raise WarehouseBusyError(
                        f"somebody has been writing {self.place} for {self.means.lock_timeout_s:.0f} s: wait for that "
                        "run to end, or raise QC_LOCK_TIMEOUT_S"
                    ) from error
                except psycopg2.Error as error:
                    raise self._away(error) from error

                def check() -> None:
                    try:
                        cursor.execute("SELECT 1")
                    except psycopg2.Error as error:
                        raise self._away(error) from error

                yield check

    @contextmanager
    def explained(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            text = str(error)
            if _REFUSED.search(text):
                self.forget()
                raise QcError(
                    f"the bucket of {self.place} refuses these keys: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
                    "and AWS_REGION, and what they may do there (docs/lake.md); nothing was written"
                ) from error
            # First, as a connection that is lost while the catalogue is read does not make the catalogue a broken one.
            if _AWAY.search(text) or refusal_in(text):
                self.forget()
                raise self._away(error) from error
            if wrong := wrong_place(text):
                raise QcError(f"{self.place}: {wrong}") from error
            raise

    def copy_of_before(self, connection: duckdb.DuckDBPyConnection) -> Path | None:
        return None  # the snapshot before it stays, until it is expired

    def forget(self) -> None:
        """Close the connections to this lake that this process keeps; those in use stay open."""
        with _making:
            for key in [key for key in _roots if key[1] == self.place]:
                _roots.pop(key).close()

    def _away(self, error: BaseException) -> QcError:
        """That a server refuses for good is another error than one that may be over when it is asked again."""
        text = " ".join(str(error).split())
        if refusal := refusal_in(text):
            return QcError(
                f"the server of {self.place} refuses: {refusal}. Mend QC_WAREHOUSE, or where its password stands "
                "(PGPASSWORD, ~/.pgpass); nothing was written"
            )
        reason = text[:400]
        return WarehouseAwayError(
            f"what holds the warehouse {self.place} does not answer. Nothing is lost, and what was being written was "
            f"not written: run the same command again when it does. It said: {reason}"
        )

    def _connected(self, *, read_only: bool, locked: bool) -> duckdb.DuckDBPyConnection:
        """A connection to the lake, of an instance that this process keeps where it can: to make one takes a second."""
        if self.place.catalogue == "duckdb":  # who has it open keeps others out
            return self._root(read_only=read_only, locked=locked)
        if read_only and not locked:
            return self._root(read_only=True, locked=False)  # somebody may change its settings
        key = (os.getpid(), self.place, self.means, read_only, locked)
        with _making:
            if key not in _roots:
                _roots[key] = self._root(read_only=read_only, locked=locked)
            connection = _roots[key].cursor()
        connection.execute(f"USE {_CATALOG}")
        return connection

    def _root(self, *, read_only: bool, locked: bool) -> duckdb.DuckDBPyConnection:
        connection = self._instance()
        try:
            self._prepare(connection)
            self._attach(connection, _CATALOG, read_only=read_only)
            connection.execute(f"USE {_CATALOG}")
            if locked:
                lock_to(connection, [self.means.staging.absolute(), self.place.data])
        except BaseException:
            connection.close()
            raise
        return connection

    def _instance(self) -> duckdb.DuckDBPyConnection:
        # What is not installed is never fetched, and no file is taken for a catalogue of another kind than is said.
        never = dict.fromkeys(("autoinstall_known_extensions", "autoload_known_extensions"), "false")
        config = self.means.config() | {"python_enable_replacements": "false"} | never
        return duckdb.connect(":memory:", config=config)

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        load_extension(connection, "ducklake")
        if self.place.catalogue != "duckdb":
            load_extension(connection, f"{self.place.catalogue}_scanner")
        self._let_reach_folder(connection)
        connection.execute("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL ducklake_max_retry_count = 0")

    def _let_reach_folder(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self.place.data.startswith("s3://"):
            load_extension(connection, "httpfs")
            bucket_secret(connection)

    def _attach(self, connection: duckdb.DuckDBPyConnection, name: str, *, read_only: bool) -> None:
        kind = "" if self.place.catalogue == "duckdb" else f"{self.place.catalogue}:"
        # Small loads go to Parquet, too, whose types are DuckDB's own; those of the catalogue's database are not.
        options = f"DATA_PATH '{self.place.data}', DATA_INLINING_ROW_LIMIT 0{', READ_ONLY' if read_only else ''}"
        statement = f"ATTACH 'ducklake:{kind}{self.place.where}' AS {name} ({options})"
        if not read_only:
            make_folder(self.place)
        if self.place.file is not None:
            when_free(self.place.file, self.means.lock_timeout_s, connection.execute, statement)
        else:
            self._while_it_starts(lambda: connection.execute(statement))

    def _while_it_starts(self, connect: Callable[[], Any]) -> Any:
        """Connect, and again for a while if the server is being started."""

        def attempt() -> Any:
            try:
                return connect()
            except Exception as error:
                if re.search(r"connection refused|starting up|closed the connection", str(error), re.IGNORECASE):
                    raise self._away(error) from error
                raise

        wait_s = min(_RECONNECT_S, self.means.lock_timeout_s)
        return Retrying(
            retry=retry_if_exception_type(WarehouseAwayError),
            stop=stop_after_delay(wait_s),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            reraise=True,
        )(attempt)


def close_kept_connections() -> None:
    """Close what this process keeps open to lakes."""
    with _making:
        for key in list(_roots):
            with suppress(duckdb.Error):
                _roots.pop(key).close()
