"""GH Archive's hourly files: what they are called, and whether DuckDB can read them as they are."""

import zlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import cast

from isal import igzip, isal_zlib

from qc_assets.sources.bounded import GZIP, Bounds
from qc_assets.store.dead_letters import DeadLetter

DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, cast(type[Exception], isal_zlib.error))
_CHUNK = 1 << 22
_GAPS = frozenset(("truncated_file", "damaged_file", "oversized_file"))


@dataclass(frozen=True)
class HourFile:
    """One hour of the archive.

    Attributes:
        name: the file's name, as in ``2015-01-01-0.json.gz``.
        path: where it lies; None if there is nothing to read.
        is_plain: whether DuckDB may try it: one gzip that is whole, with no line that is too long.
        lines, bad_lines: number of lines that are not empty, and how many of them cannot be read.
        size: unpacked bytes.
        letters: what is not there, or could not be read.
        is_unreachable: whether nobody answered who has it.
    """

    name: str
    path: Path | None
    is_plain: bool = False
    lines: int = 0
    bad_lines: int = 0
    size: int = 0
    letters: list[DeadLetter] = field(default_factory=list)
    is_unreachable: bool = False

    @property
    def is_gap(self) -> bool:
        """Whether all of it, or a part that nobody can count, is missing."""
        return self.path is None or any(letter.error_type in _GAPS for letter in self.letters)


def hour_names(day: date) -> list[str]:
    """The 24 file names of a day; GH Archive writes the hour without a leading zero."""
    return [f"{day.isoformat()}-{hour}.json.gz" for hour in range(24)]


def verify(path: Path, bounds: Bounds) -> HourFile:
    """Gunzip the whole file once and count its lines.

    DuckDB reads a truncated gzip without complaint, so this is the only way to know. What is not as it should be is
    read line by line (`salvage`).
    """
    doubtful = HourFile(path.name, path)
    with path.open("rb") as stream:
        if stream.read(len(GZIP)) != GZIP:
            return doubtful
    lines, size, begun = 0, 0, 0
    most = bounds.unpacked(path.stat().st_size)
    try:
        with igzip.open(path, "rb") as stream:
            while chunk := stream.read(min(_CHUNK, bounds.line)):
                first = chunk.find(b"\n")
                if begun + (len(chunk) if first < 0 else first) > bounds.line or size > most:
                    return doubtful
                begun = begun + len(chunk) if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
                lines += chunk.count(b"\n")
                size += len(chunk)
    except DAMAGE:
        return doubtful
    return HourFile(path.name, path, True, lines + (begun > 0), 0, size) if size else doubtful


def missing(
    name: str, reason: str = "no such file; the hour is a known gap", *, is_unreachable: bool = False
) -> HourFile:
    """An hour that neither the folder nor the server has."""
    return HourFile(name, None, letters=[letter(name, "missing_hour", reason)], is_unreachable=is_unreachable)


def letter(name: str, error_type: str, reason: str, line: int | None = None, excerpt: bytes = b"") -> DeadLetter:
    """What is wrong with (a line of) a file; its name begins with the day that it belongs to."""
    text = excerpt[:200].decode("utf-8", "replace").strip("\0 \t\r\n")
    return DeadLetter(date.fromisoformat(name[:10]), name, error_type, reason, line, text or None)
