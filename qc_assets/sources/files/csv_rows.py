"""Rows of CSV read line by line: a line has a bound, and a quote that nobody closes costs its own line only."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from qc_assets.errors import SourceError
from qc_assets.sources.bounded import Bounds, FileLine, as_utf8, cut_lines, unpack

# A line's number, what is wrong with it, and how it begins.
BadLine = tuple[int, str, str]
_OPEN = "a quote is opened and not closed"
_SEPARATORS = ",;\t|"


def csv_records(path: Path, bounds: Bounds) -> Iterator[tuple[int, list[str]] | BadLine]:
    """The records of a CSV file, the header first, each with the number of its first line; blank lines are passed over.

    Cells stand between what the header has most of: commas, semicolons, tabs or bars. A record goes on over lines while
    a quote is open. Where it does not fit under the header, or never ends, its first line is bad and the next line is
    looked at anew: so a stray quote takes nothing with it.

    Raises:
        SourceError: if the file has no header, or cannot be read to its end.
    """
    # Longer than a record may be: what is too long is bad here, and no error of the module's.
    csv.field_size_limit(max(csv.field_size_limit(), bounds.line + 2))
    lines = _Lines(path, bounds)
    width: int | None = None
    separator = ","
    while (line := lines.next()) is not None:
        if not line.is_whole:
            yield line.number, f"{line.size} bytes, more than QC_MAX_LINE_BYTES={bounds.line}", _begin(line)
            continue
        if not line.text.strip():
            continue
        if width is None:
            separator = max(_SEPARATORS, key=line.text.decode("utf-8", "replace").count)
        taken = [line]
        cells, trouble = _record(taken, lines, bounds, separator)
        if not trouble and width is not None and len(cells) != width:
            trouble = f"{len(cells)} cells under {width} column names"
        if not trouble:
            width = width or len(cells)
            yield line.number, cells
        elif width is None:
            raise SourceError(f"{path} has no header that can be read: {trouble}")
        else:
            lines.give_back(taken[1:])
            yield line.number, trouble, _begin(line)
    if width is None:
        raise SourceError(f"{path} has no header: its first line names the columns")


def _record(taken: list[FileLine], lines: "_Lines", bounds: Bounds, separator: str) -> tuple[list[str], str]:
    """The cells of the record that begins with a line, and what is wrong with it; what it took is added to `taken`."""
    trouble = ""

    def texts() -> Iterator[str]:
        nonlocal trouble
        size = len(taken[0].text)
        yield f"{taken[0].text.decode('utf-8', 'replace')}\n"
        # The module asks for another line only while a quote is open.
        while (line := lines.next()) is not None:
            taken.append(line)
            size += line.size + 1
            if not line.is_whole or size > bounds.line:
                break
            yield f"{line.text.decode('utf-8', 'replace')}\n"
        trouble = _OPEN

    try:
        # Strictly, as the next quote would be taken for the end of one that nobody closed.
        return next(csv.reader(texts(), strict=True, delimiter=separator), []), trouble
    except csv.Error as error:
        if len(taken) > 1:
            return [], trouble or _OPEN
        try:
            return next(csv.reader([f"{taken[0].text.decode('utf-8', 'replace')}\n"], delimiter=separator)), trouble
        except csv.Error:
            return [], trouble or f"not CSV: {error}"


def _begin(line: FileLine) -> str:
    return line.text.decode("utf-8", "replace")[:200].strip()


class _Lines:
    """The lines of a file, some of which were given back."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._lines = cut_lines(_with_newlines(as_utf8(unpack(path, bounds))), bounds)
        self._back: deque[FileLine] = deque()

    def next(self) -> FileLine | None:
        if self._back:
            return self._back.popleft()
        line = next(self._lines, None)
        if line is not None and line.damage:
            raise SourceError(f"{self._path} cannot be read to its end: {line.damage}. Export it again")
        return line

    def give_back(self, lines: list[FileLine]) -> None:
        self._back.extendleft(reversed(lines))


def _with_newlines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same, where lines end with a carriage return only, as old spreadsheets write them."""
    is_old: bool | None = None
    for piece in pieces:
        if is_old is None and piece:
            is_old = b"\r" in piece and b"\n" not in piece
        yield piece.replace(b"\r", b"\n") if is_old else piece
