"""CSV and lines of JSON as Parquet files of texts, each row with the line that it came from."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from qc_assets.errors import SourceError
from qc_assets.sources.bounded import Bounds, as_utf8, cut_lines, unpack
from qc_assets.sources.files.csv_rows import BadLine, csv_records

LINE = "line of the file"
_ROWS = 50_000  # held in memory at once


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
        SourceError: if the file has no header, or is not gzipped to its end.
    """
    parts: list[Path] = []
    bad: list[tuple[int, str, str]] = []
    lines = 0
    try:
        rows = (_csv_rows if ".csv" in path.suffixes[-2:] else _json_rows)(path, known, bounds)
        while chunk := list(islice(rows, _ROWS)):
            lines += len(chunk)
            bad += [row for row in chunk if isinstance(row, tuple)]
            good = [row for row in chunk if isinstance(row, dict)]
            columns = sorted({name for row in good for name in row} - {LINE})
            schema = {LINE: pl.Int64} | dict.fromkeys(columns, pl.String)
            parts.append(folder / f"{len(parts)}.parquet")
            pl.DataFrame(good, schema=schema).write_parquet(parts[-1], compression="lz4")
    except OSError as error:
        raise SourceError(f"{path} cannot be read to its end: {error}. Export it again") from error
    return parts, bad, lines


def _csv_rows(path: Path, known: Sequence[str], bounds: Bounds) -> Iterator[dict[str, Any] | BadLine]:
    records = csv_records(path, bounds)
    columns: list[tuple[int, str]] | None = None
    for record in records:
        if len(record) == 3:
            yield record
        elif columns is None:
            names = [name.strip() for name in record[1]]
            columns = [(place, name) for place, name in enumerate(names) if name in known]
        else:
            yield {LINE: record[0]} | {name: record[1][place] or None for place, name in columns}


def _json_rows(path: Path, known: Sequence[str], bounds: Bounds) -> Iterator[dict[str, Any] | tuple[int, str, str]]:
    names = set(known)
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
        else:
            yield {LINE: line.number} | {name: _text(value) for name, value in row.items() if name in names}


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
