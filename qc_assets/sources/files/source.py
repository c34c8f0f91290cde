"""Histories in files as a source. docs/histories.md is the format's description.

The files are read once and kept as rows of the raw tables under `QC_HOME/files/<fingerprint>/`, as the demo's world is;
loading a day takes its rows from there.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import SourceError, WarehouseMissingError
from qc_assets.files import changed_when
from qc_assets.progress import Reporter
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.files import TRAITS
from qc_assets.sources.files.data_sets import DESCRIPTION, DataSet, data_sets_in, forge_of_folder
from qc_assets.sources.files.prepared import prepare
from qc_assets.sources.kept_rows import kept_rows, stage_kept_rows
from qc_assets.sources.source import Batch
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.schema import sql_sections, table_statements
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.settings import Settings


class FilesSource:
    """Data sets of a folder.

    Args:
        warehouse: lends connections with the project's limits; says what was loaded from elsewhere.
        data_sets: of one forge.
        forge: theirs.
        cache: folder of the rows that were made of files.
        bounds: of lines of JSON; part of what the rows are made of.
    """

    name = "files"

    def __init__(
        self, warehouse: Warehouse, data_sets: Sequence[DataSet], forge: str, cache: Path, bounds: Bounds
    ) -> None:
        self.warehouse = warehouse
        self.data_sets = data_sets
        self.traits = replace(TRAITS, forge=forge)
        self.cache = cache
        self.bounds = bounds

    @classmethod
    def from_settings(cls, settings: "Settings") -> "FilesSource":
        folder = settings.files_dir
        if folder is None or not folder.is_dir():
            raise SourceError(f"QC_FILES_DIR={folder or ''} is no folder: name the one with the data sets")
        sets = data_sets_in(folder, forge=settings.files_forge, extracted_at=settings.files_extracted_at)
        store = Warehouse.from_settings(settings)
        return cls(store, sets, forge_of_folder(settings), settings.home / "files", Bounds.from_settings(settings))

    def is_made_up(self) -> bool:
        return any(data_set.is_synthetic for data_set in self.data_sets)

    def fingerprint(self) -> str:
        """Other files, or files that have changed, are another history."""
        text = [*sql_sections("sources/files").values(), *table_statements().values()]
        text += [
            f"{each.name} {each.forge} {each.extracted_at} {[path.name for path in each.paths]}"
            for each in self.data_sets
        ]
        changed = changed_when(path for each in self.data_sets for path in each.paths)
        return hashlib.sha256(repr((text, changed, self.bounds)).encode()).hexdigest()[:16]

    @cached_property
    def folder(self) -> Path:
        """The folder of the rows, making them if need be; safe under many processes at once.

        Raises:
            SourceError: as `prepare` does.
        """

        def write_rows(folder: Path) -> None:
            with self.warehouse.scratch() as connection:
                prepare(self.data_sets, connection, folder, self.bounds)

        return kept_rows(self.cache, self.fingerprint(), write_rows)

    @property
    def days(self) -> tuple[date, date]:
        """The first day of an item, and the day of the newest extraction."""
        first, last, _ = pl.read_parquet(self.folder / "summary.parquet").row(0)
        return first, last

    def fetch(
        self,
        days: Sequence[date],
        *,
        repos: Sequence[str],
        tables: Sequence[str],
        folder: Path,
        progress: Reporter,
        held: Mapping[str, frozenset[date]],
    ) -> Iterator[Batch]:
        progress("reading the files", 0, 1)
        rows = self.folder
        named = pl.read_parquet(rows / "repositories.parquet", columns=["repo_id", "name"]).unique()
        unknown = sorted({name.lower() for name in repos} - set(named["name"].str.to_lowercase()))
        if unknown:
            raise SourceError(f"the files have no repository {unknown[0]}; they have {_some(named['name'])}")
        if not repos:
            self._refuse_to_replace(set(named["name"]))
        chosen = named.filter(pl.col("name").str.to_lowercase().is_in([name.lower() for name in repos]))
        ids = chosen["repo_id"].to_list() if repos else None
        staged = stage_kept_rows(
            rows, tables, folder, days=days, repo_ids=ids, progress=progress, step="staging the files"
        )
        letters = pl.read_parquet(rows / "letters.parquet").filter(pl.col("day").is_in(list(days)))
        yield Batch(
            days=tuple(days),
            tables=staged,
            dead_letters=[
                DeadLetter(row["day"], row["file"], row["error_type"], row["reason"], row["line"], row["excerpt"])
                for row in letters.to_dicts()
            ],
            lines=int(pl.read_parquet(rows / "summary.parquet")["lines"].item()),
            bad_lines=letters.filter(pl.col("error_type") != "duplicate").height,
        )

    def _refuse_to_replace(self, names: set[str]) -> None:
        """What is loaded replaces what was loaded of this forge before, which must not be somebody else's."""
        try:
            query = sql_sections("sources/files")["loaded_before"]
            before = self.warehouse.query(query, {"forge": self.traits.forge})["name"].to_list()
        except WarehouseMissingError:
            return
        gone = sorted(set(before) - names)
        if gone:
            raise SourceError(
                f"the warehouse has files of {_some(gone)}, which the data sets here have not, and loading would take "
                f"them away. Put the data sets side by side into one folder, say another forge in {DESCRIPTION}, or "
                "set another QC_WAREHOUSE"
            )


def range_of(settings: "Settings") -> tuple[date, date]:
    """First and last day of the data sets; yesterday while there are none."""
    if settings.files_dir is None or not settings.files_dir.is_dir():
        yesterday = now_utc().date() - timedelta(days=1)
        return yesterday, yesterday
    return FilesSource.from_settings(settings).days


def _some(names: "Sequence[str] | pl.Series") -> str:
    return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


SOURCE = FilesSource
