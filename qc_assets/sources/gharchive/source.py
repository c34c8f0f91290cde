"""GH Archive's hourly files as a source: DuckDB reads the compressed JSON itself, typed and in parallel.

Every event that shows a pull request, an issue, a review or a comment is an observation of it. A partition is the
day of the file, whatever day `created_at` says. From 2025-10-07 a pull request in an event carries only url, id,
number, head and base: such hours load, and what they do not tell stays NULL.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import duckdb

from qc_assets.errors import SourceError, WarehouseMissingError
from qc_assets.progress import Reporter
from qc_assets.settings import Settings
from qc_assets.sources.gharchive import TRAITS, hours
from qc_assets.sources.source import Batch
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

# A day is cut into slices by repository, and the strings of one slice are held in memory at once. Compressed bytes.
_BYTES_PER_SLICE = 128 * 2**20
_ROWS_HELD_PER_SLICE = 1_000  # while the slices are being written


class GHArchiveSource:
    """Hourly files of a folder, or downloaded.

    Args:
        warehouse: lends connections with the project's memory and thread limits; it is not written to.
        folder: folder of hourly files; None means the downloader's cache.
        downloader: fetches hours that are not there; None means that they are gaps.
    """

    name = "gharchive"
    traits = TRAITS

    def __init__(self, warehouse: Warehouse, folder: Path | None, downloader: hours.Downloader | None) -> None:
        self.warehouse = warehouse
        self.folder = folder
        self.downloader = downloader

    @classmethod
    def from_settings(cls, settings: Settings) -> "GHArchiveSource":
        if settings.gharchive_dir is not None:
            if not settings.gharchive_dir.is_dir():
                raise SourceError(
                    f"QC_GHARCHIVE_DIR={settings.gharchive_dir} is not a folder: create it, or unset the variable "
                    "to download"
                )
            return cls(Warehouse.from_settings(settings), settings.gharchive_dir, None)
        cache = settings.home / "gharchive"
        downloader = hours.Downloader(settings.gharchive_url, cache) if settings.gharchive_download else None
        return cls(Warehouse.from_settings(settings), cache, downloader)

    def fingerprint(self) -> str:
        """A file of the archive never changes, wherever it lies, so its day means the same under any settings."""
        text = "".join(sql_sections("sources/gharchive").values())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

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
        # By name the newest first: what a repository is called later leads to its days under other names.
        for number, day in enumerate(sorted(days, reverse=bool(repos))):
            progress(f"reading {day}", number, len(days))
            work = folder / day.isoformat()
            work.mkdir()
            before = self.downloader.requests if self.downloader else 0
            batch = self._day(day, repos, tables, work)
            batch.requests = (self.downloader.requests if self.downloader else 0) - before
            yield batch
            for path in work.iterdir():  # the batch has been merged
                path.unlink()

    def _day(self, day: date, repos: Sequence[str], tables: Sequence[str], work: Path) -> Batch:
        with ThreadPoolExecutor(4) as pool:
            files = list(pool.map(lambda name: self._hour(name, work), hours.hour_names(day)))
        readable = [file for file in files if file.path is not None]
        letters = [file.damage for file in files if file.damage is not None]
        staged: dict[str, list[Path]] = {}
        bad = sum(file.damage.error_type == "truncated_file" for file in files if file.damage is not None)
        if readable:
            events = work / "events"
            events.mkdir()
            ids = self._ids(repos) if repos else []
            with self.warehouse.scratch() as connection:
                slices = self._read(connection, readable, repos, ids, events)
                staged = self._transform(connection, events, slices, day, tables, work)
                bad_lines, count = self._bad_lines(connection, events, readable, day)
            letters += bad_lines
            bad += count
            shutil.rmtree(events)
        gaps = [file.name for file in files if file.damage is not None]
        return Batch(
            days=(day,),
            tables=staged,
            status="partial" if gaps else "done",
            error=_gap_sentence(day, gaps) if gaps else None,
            dead_letters=letters,
            lines=sum(file.lines for file in files) + sum(1 for file in files if file.damage and file.lines),
            bad_lines=bad,
        )

    def _hour(self, name: str, work: Path) -> hours.HourFile:
        path = self.folder / name if self.folder else None
        if path is None or not path.exists():
            path = self.downloader.get(name) if self.downloader else None
        return hours.missing(name) if path is None else hours.verify(path, work)

    def _ids(self, repos: Sequence[str]) -> list[int]:
        """Ids of named repositories, as far as the warehouse knows them by now."""
        try:
            names = {"repos": [name.lower() for name in repos]}
            return self.warehouse.sql_file("sources/gharchive", names, section="ids")["repo_id"].to_list()
        except WarehouseMissingError:
            return []

    def _read(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Sequence[hours.HourFile],
        repos: Sequence[str],
        ids: Sequence[int],
        events: Path,
    ) -> int:
        """Write the events of pull requests and issues to `events`, a folder a slice; returns how many slices."""
        slices = 1 + sum(file.path.stat().st_size for file in files if file.path is not None) // _BYTES_PER_SLICE
        connection.execute(f"SET partitioned_write_flush_threshold = {_ROWS_HELD_PER_SLICE}")
        query = sql_sections("sources/gharchive")["read"].rstrip(";")
        # A small day is on disk for a moment; a large one must not fill it.
        codec = "uncompressed" if slices == 1 else "lz4_raw"
        options = f"FORMAT parquet, COMPRESSION {codec}, ROW_GROUP_SIZE 20000"
        target = events / "slice=0.parquet" if slices == 1 else events
        connection.execute(
            f"COPY ({query}) TO $target ({options}{'' if slices == 1 else ', PARTITION_BY (slice)'})",
            {
                "target": str(target),
                "files": [str(file.path) for file in files],
                "everything": not repos,
                "repos": [name.lower() for name in repos],
                "ids": list(ids),
                "slices": slices,
            },
        )
        return slices

    def _transform(
        self,
        connection: duckdb.DuckDBPyConnection,
        events: Path,
        slices: int,
        day: date,
        tables: Sequence[str],
        work: Path,
    ) -> dict[str, list[Path]]:
        staged: dict[str, list[Path]] = {table: [] for table in tables}
        sections = sql_sections("sources/gharchive")
        for table in sections.keys() & staged.keys():  # of other tables the archive knows nothing
            query = sections[table].rstrip(";")
            # An account acts in many repositories, so its rows are not in one slice; but they are narrow.
            patterns = (
                ["*"]
                if table == "users"
                else [f"slice={n}" if slices > 1 else "*" for n in self._slices(events, slices)]
            )
            for pattern in patterns:
                target = work / f"{table}-{len(staged[table])}.parquet"
                connection.execute(
                    f"COPY ({query}) TO $target (FORMAT parquet, COMPRESSION lz4_raw)",
                    {"events": self._files(events, pattern), "day": day, "target": str(target)},
                )
                staged[table].append(target)
        return staged

    @staticmethod
    def _slices(events: Path, slices: int) -> list[int]:
        """The slices that hold anything."""
        return [n for n in range(slices) if (events / f"slice={n}").is_dir() or slices == 1]

    @staticmethod
    def _files(events: Path, pattern: str) -> list[str]:
        entries = sorted(events.glob(pattern))
        return [str(path) for entry in entries for path in (sorted(entry.iterdir()) if entry.is_dir() else [entry])]

    def _bad_lines(
        self, connection: duckdb.DuckDBPyConnection, events: Path, files: Sequence[hours.HourFile], day: date
    ) -> tuple[list[DeadLetter], int]:
        sections = sql_sections("sources/gharchive")
        everything = {"events": self._files(events, "*")}
        by_path = {str(file.path): file for file in files}
        letters: list[DeadLetter] = []
        total = 0
        for path, count in connection.execute(sections["bad_lines"], everything).fetchall():
            file = by_path[path]
            of_file = hours.bad_lines(file)
            total += count
            letters += of_file
            if count > len(of_file) and len(of_file) < 100:
                reason = f"{count - len(of_file)} lines are JSON but no event that can be typed"
                letters.append(DeadLetter(day, file.name, "malformed_line", reason))
        for path, event, kind in connection.execute(sections["no_repository"], everything).fetchall():
            reason = f"event {event} ({kind}) names no repository"
            letters.append(DeadLetter(day, by_path[path].name, "no_repository", reason))
        return letters, total


def _gap_sentence(day: date, gaps: Sequence[str]) -> str:
    return (
        f"{day}: {len(gaps)} of 24 hours are missing or damaged ({', '.join(gaps[:3])}{', …' if len(gaps) > 3 else ''})"
    )


SOURCE = GHArchiveSource
