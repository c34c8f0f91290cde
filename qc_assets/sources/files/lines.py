"""CSV and lines of JSON as Parquet files of texts, each row with the line that it came from."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from qc_assets.errors import SourceError
from qc_assets.forges import LONGEST_FORGE_TEXT
from qc_assets.sources.bounded import Bounds, as_utf8, clean, cut_lines, unpack
from qc_assets.sources.files.csv_rows import BadLine, csv_records

LINE = "line of the file"
NAMES = ("login", "username", "full_name", "path_with_namespace", "nameWithOwner", "name")
"""What an account, a repository or a label is called where a dump has an object for it; the first that is there."""
_HELD = 2**26  # characters, of rows that are held in memory at once
_ROW = 2**10  # characters that a row takes beside its texts


def columns_named(there: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """The place of each known column among those of a file, however it is spelled: `createdAt`, `CREATED_AT`.

    Raises:
        SourceError: if two columns are called the same.
    """
    by_letters = {_letters(name): name for name in known}
    places: dict[str, list[int]] = {}
    for place, column in enumerate(there):
        if name := by_letters.get(_letters(column)):
            places.setdefault(name, []).append(place)
    chosen = {name: [each for each in same if there[each] == name] or same for name, same in places.items()}
    for same in chosen.values():
        if len(same) > 1:
            raise SourceError(f"has two columns {there[same[0]]}: leave one of them")
    return {name: same[0] for name, same in chosen.items()}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def texts_of(
    path: Path, known: Sequence[str], folder: Path, bounds: Bounds
) -> tuple[list[Path], list[tuple[int, str, str]], int]:
    """Write what a file says as texts, NULL where it says nothing.

    Args:
        path: CSV with a header, or lines of JSON, gzipped or not; UTF-8.
        known: the columns that are asked for.
        folder: an empty folder for the Parquet files; they have the column `LINE` as well.
        bounds: past which a line is none.

    Returns:
        The Parquet files; of each line that is not one its number, what is wrong and how it begins; and how many
        lines there were.

    Raises:
        SourceError: if the file has no header, no line that can be read, or is not gzipped to its end.
    """
    parts: list[Path] = []
    bad: list[tuple[int, str, str]] = []
    lines = 0
    try:
        rows = (_csv_rows if ".csv" in path.name.lower()[-7:] else _json_rows)(path, known, bounds)
        for chunk in _chunks(rows):
            lines += len(chunk)
            bad += [row for row in chunk if isinstance(row, tuple)]
            good = [row for row in chunk if isinstance(row, dict)]
            columns = sorted({name for row in good for name in row} - {LINE})
            schema = {LINE: pl.Int64} | dict.fromkeys(columns, pl.String)
            parts.append(folder / f"{len(parts)}.parquet")
            pl.DataFrame(good, schema=schema).write_parquet(parts[-1], compression="lz4")
    except OSError as error:
        raise SourceError(f"{path} cannot be read to its end: {error}. Export it again") from error
    if bad and len(bad) == lines:  # the file is another thing than its name says
        raise SourceError(f"{path} has no line that can be read; line {bad[0][0]}: {bad[0][1]}")
    return parts, bad, lines


def _chunks(rows: Iterator[dict[str, Any] | BadLine]) -> Iterator[list[dict[str, Any] | BadLine]]:
    """Rows, as many at once as fit; of one whose text no forge takes, what is wrong with it."""
    chunk: list[dict[str, Any] | BadLine] = []
    held = 0
    for row in rows:
        if isinstance(row, dict):
            sizes = {name: len(text) for name, text in row.items() if isinstance(text, str)}
            name = max(sizes, key=sizes.__getitem__, default="")
            if name and sizes[name] > LONGEST_FORGE_TEXT:
                row = (row[LINE], f"{name} has {sizes[name]:,} characters; a forge takes {LONGEST_FORGE_TEXT:,}", "")
            else:
                held += sum(sizes.values())
        chunk.append(row)
        held += _ROW
        if held > _HELD:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _csv_rows(path: Path, known: Sequence[str], bounds: Bounds) -> Iterator[dict[str, Any] | BadLine]:
    records = csv_records(path, bounds)
    columns: list[tuple[int, str]] | None = None
    for record in records:
        if len(record) == 3:
            yield record
        elif columns is None:
            try:
                places = columns_named([name.strip() for name in record[1]], known)
            except SourceError as error:
                raise SourceError(f"{path} {error}") from error
            columns = [(place, name) for name, place in places.items()]
        else:
            yield {LINE: record[0]} | {name: record[1][place] or None for place, name in columns}


def _json_rows(path: Path, known: Sequence[str], bounds: Bounds) -> Iterator[dict[str, Any] | tuple[int, str, str]]:
    spelled: dict[str, dict[str, int]] = {}  # of rows with the same keys
    for line in cut_lines(as_utf8(unpack(path, bounds)), bounds):
        if line.damage:
            raise SourceError(f"{path} cannot be read to its end: {line.damage}. Export it again") from line.damage
        text = line.text.decode("utf-8", "replace")
        if not text.strip():
            continue
        if not line.is_whole:
            yield line.number, f"{line.size} bytes, more than QC_MAX_LINE_BYTES={bounds.line}", text
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield line.number, f"not JSON: {error}", text[:200].strip()
            continue
        if not isinstance(row, dict):
            yield line.number, "not an object of column names and values", text[:200].strip()
            continue
        keys = list(row)
        try:
            places = spelled.get(repr(keys)) or spelled.setdefault(repr(keys), columns_named(keys, known))
        except SourceError as error:
            yield line.number, f"it {error}", text[:200].strip()
            continue
        yield {LINE: line.number} | {name: _text(row[keys[place]]) for name, place in places.items()}


def _text(value: object) -> str | None:
    if isinstance(value, dict) and isinstance(value.get("nodes"), list):  # as GraphQL has lists
        value = value["nodes"]
    value = [_plain(each) for each in value] if isinstance(value, list) else _plain(value)
    return clean(value) if value is None or isinstance(value, str) else json.dumps(value)


def _plain(value: object) -> object:
    """What an object is called; others as they are."""
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in NAMES if isinstance(value.get(name), str)), value)
