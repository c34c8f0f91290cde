"""What the warehouse knows, in memory, so that an answer does not wait for it."""

import logging
from array import array
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import duckdb
import numpy as np
import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.features.contract import contract_of
from qc_assets.features.history import PERSON, UNKNOWN, History, history_rows, imagine
from qc_assets.forges import forge_id, forge_number
from qc_assets.learning.spec import ModelSpec
from qc_assets.origin_rules import ORIGINS
from qc_assets.settings import Settings
from qc_assets.store.forge_records import assumed_forge, is_made_up
from qc_assets.store.schema import define_functions, sql_sections
from qc_assets.store.warehouse import Warehouse

log = logging.getLogger(__name__)
_MORE = ("repo_id", "number", "author_id", "author", "opened_at", "source", "observed_until",
         "passed_by", "decided_by_verdict")  # fmt: skip


class NotReadyError(QcError):
    """What the warehouse knows could not be read yet."""


def _in_words(table: str, error: duckdb.Error) -> str:
    """What to say of a table that cannot be read: the engine's own words name SQL that nobody asked about."""
    log.warning("features.%s cannot be read: %s", table, error)
    return f"features.{table} cannot be read by this version of qc-assets: make it anew with `qc train`"


@dataclass(frozen=True)
class Tasks:
    """The rows of a feature table, found by repository and number.

    Attributes:
        rows: sorted by repository and number.
    """

    rows: pl.DataFrame
    _numbers: "array[int]"
    _slices: Mapping[int, tuple[int, int]]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Tasks":
        repos = rows["repo_id"].to_numpy()
        ids, starts = np.unique(repos, return_index=True)
        ends = [*starts[1:].tolist(), len(repos)][: len(ids)]  # none of no rows
        slices = dict(zip(ids.tolist(), zip(starts.tolist(), ends, strict=True), strict=True))
        return cls(rows, array("q", rows["number"].to_numpy().tobytes()), slices)

    def row(self, repo_id: int, number: int) -> dict[str, Any] | None:
        """The row of an item, or None."""
        start, end = self._slices.get(repo_id, (0, 0))
        place = bisect_left(self._numbers, number, start, end)
        is_there = place < end and self._numbers[place] == number
        return self.rows.row(place, named=True) if is_there else None


