"""The events of a day's hours as Parquet files, cut into slices by repository.

DuckDB reads the compressed JSON itself, typed and in parallel, and strictly: whatever it stumbles over makes it refuse
the lot. Then the files at fault are told, and these alone are read line by line (`salvage`).
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb

from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive.hours import HourFile, letter
from qc_assets.sources.gharchive.salvage import LETTERS_PER_FILE, json_shape, salvage
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.schema import sql_sections

_REASONS = {
    "malformed_line": "has no type",
    "no_repository": "names no repository",
    "impossible_time": "has a time that is none, or was not yet",
    "no_item": "does not say what it is about",
    "impossible_number": "has a number below zero",
    "foreign_id": "has an id that cannot be GitHub's (2**40 or more)",
    "endless_text": "has a text of more than 512 KiB, twice what GitHub takes",
    "endless_list": "has more than 1,000 labels or reviewers, ten times what GitHub takes",
}
# The strings of one slice are held in memory at once; unpacked bytes. Of long lines most is strings, of others little.
_BYTES_PER_SLICE, _BYTES_PER_LONG_SLICE, _LONG_LINE = 2**30, 2**27, 2**14
_ROWS_HELD_PER_SLICE, _BYTES_HELD = 1_000, 2**27  # while the slices are being written


class DayOfEvents:
    """What is of use in the hours of a day.

    Args:
        connection: in memory, with the project's macros.
        day: the files'.
        work: an empty folder.
        bounds: past which a line, or the rest of a file, is a dead letter.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, day: date, work: Path, bounds: Bounds) -> None:
        self.connection = connection
        self.day = day
        self.folder = work / "events"
        self.bounds = bounds
        self.slices, self._rows_held = 1, _ROWS_HELD_PER_SLICE
        self._saved_folder = work / "saved"
        [(useful, of_no_use)] = connection.execute(sql_sections("sources/gharchive")["types"]).fetchall()
        self._types = {"useful": useful, "of_no_use": [kind for kind in of_no_use if kind not in useful]}
        self._kind = connection.sql(sql_sections("sources/gharchive")["event"]).types[0]
        self._names: dict[str, str] = {}

    def read(self, files: Sequence[HourFile], repos: Sequence[str], ids: Collection[int]) -> list[HourFile]:
        """Write the events of some hours.

        Args:
            files: verified hours.
            repos: only these repositories; empty means all.
            ids: and these, whatever they are called.

        Returns:
            The hours, with what became of those that were read line by line.
        """
        self._saved_folder.mkdir()
        hours, paths = {file.name: file for file in files}, {file.name: file.path for file in files}
        known = set(ids)
        doubtful = {file.name for file in files if file.path is not None and not file.is_plain}
        while True:
            for name in sorted(doubtful):
                path = paths[name]
                if path is not None:
                    hours[name] = salvage(
                        path, self._saved_folder, json_shape(self._kind), self._types["useful"], self.bounds
                    )
            doubtful = self._write(list(hours.values()), repos, known)
            strangers = {number for numbers in self.ids_named(repos).values() for number in numbers} - known
            if not doubtful and not strangers:
                return list(hours.values())
            known |= strangers

    def _write(self, files: Sequence[HourFile], repos: Sequence[str], ids: Collection[int]) -> set[str]:
        """Write the events; returns names of files that have to be read line by line first."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._names = {str(file.path): file.name for file in files}
        size, lines = sum(file.size for file in files), sum(file.lines for file in files)
        a_line = size // max(lines, 1)
        self.slices = 1 + size // (_BYTES_PER_SLICE if a_line < _LONG_LINE else _BYTES_PER_LONG_SLICE)
        self._rows_held = max(1, min(_ROWS_HELD_PER_SLICE, _BYTES_HELD // (self.slices * max(a_line, 1))))
        filters = {"everything": not repos, "repos": [name.lower() for name in repos], "ids": list(ids)}
        plain = [str(file.path) for file in files if file.path is not None and file.is_plain]
        try:
            self._copy("plain", plain, filters, lenient=False)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            refused = {self._names[path] for path in plain if not self._takes(path, filters)}
            if not refused:
                raise
            return refused
        saved = [str(file.path) for file in files if file.path is not None and not file.is_plain]
        self._copy("saved", saved, filters, lenient=True)
        return {self._names[path] for path, _, _, _, kind in self._refusals() if path in plain and kind in _REASONS}

    def _takes(self, path: str, filters: Mapping[str, object]) -> bool:
        try:
            self._copy("tried", [path], filters, lenient=False)
        except duckdb.Error:
            return False
        finally:
            shutil.rmtree(self.folder / "tried", ignore_errors=True)
        return True

    def _copy(self, name: str, paths: Sequence[str], filters: Mapping[str, object], *, lenient: bool) -> None:
        if not paths:
            return
        target = self.folder / name
        (target / "slice=0").mkdir(parents=True)
        self.connection.execute(f"SET partitioned_write_flush_threshold = {self._rows_held}")
        query = sql_sections("sources/gharchive")["read"].rstrip(";")
        # A small day is on disk for a moment; a large one must not fill it.
        options = "FORMAT parquet, ROW_GROUP_SIZE 20000, ROW_GROUP_SIZE_BYTES '64MB', COMPRESSION "
        if self.slices == 1:
            target = target / "slice=0" / "all.parquet"
            query = f"SELECT * EXCLUDE (slice) FROM ({query})"
            options += "uncompressed"
        else:
            options += "lz4_raw, PARTITION_BY (slice), OVERWRITE_OR_IGNORE"
        self.connection.execute(
            f"COPY ({query}) TO $target ({options})",
            {
                "target": str(target),
                "files": list(paths),
                "lenient": lenient,
                "max_line": self.bounds.line,
                "columns": {column: str(kind) for column, kind in self._kind.children},
                **self._types,
                "day": self.day,
                "slices": self.slices,
                **filters,
            },
        )

    def files(self, number: int | None = None) -> list[str]:
        """Parquet files of a slice, or of all."""
        return [str(path) for path in sorted(self.folder.glob(f"*/slice={'*' if number is None else number}/*"))]

    def ids_named(self, repos: Sequence[str]) -> dict[str, list[int]]:
        """Ids that had one of these names on the day, by name as it is in `repos`."""
        names = {name.lower(): name for name in repos}
        ids: dict[str, list[int]] = {}
        if names and self.files():
            query, parameters = sql_sections("sources/gharchive")["ids_named"], {"repos": list(names)}
            rows = self.connection.execute(query, parameters | {"events": self.files()}).fetchall()
            for name, number in rows:
                ids.setdefault(names[name], []).append(number)
        return ids

    def _refusals(self) -> list[tuple[str, int | None, str | None, str | None, str]]:
        if not self.files():
            return []
        query = sql_sections("sources/gharchive")["refused"]
        return self.connection.execute(query, {"events": self.files()}).fetchall()

    def refused(self) -> tuple[list[DeadLetter], int]:
        """Dead letters of events that are JSON and no good, and how many lines were lost by that.

        What is of a type that nobody knows is told, and no line is lost: it is of no use here.
        """
        letters: list[DeadLetter] = []
        unknown: dict[tuple[str, str], int] = {}
        bad_lines: dict[str, int] = {}
        for path, line, event, kind, refusal in self._refusals():
            name = self._names[path]
            if refusal not in _REASONS:
                unknown[name, str(kind)] = unknown.get((name, str(kind)), 0) + 1
                continue
            bad_lines[name] = bad_lines.get(name, 0) + 1
            if bad_lines[name] <= LETTERS_PER_FILE:
                letters.append(letter(name, refusal, f"event {event} ({kind}) {_REASONS[refusal]}", line))
        for name, count in bad_lines.items():
            if count > LETTERS_PER_FILE:
                letters.append(
                    letter(name, "malformed_line", f"and {count - LETTERS_PER_FILE} more events of this file")
                )
        for (name, kind), count in unknown.items():
            reason = f"{count} events are of the type {kind[:50]}, which this version does not know"
            letters.append(letter(name, "unknown_type", reason))
        return letters, sum(bad_lines.values())
