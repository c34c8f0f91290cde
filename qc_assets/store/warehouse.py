"""The DuckDB warehouse: opened for moments, written in one short transaction at a time, never held open.

DuckDB lets one process write a file at a time and refuses readers meanwhile. So a step computes into staged
Parquet, opens the warehouse, merges in one transaction and closes it; readers open, answer and close. Both wait
with jittered backoff while somebody else has the file.
"""

import copy
import hashlib
import re
import shutil
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.places import plain_folder
from qc_assets.settings import Settings
from qc_assets.store import schema
from qc_assets.store.connections import connect_locked, prepared, when_free, with_short_names
from qc_assets.store.copies import copy_before_migration
from qc_assets.store.migrations import bring_up_to_date, changes, is_up_to_date, refuse_unready, schema_version
from qc_assets.store.readable import frame_of, reading_statement
from qc_assets.store.schema import columns, make_views, sql_sections
from qc_assets.store.staging import process_folder

_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]*$")

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class Warehouse:
    """One warehouse file and how to open it.

    Args:
        path: the DuckDB file; created by the first write.
        staging: folder for staged Parquet and for what DuckDB spills.
        lock_timeout_s: seconds to wait while another process has the file.
        memory_limit: DuckDB's memory limit for one connection, such as ``2GiB``.
        threads: DuckDB's threads; None means all cores.
        forges: the forge of each source, for migrating a file of before ids held it.
    """

    _held: duckdb.DuckDBPyConnection | None = None  # of `at_one_time`

    def __init__(
        self,
        path: Path,
        *,
        staging: Path | None = None,
        lock_timeout_s: float = 300.0,
        memory_limit: str = "2GiB",
        threads: int | None = None,
        forges: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        if "?" in str(self.path.resolve()):  # its log would lie where the path ends before the mark
            raise QcError(f"{path}: DuckDB cannot write where a path has a question mark; set QC_WAREHOUSE elsewhere")
        self.staging_root = plain_folder(staging or self.path.parent / ".staging")
        self.lock_timeout_s = lock_timeout_s
        self.memory_limit = memory_limit
        self.threads = threads
        self.forges = forges or {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Warehouse":
        return cls(
            settings.warehouse,
            staging=settings.staging,
            lock_timeout_s=settings.lock_timeout_s,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            forges=settings.forges,
        )

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A fresh folder for staged files, removed at the end whatever happens."""
        folder = process_folder(self.staging_root) / uuid.uuid4().hex
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self) -> duckdb.DuckDBPyConnection:
        """An in-memory connection with the project's limits and all its functions; it locks nothing."""
        connection = prepared(duckdb.connect(":memory:", config=self._config()))
        schema.define_facts_of_changes(connection)
        return connection

    @contextmanager
    def read(self, *, unsafe: bool = False, with_functions: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only, hand out the connection, close.

        Args:
            unsafe: other files than the warehouse and what is staged may be read and written, and settings changed.
            with_functions: ours are defined.

        Raises:
            WarehouseMissingError: if nothing has been loaded yet.
            WarehouseBusyError: if a writer kept the file for longer than `lock_timeout_s`.
        """
        if self._held is not None and unsafe:
            raise ValueError("a reading that others share is locked to the warehouse")
        self._refuse_if_missing()
        with nullcontext(self._held) if self._held else self.opened_as_it_is(unsafe=unsafe) as connection:
            if connection is not self._held:
                refuse_unready(schema_version(connection), self.path)
            if with_functions and not unsafe:
                schema.define_macros(connection)
            yield connection

    @contextmanager
    def at_one_time(self) -> Iterator["Warehouse"]:
        """The warehouse for several queries that belong together: no writer comes between them.

        They share a connection, which is for one thread, and writers wait: be brief, and write to nothing but this.
        """
        with self.read(with_functions=False) as connection:
            now = copy.copy(self)
            now._held = connection
            yield now

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
            refuse_unready(schema_version(connection, "warehouse"), self.path)
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
        before = None
        try:
            if not is_up_to_date(connection) and changes(connection, self.path):
                before = copy_before_migration(connection, self.path)
            connection.begin()
            try:
                bring_up_to_date(connection, self.path, self.forges)
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # the transaction may be gone already; the first error matters
                    connection.rollback()
                if before:
                    before.unlink()  # the file itself is as it was
                raise
        finally:
            connection.close()

    def migrate(self) -> list[str]:
        """Do what is pending, if anything is; returns what it was."""
        if not self.path.exists():
            return []
        names = self.pending_changes()
        with self.opened_as_it_is() as connection:
            is_old = not is_up_to_date(connection)  # views and comments, too
        if is_old:
            with self.write():
                pass  # the first writer migrates
        return names

    def pending_changes(self) -> list[str]:
        """Migrations and tables that the next writer will change, since an older version made the file.

        Raises:
            QcError: if a newer version made it.
        """
        self._refuse_if_missing()
        with self.opened_as_it_is() as connection:
            return changes(connection, self.path)

    def query(self, sql: str, parameters: object = None) -> pl.DataFrame:
        """Answer one SELECT, which sees the warehouse and nothing else.

        Returns:
            A frame with one row per result row; what polars has no type for is text, see `readable.frame_of`.

        Raises:
            NotReadingError: if it is not one SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW or SUMMARIZE.
            duckdb.PermissionException: if it names a file.
        """
        statement = reading_statement(sql)
        with self.read(with_functions=False) as connection:
            schema.define_what_is_named(connection, sql)
            return frame_of(connection, statement, parameters)

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
            with self.read(with_functions=False) as connection:
                schema.define_what_is_named(connection, sql_sections(name)["rows"])
                query = f"COPY ({sql_sections(name)['rows'].rstrip(';')}) TO $staged_file"
                connection.execute(query, {**(parameters or {}), "staged_file": str(staged)})
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
            make_views(connection, table)
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def snapshot(self, tables: Sequence[str]) -> str:
        """Identity of the contents of `tables`: SHA-256 over each one's name, row count and sum of row hashes.

        It does not depend on the order of rows, nor on when or in how many steps they were loaded.
        """
        digest = hashlib.sha256()
        with self.read(with_functions=False) as connection:
            for table in sorted(tables):
                part, name = table.split(".")
                row = connection.execute(
                    f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM {_quoted(part)}.{_quoted(name)} AS t"
                ).fetchone()
                digest.update(f"{table}:{row}\n".encode())
        return digest.hexdigest()

    def _config(self) -> dict[str, str]:
        spill = process_folder(self.staging_root) / "spill"
        config = {"memory_limit": self.memory_limit, "temp_directory": str(spill)}
        return config | ({"threads": str(self.threads)} if self.threads else {})

    def _refuse_if_missing(self) -> None:
        if not self.path.exists():
            raise WarehouseMissingError(
                f"no warehouse at {self.path}: run `qc demo` or `qc backfill`, or set QC_WAREHOUSE"
            )

    def opened_as_it_is(self, *, unsafe: bool = False) -> "closing[duckdb.DuckDBPyConnection]":
        """Open read-only whatever version made the file; while it is open, nobody writes. `unsafe` as in `read`."""
        if unsafe:
            return closing(with_short_names(self._open(read_only=True)))
        return closing(self._when_free(connect_locked, self.path, self.staging_root, self._config()))

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        return prepared(self._when_free(duckdb.connect, str(self.path), read_only=read_only, config=self._config()))

    def _when_free(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return when_free(self.path, self.lock_timeout_s, act, *arguments, **options)


def _quoted(identifier: str) -> str:
    if not _IDENTIFIER.match(identifier):
        raise QcError(f"{identifier!r} is not a table name")
    return f'"{identifier}"'
