"""GH Archive's hourly files: finding, downloading, verifying, and saving what can be saved of damaged ones."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import httpx
from isal import igzip, isal_zlib
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from qc_assets.errors import SourceError
from qc_assets.store.dead_letters import DeadLetter

_CHUNK = 1 << 22
_LETTERS_PER_FILE = 100
_DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, cast(type[Exception], isal_zlib.error))


class _BrokenOffError(Exception):
    """The server closed the connection before the whole file had come."""


@dataclass(frozen=True)
class HourFile:
    """One hour of the archive.

    Attributes:
        name: the file's name, as in ``2015-01-01-0.json.gz``.
        path: what DuckDB should read; None if there is nothing to read.
        lines: number of non-empty lines, as far as they could be read.
        damage: why the file is not whole, if it is not.
    """

    name: str
    path: Path | None
    lines: int = 0
    damage: DeadLetter | None = None


def hour_names(day: date) -> list[str]:
    """The 24 file names of a day; GH Archive writes the hour without a leading zero."""
    return [f"{day.isoformat()}-{hour}.json.gz" for hour in range(24)]


def verify(path: Path, folder: Path) -> HourFile:
    """Gunzip the whole file, count its lines, and save the whole lines of a damaged one.

    DuckDB reads a truncated gzip without complaint, so this is the only way to know.

    Args:
        path: an hourly file.
        folder: where the readable part of a damaged file is written, uncompressed.
    """
    lines, last = 0, b"\n"
    try:
        for chunk in _chunks(path):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    except _DAMAGE as error:
        return _salvage(path, folder, error)
    lines += last != b"\n"
    if lines == 0:
        return HourFile(path.name, None, damage=_letter(path.name, "empty_file", "the file holds no events"))
    return HourFile(path.name, path, lines)


def _chunks(path: Path) -> Iterator[bytes]:
    with igzip.open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _salvage(path: Path, folder: Path, error: BaseException) -> HourFile:
    if path.stat().st_size == 0:
        return HourFile(path.name, None, damage=_letter(path.name, "empty_file", "the file has no bytes"))
    saved = folder / path.name.removesuffix(".gz")
    rest, lines = b"", 0
    with saved.open("wb") as target, path.open("rb") as source:
        decompress = isal_zlib.decompressobj(wbits=31)
        try:
            while raw := source.read(1 << 16):
                whole, newline, rest = (rest + decompress.decompress(raw)).rpartition(b"\n")
                target.write(whole + newline)
                lines += (whole + newline).count(b"\n")
        except _DAMAGE as first:
            error = first
    if lines == 0:
        start = path.read_bytes()[:200].decode("utf-8", "replace")
        return HourFile(path.name, None, damage=_letter(path.name, "not_gzip", f"not a gzip file: {error}", 1, start))
    excerpt = rest[:200].decode("utf-8", "replace")
    damage = _letter(path.name, "truncated_file", f"the file breaks off: {error}", lines + 1, excerpt)
    return HourFile(path.name, saved, lines, damage)


def bad_lines(file: HourFile) -> list[DeadLetter]:
    """Find the lines that are not JSON objects with a type, slowly; at most 100 of them, then a summary."""
    assert file.path is not None
    letters: list[DeadLetter] = []
    count = 0
    opener = igzip.open if file.path.suffix == ".gz" else open
    with opener(file.path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            reason = _why_bad(line)
            if reason is not None:
                count += 1
                if count <= _LETTERS_PER_FILE:
                    excerpt = line[:200].decode("utf-8", "replace").strip()
                    letters.append(_letter(file.name, "malformed_line", reason, number, excerpt))
    if count > _LETTERS_PER_FILE:
        letters.append(_letter(file.name, "malformed_line", f"and {count - _LETTERS_PER_FILE} more lines of this file"))
    return letters


def _why_bad(line: bytes) -> str | None:
    if not line.strip():
        return None
    try:
        event = json.loads(line)
    except ValueError as error:
        return f"not JSON: {error}"
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return "not an event: it has no type"
    return None


class Downloader:
    """Fetches hourly files into a cache; a file in the cache is whole.

    Args:
        base_url: such as ``https://data.gharchive.org``.
        cache: folder of downloaded files.
        attempts: how often one file is tried before giving up.
    """

    def __init__(self, base_url: str, cache: Path, *, attempts: int = 6) -> None:
        self.base_url = base_url.rstrip("/")
        self.cache = cache
        self.attempts = attempts
        self.requests = 0

    def get(self, name: str) -> Path | None:
        """The cached file, downloading it first; None if the server has no such hour.

        A download that breaks off goes on where it stopped (`Range`); only a file that gunzips to its end is kept.

        Raises:
            SourceError: if the server cannot be reached or keeps sending damaged files.
        """
        path = self.cache / name
        if path.exists():
            return path
        self.cache.mkdir(parents=True, exist_ok=True)
        attempts = Retrying(
            retry=retry_if_exception_type((httpx.TransportError, _BrokenOffError)),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=20),
        )
        try:
            return attempts(self._download, name, path)
        except RetryError as error:
            raise SourceError(
                f"{self.base_url}/{name}: {error.last_attempt.exception()} ({self.attempts} attempts). Check the "
                "network and QC_GHARCHIVE_URL, or put the files in a folder and set QC_GHARCHIVE_DIR"
            ) from error

    def _download(self, name: str, path: Path) -> Path | None:
        part = path.with_suffix(".part")
        held = part.stat().st_size if part.exists() else 0
        self.requests += 1
        headers = {"Range": f"bytes={held}-"} if held else {}
        with httpx.stream(
            "GET", f"{self.base_url}/{name}", headers=headers, timeout=60, follow_redirects=True
        ) as answer:
            if answer.status_code == 404:
                return None
            if answer.status_code == 416 or answer.status_code >= 500 or answer.status_code == 429:
                if answer.status_code == 416:  # what is held does not fit the file
                    part.unlink(missing_ok=True)
                raise _BrokenOffError(f"HTTP {answer.status_code}")
            if answer.status_code not in (200, 206):
                raise SourceError(f"{self.base_url}/{name}: HTTP {answer.status_code}; check QC_GHARCHIVE_URL")
            with part.open("ab" if answer.status_code == 206 else "wb") as target:
                for chunk in answer.iter_raw():
                    target.write(chunk)
        try:
            for _ in _chunks(part):
                continue
        except EOFError as error:
            raise _BrokenOffError("the file breaks off") from error
        except _DAMAGE as error:
            part.unlink()
            raise _BrokenOffError(f"the file is damaged: {error}") from error
        part.replace(path)
        return path


def missing(name: str) -> HourFile:
    """An hour that neither the folder nor the server has."""
    return HourFile(name, None, damage=_letter(name, "missing_hour", "no such file; the hour is a known gap"))


def _letter(name: str, error_type: str, reason: str, line: int | None = None, excerpt: str | None = None) -> DeadLetter:
    """What is wrong with (a line of) a file; its name begins with the day that it belongs to."""
    return DeadLetter(date.fromisoformat(name[:10]), name, error_type, reason, line, excerpt)
