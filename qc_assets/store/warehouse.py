"""The DuckDB warehouse: opened for moments, written in one short transaction at a time, never held open.

DuckDB lets one process write a file at a time and refuses readers meanwhile. So a step computes into staged
Parquet, opens the warehouse, merges in one transaction and closes it; readers open, answer and close. Both wait
with jittered backoff while somebody else has the file.
"""

import glob
import hashlib
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.settings import Settings
from qc_assets.store.migrations import bring_up_to_date, changes, pending, refuse_newer, schema_version
from qc_assets.store.schema import columns, define_macros, sql_sections

_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]*$")
# The second and third: another thread of this process has the file open in the other mode, or is closing it.
_BUSY = (
    "Could not set lock on file",
    "different configuration",
    "Unique file handle conflict",
    "being used by another process",
)

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, duckdb.Error) and any(text in str(error) for text in _BUSY)


class Warehouse:
    """One warehouse file and how to open it.

    Args:
        path: the DuckDB file; created by the first write.
        staging: folder for staged Parquet and for what DuckDB spills.
        lock_timeout_s: seconds to wait while another process has the file.
        memory_limit: DuckDB's memory limit for one connection, such as ``2GiB``.
        threads: DuckDB's threads; None means all cores.
    """

    def __init__(
        self,
        path: Path,
        *,
        staging: Path | None = None,
        lock_timeout_s: float = 300.0,
        memory_limit: str = "2GiB",
        threads: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.staging_root = staging or self.path.parent / ".staging"
        self.lock_timeout_s = lock_timeout_s
        self.memory_limit = memory_limit
        self.threads = threads

    @classmethod
    def from_settings(cls, settings: Settings) -> "Warehouse":
        return cls(
            settings.warehouse,
            staging=settings.staging,
            lock_timeout_s=settings.lock_timeout_s,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
        )

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A fresh folder for staged files, removed at the end whatever happens."""
        folder = self.staging_root / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self) -> duckdb.DuckDBPyConnection:
        """An in-memory connection with the project's limits and macros; it locks nothing."""
        return self._prepare(duckdb.connect(":memory:", config=self._config()))

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only, hand out the connection, close.

        Raises:
            WarehouseMissingError: if nothing has been loaded yet.
            WarehouseBusyError: if a writer kept the file for longer than `lock_timeout_s`.
        """
        self._refuse_if_missing()
        connection = self._open(read_only=True)
        try:
            self._refuse_unready(schema_version(connection))
            yield connection
        finally:
            connection.close()

    @contextmanager
    def overlay(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """An in-memory connection with the warehouse attached read-only as `warehouse`, for what-if questions.

        Raises:
            WarehouseMissingError: if nothing has been loaded yet.
            WarehouseBusyError: if a writer kept the file for longer than `lock_timeout_s`.
        """
        self._refuse_if_missing()
        connection = self.scratch()
        try:
            path = str(self.path).replace("'", "''")
            self._when_free(connection.execute, f"ATTACH '{path}' AS warehouse (READ_ONLY)")
            self._refuse_unready(schema_version(connection, "warehouse"))
            yield connection
        finally:
            connection.close()

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for writing, run the body in one transaction, commit (or roll back on any error), close.

        A file of an older version is migrated first, in the same transaction; a copy of it is put beside it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # DuckDB lets threads of one process write side by side, and then fails the slower one's commit.
        turn = _turns[str(self.path)]
        if not turn.acquire(timeout=self.lock_timeout_s):
            raise WarehouseBusyError(f"another thread has been writing {self.path} for {self.lock_timeout_s:.0f} s")
        try:
            with self._transaction() as connection:
                yield connection
        finally:
            turn.release()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._open(read_only=False)
        copy = None
        try:
            if changes(connection):
                copy = self._copy_before_migration(connection)
            connection.begin()
            try:
                bring_up_to_date(connection, self.path)
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # the transaction may be gone already; the first error matters
                    connection.rollback()
                if copy:
                    copy.unlink()  # the file itself is as it was
                raise
        finally:
            connection.close()

    def copies(self) -> list[Path]:
        """The copies that migrations put beside the file, oldest first."""
        return sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.version-*.bak"))

    def pending_changes(self) -> list[str]:
        """Migrations and tables that the next writer will change, since an older version made the file.

        Raises:
            QcError: if a newer version made it.
        """
        self._refuse_if_missing()
        connection = self._open(read_only=True)
        try:
            refuse_newer(schema_version(connection), self.path)
            return changes(connection)
        finally:
            connection.close()

    def _copy_before_migration(self, connection: duckdb.DuckDBPyConnection) -> Path:
        connection.execute("CHECKPOINT")  # all is in the file, nothing in the log beside it
        version = schema_version(connection)
        copy = self.path.with_name(f"{self.path.name}.version-{version}.{now_utc():%Y%m%dT%H%M%S}.bak")
        # By another process: a process that closes any handle of a file loses its POSIX lock on it.
        script = "import shutil, sys; shutil.copyfile(*sys.argv[1:])"
        done = subprocess.run([sys.executable, "-c", script, self.path, copy], capture_output=True, text=True)
        if done.returncode:
            copy.unlink(missing_ok=True)
            reason = done.stderr.strip().splitlines()[-1:]
            raise QcError(f"{self.path} must be migrated, and no copy of it can be put beside it: {''.join(reason)}")
        return copy

    def query(self, sql: str, parameters: object = None) -> pl.DataFrame:
        """Answer a query read-only.

        Returns:
            A frame with one row per result row.
        """
        with self.read() as connection:
            return connection.execute(sql, parameters).pl()

    def sql_file(self, name: str, parameters: object = None, *, section: str = "rows") -> pl.DataFrame:
        """Answer the query in section `section` of `warehouse/<name>.sql` read-only."""
        return self.query(sql_sections(name)[section], parameters)

    def rebuild(self, name: str, parameters: Mapping[str, object] | None = None) -> int:
        """Compute the table of `warehouse/<name>.sql` anew: its `rows` section replaces what was there.

        The rows are computed by a reader into staged Parquet, so that writers and readers go on meanwhile.

        Args:
            name: ``schema/table``; the file has the sections ``table`` (CREATE TABLE and comments) and ``rows``.
            parameters: named parameters of the query.

        Returns:
            The number of rows.
        """
        with self.staging() as folder:
            staged = folder / "rows.parquet"
            with self.read() as connection:
                connection.execute(f"COPY ({sql_sections(name)['rows'].rstrip(';')}) TO '{staged}'", parameters)
            return self._replace_rows(name, staged)

    def replace(self, name: str, rows: pl.DataFrame) -> int:
        """Replace what was in the table of `warehouse/<name>.sql` by `rows`, matched by column name."""
        with self.staging() as folder:
            if not rows.columns:  # no rows, and so no columns either
                rows = pl.DataFrame(schema={column: pl.Null for column, _, _ in columns(name.replace("/", "."))})
            rows.write_parquet(folder / "rows.parquet")
            return self._replace_rows(name, folder / "rows.parquet")

    def _replace_rows(self, name: str, staged: Path) -> int:
        table = name.replace("/", ".")
        with self.write() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(sql_sections(name)["table"])
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet($file)", {"file": str(staged)})
            return _count(connection, table)

    def snapshot(self, tables: Sequence[str]) -> str:
        """Identity of the contents of `tables`: SHA-256 over each one's name, row count and sum of row hashes.

        It does not depend on the order of rows, nor on when or in how many steps they were loaded.
        """
        digest = hashlib.sha256()
        with self.read() as connection:
            for table in sorted(tables):
                schema, name = table.split(".")
                row = connection.execute(
                    f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM {_quoted(schema)}.{_quoted(name)} AS t"
                ).fetchone()
                digest.update(f"{table}:{row}\n".encode())
        return digest.hexdigest()

    def _config(self) -> dict[str, str]:
        self.staging_root.mkdir(parents=True, exist_ok=True)
        config = {"memory_limit": self.memory_limit, "temp_directory": str(self.staging_root / "spill")}
        return config | ({"threads": str(self.threads)} if self.threads else {})

    def _refuse_unready(self, version: int | None) -> None:
        """Refuse to read what has no tables yet, or those of another version."""
        if version is None:
            raise WarehouseMissingError(
                f"{self.path} has no tables yet: run `qc demo` or `qc backfill`, or set QC_WAREHOUSE"
            )
        refuse_newer(version, self.path)
        if pending(version):
            raise QcError(
                f"{self.path} was made by an older version of qc-assets (schema {version}): run `qc migrate`, which "
                "puts a copy beside it first"
            )

    def _refuse_if_missing(self) -> None:
        if not self.path.exists():
            raise WarehouseMissingError(
                f"no warehouse at {self.path}: run `qc demo` or `qc backfill`, or set QC_WAREHOUSE"
            )

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        return self._prepare(
            self._when_free(duckdb.connect, str(self.path), read_only=read_only, config=self._config())
        )

    def _when_free(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do something with the file as soon as nobody else has it."""
        attempts = Retrying(
            retry=retry_if_exception(_is_busy),
            stop=stop_after_delay(self.lock_timeout_s),
            wait=wait_random_exponential(multiplier=0.01, max=0.5),
        )
        try:
            return attempts(act, *arguments, **options)
        except RetryError as error:
            holder = re.search(r"PID (\d+)", str(error.last_attempt.exception()))
            who = f"process {holder[1]}" if holder else "another process"
            raise WarehouseBusyError(
                f"{who} has kept {self.path} open for {self.lock_timeout_s:.0f} s: close the program that holds it "
                "(a notebook with an open connection?) or raise QC_LOCK_TIMEOUT_S"
            ) from error

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        with suppress(duckdb.InvalidInputException):  # in Jupyter without ipywidgets there is no bar to turn off
            connection.execute("SET enable_progress_bar = false")
        define_macros(connection)
        return connection


def put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    frame: pl.DataFrame,
    constants: Mapping[str, object] | None = None,
) -> None:
    """Insert rows by column name; a row of the same key is replaced.

    Args:
        connection: from `Warehouse.write`.
        table: ``schema.table``.
        frame: the rows.
        constants: further columns that are the same in every row.
    """
    rows = frame.with_columns(**{name: pl.lit(value) for name, value in (constants or {}).items()})
    connection.register("rows_to_add", rows.to_arrow())
    connection.execute(f"INSERT OR REPLACE INTO {table} BY NAME FROM rows_to_add")
    connection.unregister("rows_to_add")


def _quoted(identifier: str) -> str:
    if not _IDENTIFIER.match(identifier):
        raise QcError(f"{identifier!r} is not a table name")
    return f'"{identifier}"'


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row: Any = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0])
