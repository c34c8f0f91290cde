"""Reading an hour line by line in plain Python: what DuckDB refuses, or would read as something else.

Each line is one event, or one dead letter. What can be mended without guessing is: a byte-order mark, zeros before an
event, bytes that are no UTF-8, halves of surrogate pairs.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from duckdb.sqltypes import DuckDBPyType
from isal import igzip

from qc_assets.sources.bounded import GZIP, Bounds, FileLine, as_utf8, cut_lines, unpack
from qc_assets.sources.gharchive.hours import HourFile, letter
from qc_assets.store.dead_letters import DeadLetter

LETTERS_PER_FILE = 100
_SPACE = b" \t\r\n\v\f"
_BLANK = b"\0" + _SPACE


class _BadLineError(Exception):
    """Why a line is no event."""


def salvage(path: Path, folder: Path, shape: Mapping[str, Any], types: Iterable[str], bounds: Bounds) -> HourFile:
    """Write the events of a file that can be read to `folder`, each with the number of its line.

    Args:
        path: an hourly file.
        folder: where the copy is written, gzipped.
        shape: what an event's values must be, from `json_shape`; of other types of event it is not asked.
        types: the types of event that are of use.
        bounds: past which a line, or the rest of the file, is a dead letter.
    """
    useful = frozenset(types)
    letters: list[DeadLetter] = []
    lines = bad_lines = events = size = 0
    target = folder / path.name
    with igzip.open(target, "wb", compresslevel=1) as stream:
        for line in cut_lines(as_utf8(unpack(path, bounds)), bounds):
            size += line.size
            before = bad_lines
            for piece in _pieces(line):
                lines += 1
                try:
                    stream.write(_packed(_event(piece, useful, shape, bounds)))
                    events += 1
                except _BadLineError as error:
                    bad_lines += 1
                    if not line.damage and bad_lines <= LETTERS_PER_FILE:
                        kind = "malformed_line" if line.is_whole else "oversized_line"
                        letters.append(letter(path.name, kind, str(error), line.number, piece.text))
            if line.damage:
                number = line.number if bad_lines > before else None  # of the line that is cut, if one is
                letters.append(letter(path.name, line.damage.kind, str(line.damage), number, line.text))
    if bad_lines > LETTERS_PER_FILE:
        more = f"and {bad_lines - LETTERS_PER_FILE} more lines of this file"
        letters.append(letter(path.name, "malformed_line", more))
    if not lines:
        return HourFile(path.name, None, letters=letters or [letter(path.name, "empty_file", "the file has no events")])
    if not events and not _is_gzip(path):
        return HourFile(path.name, None, letters=[_no_gzip(path)])
    return HourFile(path.name, target, False, lines, bad_lines, size, letters)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def _no_gzip(path: Path) -> DeadLetter:
    with path.open("rb") as stream:
        return letter(path.name, "not_gzip", "neither gzip nor lines of JSON", 1, stream.read(200))


def _pieces(line: FileLine) -> list[FileLine]:
    """What a line holds: nothing, or one piece, but for an event behind a block of zeros, where something was lost."""
    text = line.text.strip(_SPACE)
    if not text:
        return []
    pieces: list[FileLine] = []
    while line.is_whole and b"\0" in text:
        head, _, tail = text.rpartition(b"\0")
        if not _is_object(tail):
            break
        pieces.insert(0, FileLine(line.number, tail, len(tail)))
        text = head.strip(_BLANK)
    return [*([FileLine(line.number, text, len(text) if line.is_whole else line.size)] if text else []), *pieces]


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _event(line: FileLine, useful: frozenset[str], shape: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    """The event of a line, with the line's number.

    Raises:
        _BadLineError: if there is none.
    """
    if not line.is_whole:
        raise _BadLineError(
            f"the line has {line.size} bytes, more than QC_MAX_LINE_BYTES={bounds.line}; if it is an event, raise "
            "that and load the day with --refresh"
        )
    try:
        event = json.loads(line.text.strip(_BLANK).decode("utf-8", "replace").removeprefix("\ufeff"))
    except RecursionError as error:
        raise _BadLineError("not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:
        raise _BadLineError(f"not JSON: {error}") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise _BadLineError("not an event: it has no type")
    if event["type"] in useful and (misfit := _misfit(event, shape, "")):
        raise _BadLineError(f"not an event: {misfit}")
    return event | {"line": line.number}


def _packed(event: Mapping[str, Any]) -> bytes:
    """As a line of JSON that every reader takes; lone halves of surrogate pairs become U+FFFD."""
    try:
        text = json.dumps(event, ensure_ascii=False)
    except RecursionError as error:
        raise _BadLineError("not JSON that can be read: it is nested too deeply") from error
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode() + b"\n"


def json_shape(kind: DuckDBPyType) -> Any:
    """A DuckDB type as values of JSON must be: a dict of shapes, a list with one, or the name of a type."""
    children = dict(kind.children) if kind.id in ("struct", "list") else {}
    if kind.id == "struct":
        return {name: json_shape(child) for name, child in children.items()}
    return [json_shape(children["child"])] if kind.id == "list" else kind.id


def _misfit(value: Any, shape: Any, place: str) -> str | None:
    """Where a value is not what it should be; what is not told fits."""
    if value is None:
        return None
    if isinstance(shape, dict):
        if value == "":  # so some events name nobody
            return None
        if not isinstance(value, dict):
            return f"{place.rstrip('.')} is no object"
        parts = ((value.get(name), part, f"{place}{name}.") for name, part in shape.items())
        return next((misfit for part in parts if (misfit := _misfit(*part))), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place.rstrip('.')} is no list"
        return next((misfit for item in value if (misfit := _misfit(item, shape[0], place))), None)
    if shape == "bigint" and not _is_whole(value):
        return f"{place.rstrip('.')} is no whole number: {str(value)[:50]}"
    if shape == "boolean" and not isinstance(value, bool):
        return f"{place.rstrip('.')} is neither true nor false: {str(value)[:50]}"
    return None


def _is_whole(value: Any) -> bool:
    """Whether DuckDB takes it for a whole number: in quotes, too."""
    if isinstance(value, str):
        return re.fullmatch(r"-?[0-9]{1,18}", value) is not None
    return isinstance(value, int | float) and -(2**63) <= value < 2**63