@dataclass(frozen=True)
class Reading:
    """What the warehouse said when it was asked for everything.

    Attributes:
        about: of `Knowledge`: as_of (as a text), is_synthetic, forge, unknown, troubles and numbers.
        names: forge, name, id and kind, ``repo`` or ``author``.
        tasks, histories: rows of items and of `history_rows`, by table.
    """

    about: Mapping[str, Any]
    names: pl.DataFrame
    tasks: Mapping[str, pl.DataFrame]
    histories: Mapping[str, pl.DataFrame]

    @classmethod
    def of(
        cls,
        store: Warehouse,
        settings: Settings,
        specs: Sequence[ModelSpec],
        as_of: datetime | None = None,
        needs: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> "Reading":
        """Ask the warehouse; a table that cannot be read leaves the others.

        Args:
            store: the warehouse.
            settings: parameters of the feature SQL.
            specs: models of pull requests or issues whose features are wanted, as far as the warehouse has them.
            as_of: default: the end of what has been observed, at most now.
            needs: further columns, by table: what champions want, such as texts, which take most of the memory.

        Raises:
            WarehouseMissingError, WarehouseBusyError: see `Warehouse.read`.
            duckdb.Error: if no table can be read.
        """
        sections = sql_sections("features/openings")
        tables: dict[str, list[str]] = {spec.table.removeprefix("features."): [] for spec in specs}
        for spec in specs:
            columns = tables[spec.table.removeprefix("features.")]
            columns += [*spec.features, *needs.get(spec.table.removeprefix("features."), ())]
            # A label may be the model's own instead of its table's.
            columns += [
                name for name in contract_of(spec.table.removeprefix("features.")).columns if name == spec.target
            ]
        tasks: dict[str, pl.DataFrame] = {}
        unknown: dict[str, list[str]] = {}
        histories: dict[str, pl.DataFrame] = {}
        errors: dict[str, duckdb.Error] = {}
        with store.read() as connection:
            define_functions(connection, " ".join(sections[name] for name in sections if name != "imagined"))
            names = connection.execute(sections["names"]).pl()
            about: dict[str, Any] = {"forge": assumed_forge(connection, settings)}
            about["numbers"] = dict(connection.execute("SELECT forge, forge_number FROM ops.forges").fetchall())
            about["is_synthetic"] = settings.is_synthetic or is_made_up(connection, settings.forge)
            now = now_utc()
            until = connection.execute(sections["end_of_data"]).fetchone()
            as_of = as_of or (min(now, until[0]) if until and until[0] else now)
            for table, columns in tables.items():
                query = sections[f"tasks_of_{table}"].rstrip(";")
                try:
                    present = connection.sql(query).columns
                    selected = [name for name in dict.fromkeys((*_MORE, *columns)) if name in present]
                    tasks[table] = connection.execute(f"SELECT {', '.join(selected)} FROM ({query}) ORDER BY ALL").pl()
                except duckdb.Error as error:
                    errors[table] = error
                    continue
                unknown[table] = [name for name in needs.get(table, ()) if name not in present]
        with store.overlay() as connection:
            imagine(connection, as_of, settings.origin_parameters)
            for table in list(tasks):
                try:
                    histories[table] = history_rows(connection, table, settings.feature_parameters(table))
                except duckdb.Error as error:
                    errors[table] = error
                    del tasks[table]
        if errors and not tasks:
            raise next(iter(errors.values()))
        about |= {"as_of": as_of.isoformat(), "unknown": unknown}
        about["troubles"] = {table: _in_words(table, error) for table, error in errors.items()}
        return cls(about, names, tasks, histories)


@dataclass(frozen=True)
class Knowledge:
    """Histories and items as of one instant.

    Attributes:
        as_of: the instant.
        is_synthetic: whether what the settings read is made up.
        forge: of names without a host: the only one that the warehouse has, or that of the settings.
        repos, authors: ids by forge and name in lower case, of who has a name now, or had it last.
        histories, tasks: by table, ``pull_requests`` and ``issues``.
        unknown: columns that champions want and the warehouse does not have, by table.
        troubles: why a table could not be read, by table.
        numbers: of the forges that have been loaded, by name.
    """

    as_of: datetime
    is_synthetic: bool
    forge: str
    repos: Mapping[tuple[str, str], int]
    authors: Mapping[tuple[str, str], int]
    histories: Mapping[str, History]
    tasks: Mapping[str, Tasks]
    unknown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, reading: "Reading") -> "Knowledge":
        """From what was read."""
        ids: dict[str, dict[tuple[str, str], int]] = {"repo": {}, "author": {}}
        for host, name, identity, kind in reading.names.iter_rows():
            ids[kind][host, name] = identity
        return cls(
            repos=ids["repo"],
            authors=ids["author"],
            histories={table: History.of_rows(table, rows) for table, rows in reading.histories.items()},
            tasks={table: Tasks.of(rows) for table, rows in reading.tasks.items()},
            as_of=datetime.fromisoformat(reading.about["as_of"]),
            **{name: value for name, value in reading.about.items() if name != "as_of"},
        )

    def _refuse_unread(self, table: str) -> None:
        if table in self.troubles:
            raise NotReadyError(self.troubles[table])

    def repo_id(self, repo: str | None) -> int | None:
        """Id of a repository by its name, ``owner/name`` or ``HOST/owner/name``, or None if it is unknown."""
        return self.repos.get(self._placed(repo))

    def _placed(self, repo: str | None) -> tuple[str, str]:
        """The forge of a repository's name, and the name there."""
        host, _, rest = (repo or "").lower().partition("/")
        return (host, rest) if "/" in rest else (self.forge, f"{host}/{rest}")

    def author_id(self, repo: str | None, author: str | None) -> int | None:
        """Id of an account by its login, on the forge of a repository, or None if it is unknown."""
        return self.authors.get((self._placed(repo)[0], (author or "").lower()))

    def account(self, repo: str | None, own_id: int | None) -> int | None:
        """Id in the warehouse of an account with the forge's own id (1 to 2**40 - 1), on the forge of a repository."""
        return None if own_id is None else forge_id(self._number(repo), own_id)

    def _number(self, repo: str | None) -> int:
        forge = self._placed(repo)[0]
        return self.numbers.get(forge, forge_number(forge, is_synthetic=False))

    def place(self, repo: str | None, number: int, own_id: int | None = None) -> tuple[int, int]:
        """Repository and number of an item; both 0 if the repository is unknown.

        With the forge's own id of the repository (1 to 2**40 - 1) it need not have been loaded, nor have this name.
        """
        repo_id = self.repo_id(repo) if own_id is None else forge_id(self._number(repo), own_id)
        return (0, 0) if repo_id is None else (repo_id, number)

    def history(
        self,
        table: str,
        repo: str | None,
        author: str | None,
        repo_id: int | None = None,
        author_id: int | None = None,
        origin: str | None = None,
    ) -> dict[str, Any]:
        """Features of an opening by an author in a repository, by their names; who is unknown has no history yet.

        Ids decide over names, which change hands: who has taken over a login has not the history of who had it. Nor
        has an agent that of the person who sent it: `origin` says who made it, None that nobody knows.

        Raises:
            NotReadyError: if the table could not be read.
        """
        self._refuse_unread(table)
        repo_id = repo_id or self.repo_id(repo)
        author_id = author_id or self.author_id(repo, author)
        hand = None if origin is None else origin if origin in ORIGINS else PERSON
        return self.histories[table].of(
            UNKNOWN if repo_id is None else repo_id, UNKNOWN if author_id is None else author_id, hand
        )

    def task(
        self, table: str, repo: str | None, number: int, author: str | None, author_id: int | None = None
    ) -> dict[str, Any] | None:
        """The item's own row, if it is known; with an author, only if it is theirs.

        Raises:
            NotReadyError: if the table could not be read.
        """
        self._refuse_unread(table)
        repo_id = self.repo_id(repo)
        row = None if repo_id is None else self.tasks[table].row(repo_id, number)
        if row is None or not (author or author_id):
            return row
        return row if self.is_author(repo, row, author, author_id) else None

    def is_author(
        self, repo: str | None, row: Mapping[str, Any], author: str | None, author_id: int | None = None
    ) -> bool:
        """Whether an item's `author_id` and `author` are somebody: by ids, and by logins only where there is no id."""
        account = author_id or self.author_id(repo, author)
        if account is not None and row["author_id"] is not None:
            return bool(row["author_id"] == account)
        return author_id is None and row["author"] == (author or "").lower()
