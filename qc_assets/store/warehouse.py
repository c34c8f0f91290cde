"""The warehouse: opened for moments, written in one short transaction at a time, never held open.

One process writes at a time; of a DuckDB file, readers are refused meanwhile. So a step computes into staged
Parquet, opens the warehouse, merges in one transaction and closes it; readers open, answer and close. Both wait
with jittered backoff while somebody else has it.
"""

import copy
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from qc_assets.errors import QcError, WarehouseMissingError
from qc_assets.lake_place import LakePlace, WarehousePlace, parsed_place
from qc_assets.places import plain_folder
from qc_assets.settings import Settings
from qc_assets.store import schema
from qc_assets.store.connections import again_when_away, prepared, with_short_names
from qc_assets.store.engine import FileEngine, Means, Opening, StoreEngine
from qc_assets.store.keyless import KeylessConnection
from qc_assets.store.lake import LakeEngine
from qc_assets.store.migrations import (
    bring_up_to_date,
    changes,
    empty_table,
    is_up_to_date,
    make_views,
    refuse_unready,
    schema_version,
)  # fmt: skip
from qc_assets.store.readable import frame_of, identity_of, reading_statement, refuse_acts
from qc_assets.store.schema import columns, sql_sections
from qc_assets.store.staging import process_folder


