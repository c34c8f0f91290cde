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

from qc_assets.errors import QcError, SourceError, WarehouseMissingError
from qc_assets.files import changed_when
from qc_assets.progress import Reporter
from qc_assets.settings import Settings
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive import TRAITS, hours
from qc_assets.sources.gharchive.day_of_events import DayOfEvents
from qc_assets.sources.gharchive.downloader import Downloader, NoSuchHourError
from qc_assets.sources.source import Batch
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

# A row group is held while it is written, and its rows may have long texts.
_PARQUET = "FORMAT parquet, ROW_GROUP_SIZE 20000, ROW_GROUP_SIZE_BYTES '64MB', COMPRESSION lz4_raw"


class GHArchiveSource:
    """Hourly files of a folder, or downloaded.

    Args:
        warehouse: lends connections with the project's memory and thread limits; it is not written to.
        folder: folder of hourly files, or the downloader's cache.
        downloader: fetches hours that are not there; None means that they are gaps.
        bounds: of the files.
    """

    name = "gharchive"
    traits = TRAITS

    def __init__(self, warehouse: Warehouse, folder: Path, downloader: Downloader | None, bounds: Bounds) -> None:
        self.warehouse = warehouse
        self.folder = folder
        self.downloader = downloader
        self.bounds = bounds

    @classmethod
    def from_settings(cls, settings: Settings) -> "GHArchiveSource":
        bounds = Bounds.from_settings(settings)
        if settings.gharchive_dir is not None:
            if not settings.gharchive_dir.is_dir():
                raise SourceError(
                    f"QC_GHARCHIVE_DIR={settings.gharchive_dir} is not a folder: create it, or unset the variable "
                    "to download"
                )
            return cls(Warehouse.from_settings(settings), settings.gharchive_dir, None, bounds)
        cache = settings.home / "gharchive"
        downloader = Downloader(settings.gharchive_url, cache, bounds) if settings.gharchive_download else None
        return cls(Warehouse.from_settings(settings), cache, downloader, bounds)

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
            try:
                batch = self._day(day, repos, tables, work)
            except QcError:
                raise
            except Exception as error:  # noqa: BLE001 - of whatever library, it costs this day and no other
                reason = f"{day} cannot be read: {type(error).__name__}: {error}".splitlines()[0]
                batch = Batch(days=(day,), tables={}, status="failed", error=reason)
            batch.requests = (self.downloader.requests if self.downloader else 0) - before
            yield batch
            shutil.rmtree(work, ignore_errors=True)  # the batch has been merged

    def _day(self, day: date, repos: Sequence[str], tables: Sequence[str], work: Path) -> Batch:
        inputs = self.inputs(day)
        with ThreadPoolExecutor(4) as pool:
            files = list(pool.map(lambda name: self._hour(name, work), hours.hour_names(day)))
        if all(file.is_unreachable for file in files):
            raise SourceError(str(files[0].letters[0].reason))
        ids = self.ids_of(repos)
        staged: dict[str, list[Path]] = {}
        with self.warehouse.scratch() as connection:
            events = DayOfEvents(connection, day, work, self.bounds)
            files = events.read(files, repos, {number for numbers in ids.values() for number in numbers})
            letters, bad_lines = events.refused()
            if any(file.path for file in files):
                staged = self._transform(connection, events, day, tables, work)
            for name, numbers in events.ids_named(repos).items():
                ids[name] = sorted({*ids[name], *numbers})
        bad_lines += sum(file.bad_lines for file in files)
        problem = _problem(day, files, bad_lines)
        return Batch(
            days=(day,),
            tables=staged,
            status="failed" if not staged else "partial" if problem else "done",
            error=problem,
            dead_letters=[letter for file in files for letter in file.letters] + letters,
            lines=sum(file.lines for file in files),
            bad_lines=bad_lines,
            inputs=inputs,
            repo_ids=ids,
            share_read=1 - sum(file.is_gap for file in files) / len(files),
        )

    def _hour(self, name: str, work: Path) -> hours.HourFile:
        path = self.folder / name
        if self.downloader is not None:
            try:
                path = self.downloader.get(name, work)
            except NoSuchHourError as error:
                return hours.missing(name, str(error), is_unreachable=error.is_unreachable)
        return hours.verify(path, self.bounds) if path.is_file() else hours.missing(name)

    def inputs(self, day: date) -> frozenset[str] | None:
        """The files of a day that lie in the folder, each with size and time of change; None for downloads."""
        if self.downloader is not None:
            return None
        paths = [self.folder / name for name in hours.hour_names(day)]
        return frozenset(f"{path.name} {' '.join(map(str, changed_when([path])))}" for path in paths if path.is_file())

    def ids_of(self, repos: Sequence[str]) -> dict[str, list[int]]:
        """Ids of named repositories, as far as the warehouse knows them by now."""
        ids: dict[str, list[int]] = {name: [] for name in repos}
        spelled = {name.lower(): name for name in repos}
        try:
            rows = self.warehouse.sql_file("sources/gharchive", {"repos": list(spelled)}, section="ids").rows()
        except WarehouseMissingError:
            return ids
        for name, number in rows:
            ids[spelled[name]].append(number)
        return ids

    def _transform(
        self, connection: duckdb.DuckDBPyConnection, events: DayOfEvents, day: date, tables: Sequence[str], work: Path
    ) -> dict[str, list[Path]]:
        staged: dict[str, list[Path]] = {table: [] for table in tables}
        sections = sql_sections("sources/gharchive")
        for table in sections.keys() & staged.keys():  # of other tables the archive knows nothing
            query = sections[table].rstrip(";")
            # An account acts in many repositories, so its rows are not in one slice; but they are narrow.
            slices = [events.files()] if table == "users" else [events.files(n) for n in range(events.slices)]
            for files in filter(None, slices):
                target = work / f"{table}-{len(staged[table])}.parquet"
                connection.execute(
                    f"COPY ({query}) TO $target ({_PARQUET})",
                    {"events": files, "day": day, "target": str(target)},
                )
                staged[table].append(target)
        return staged


def _problem(day: date, files: Sequence[hours.HourFile], bad_lines: int) -> str | None:
    """What is missing of a day, where, and how to mend it; None if nothing is."""
    gaps = [file.name for file in files if file.is_gap]
    parts = []
    if gaps:
        some = ", ".join(gaps[:3]) + (", …" if len(gaps) > 3 else "")
        parts.append(f"{len(gaps)} of 24 hours are missing or damaged ({some})")
    if bad_lines:
        parts.append(f"{bad_lines} lines could not be read")
    if not parts:
        return None
    return (
        f"{day}: {' and '.join(parts)}; ops.dead_letters says which and why. When the archive has mended a file, put "
        "it in place and run the same backfill again"
    )


SOURCE = GHArchiveSource