class Warehouse:
    """One warehouse and how to open it.

    Args:
        path: the DuckDB file, or the lake; created by the first write.
        staging: folder for staged Parquet and for what DuckDB spills.
        lock_timeout_s: seconds to wait while another process has the file.
        memory_limit: DuckDB's memory limit for one connection, such as ``2GiB``.
        threads: DuckDB's threads; None means all cores.
        forges: the forge of each source, for migrating a file of before ids held it.
    """

    _held: duckdb.DuckDBPyConnection | None = None  # of `at_one_time`

    def __init__(
        self,
        path: WarehousePlace,
        *,
        staging: Path | None = None,
        lock_timeout_s: float = 300.0,
        memory_limit: str = "2GiB",
        threads: int | None = None,
        forges: Mapping[str, str] | None = None,
    ) -> None:
        beside = path.parent / ".staging" if isinstance(path, Path) else None
        self.staging_root = plain_folder(staging or beside or Path(".staging"))
        self.means = means = Means(self.staging_root, lock_timeout_s, memory_limit, threads)
        self.engine: StoreEngine = LakeEngine(path, means) if isinstance(path, LakePlace) else FileEngine(path, means)
        self.forges = forges or {}

    @property
    def path(self) -> Path:
        """The file.

        Raises:
            QcError: if it is a lake, which is none.
        """
        if isinstance(self.engine.place, LakePlace):
            raise QcError(f"{self.engine.place} is no file; what was asked for is done with one (docs/lake.md)")
        return self.engine.place

    @property
    def place(self) -> WarehousePlace:
        """Where it lies."""
        return self.engine.place

    @property
    def is_lake(self) -> bool:
        """Whether it is a lake, whose files want upkeep."""
        return isinstance(self.engine.place, LakePlace)

    @classmethod
    def from_settings(cls, settings: "Settings | Opening", *, lock_timeout_s: float | None = None) -> "Warehouse":
        """The warehouse that settings name; `lock_timeout_s` for who waits less."""
        return cls(
            parsed_place(settings.warehouse),
            staging=Path(settings.staging),
            lock_timeout_s=settings.lock_timeout_s if lock_timeout_s is None else lock_timeout_s,
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
        connection = prepared(duckdb.connect(":memory:", config=self.means.config()))
        schema.define_functions(connection)
        return connection

    @contextmanager
    def read(self, *, unsafe: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only, hand out the connection, close; our functions are where `define_functions` puts them.

        Args:
            unsafe: other files than the warehouse and what is staged may be read and written, and settings changed.

        Raises:
            WarehouseMissingError: if nothing has been loaded yet.
            WarehouseBusyError: if a writer kept the file for longer than `lock_timeout_s`.
        """
        if self._held is not None and unsafe:
            raise ValueError("a reading that others share is locked to the warehouse")
        self._refuse_if_missing()
        with nullcontext(self._held) if self._held else self.opened_as_it_is(unsafe=unsafe) as connection:
            if connection is not self._held:
                refuse_unready(schema_version(connection), self.place)
            yield connection

    @contextmanager
    def at_one_time(self) -> Iterator["Warehouse"]:
        """The warehouse for several queries that belong together: no writer comes between them.

        They share a connection, which is for one thread, and writers wait: be brief, and write to nothing but this.
        """
        with self.read() as connection:
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
            self.engine.attach(connection, "warehouse")
            refuse_unready(schema_version(connection, "warehouse"), self.place)
            with self.engine.explained():
                yield connection
        finally:
            connection.close()

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open for writing, run the body in one transaction, commit (or roll back on any error), close.

        Our functions are where `define_functions` puts them. A file of an older version is migrated first, in the same
        transaction; a copy of it is put beside it.
        """
        with self.engine.turn() as refuse_if_lost, self.engine.explained(), self._transaction() as connection:
            yield connection
            refuse_if_lost()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self.engine.open(read_only=False)
        before = None
        try:
            if self.is_lake:
                connection = cast(duckdb.DuckDBPyConnection, KeylessConnection(connection))
            is_old = not is_up_to_date(connection)
            if is_old and changes(connection, self.place):
                before = self.engine.copy_of_before(connection)
            connection.begin()
            try:
                if is_old:
                    bring_up_to_date(connection, self.place, self.forges)
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # the transaction may be gone already; the first error matters
                    connection.rollback()
                if before:
                    before.unlink()  # the file itself is as it was
                raise
        finally:
            self.engine.close(connection)

    def migrate(self) -> list[str]:
        """Do what is pending, if anything is; returns what it was."""
        names, is_old = self._pending() if self.engine.exists() else ([], False)
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
        return self._pending()[0]

    @again_when_away
    def _pending(self) -> tuple[list[str], bool]:
        """That, and whether the next writer has anything to do: views and comments are no changes."""
        with self.opened_as_it_is() as connection:
            return changes(connection, self.place), not is_up_to_date(connection)

    @again_when_away
    def query(self, sql: str, parameters: object = None) -> pl.DataFrame:
        """Answer one SELECT, which sees the warehouse and nothing else.

        Returns:
            A frame with one row per result row; what polars has no type for is text, see `readable.frame_of`.

        Raises:
            NotReadingError: if it is not one SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW or SUMMARIZE.
            duckdb.PermissionException: if it names a file.
        """
        statement = reading_statement(sql)
        with self.read() as connection:
            refuse_acts(connection, statement, is_lake=self.is_lake)
            schema.define_functions(connection, sql)
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
            with self.read() as connection:
                schema.define_functions(connection, sql_sections(name)["rows"])
                query = f"COPY ({sql_sections(name)['rows'].rstrip(';')}) TO $staged_file"
                connection.execute(query, {**(parameters or {}), "staged_file": str(staged)})
            return self.replace_by_files(name, staged)

    def replace(self, name: str, rows: pl.DataFrame) -> int:
        """Replace what was in the table of `warehouse/<name>.sql` by `rows`, matched by column name."""
        with self.staging() as folder:
            if not rows.columns:  # no rows, and so no columns either
                rows = pl.DataFrame(schema={column: pl.Null for column, _, _ in columns(name.replace("/", "."))})
            rows.write_parquet(folder / "rows.parquet")
            return self.replace_by_files(name, folder / "rows.parquet")

    def replace_by_files(self, name: str, staged: Path) -> int:
        """Replace what was in the table of `warehouse/<name>.sql` by the rows of Parquet files, which may be a glob."""
        table = name.replace("/", ".")
        with self.write() as connection:
            empty_table(connection, table)
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet($file)", {"file": str(staged)})
            make_views(connection, table)
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def snapshot(self, tables: Sequence[str]) -> str:
        """Identity of the contents of `tables`: SHA-256 over each one's name, row count and sum of row hashes.

        It does not depend on the order of rows, nor on when or in how many steps they were loaded.
        """
        with self.read() as connection:
            return identity_of(connection, tables)

    def _refuse_if_missing(self) -> None:
        if not self.engine.exists():
            raise WarehouseMissingError(
                f"no warehouse at {self.place}: run `qc demo` or `qc backfill`, or set QC_WAREHOUSE"
            )

    @contextmanager
    def opened_as_it_is(self, *, unsafe: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open read-only whatever version made it; nobody writes a file meanwhile. `unsafe` as in `read`."""
        with self.engine.explained():
            opened = with_short_names(self.engine.open(read_only=True)) if unsafe else self.engine.open_locked()
            try:
                yield opened
            finally:
                self.engine.close(opened)
