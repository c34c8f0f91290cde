"""One bad thing in an hour costs only itself: counted independently, in plain Python, for whatever bytes there are."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc_assets import progress
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive.source import GHArchiveSource
from qc_assets.sources.source import Batch
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import event, issue

DAY = date(2024, 5, 1)
NAME = "2024-05-01-0.json.gz"
Read = Callable[..., tuple[Batch, list[int]]]


def opened(number: int, **changes: Any) -> dict[str, Any]:
    at = f"2024-05-01T00:{number % 60:02}:00Z"
    of = issue(number, created_at=at, updated_at=at, **changes)
    return event("IssuesEvent", at, {"action": "opened", "issue": of}, number=number)


def packed(line: Any) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line, separators=(",", ":")).encode()


def text_of(*lines: Any) -> bytes:
    return b"".join(packed(line) + b"\n" for line in lines)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """Read an hour of these bytes; the numbers of the issues that are staged."""
    place = tmp_path_factory.mktemp("damage")
    hours, staging = place / "hours", place / "staged"
    hours.mkdir()
    staging.mkdir()
    warehouse = Warehouse(place / "qc.duckdb", staging=place / "staging")

    def run(contents: bytes, bounds: Bounds | None = None) -> tuple[Batch, list[int]]:
        (hours / NAME).write_bytes(contents)
        source = GHArchiveSource(warehouse, hours, None, bounds or Bounds())
        days = source.fetch([DAY], repos=(), tables=["issues"], folder=staging, progress=progress.report, held={})
        [(batch, numbers)] = [
            (batch, [number for path in batch.tables.get("issues", ()) for number in pl.read_parquet(path)["number"]])
            for batch in days
        ]
        batch.dead_letters[:] = [letter for letter in batch.dead_letters if letter.error_type != "missing_hour"]
        return batch, sorted(numbers)

    return run


def told(batch: Batch) -> list[tuple[str, int | None]]:
    return [(letter.error_type, letter.line) for letter in batch.dead_letters]


GOOD = [opened(1), opened(3)]
BROKEN = packed(opened(2))
ODD_LINES: dict[str, tuple[bytes, list[int], list[tuple[str, int]]]] = {
    "an event broken over two lines": (
        BROKEN[:150] + b"\n" + BROKEN[150:], [1, 3], [("malformed_line", 2), ("malformed_line", 3)],
    ),
    "two events in one line": (BROKEN + BROKEN, [1, 3], [("malformed_line", 2)]),
    "something behind an event": (BROKEN + b" junk", [1, 3], [("malformed_line", 2)]),
    "zeros before an event": (b"\0" * 4096 + BROKEN, [1, 2, 3], []),
    "half an event and zeros before one": (BROKEN[:99] + b"\0" * 999 + BROKEN, [1, 2, 3], [("malformed_line", 2)]),
    "nothing but zeros": (b"\0" * 4096, [1, 3], [("malformed_line", 2)]),
    "half a surrogate pair": (BROKEN.replace(b"it breaks", rb"it \ud83d breaks"), [1, 2, 3], []),
    "bytes that are no UTF-8": (BROKEN.replace(b"it breaks", b"it \xff breaks"), [1, 2, 3], []),
    "a byte-order mark": (b"\xef\xbb\xbf" + BROKEN, [1, 2, 3], []),
    "a carriage return": (BROKEN + b"\r", [1, 2, 3], []),
    "a blank line": (b" \t\r", [1, 3], []),
    "a key twice": (BROKEN.replace(b'"number":2', b'"number":9,"number":2'), [1, 2, 3], []),
    "deep JSON in what nobody reads": (BROKEN[:-1] + b',"x":' + b"[" * 10**5 + b"]" * 10**5 + b"}", [1, 2, 3], []),
    "deep JSON that ends early": (BROKEN[:-1] + b',"x":' + b"[" * 10**5, [1, 3], [("malformed_line", 2)]),
    "a list": (b"[" + BROKEN + b"]", [1, 3], [("malformed_line", 2)]),
    "a text": (b'"IssuesEvent"', [1, 3], [("malformed_line", 2)]),
    "null": (b"null", [1, 3], [("malformed_line", 2)]),
    "5,000 digits": (BROKEN.replace(b'"number":2', b'"number":' + b"2" * 5000), [1, 3], [("malformed_line", 2)]),
    "too large a number": (BROKEN.replace(b'"comments":0', b'"comments":1e400'), [1, 3], [("malformed_line", 2)]),
    "a number below zero": (BROKEN.replace(b'"comments":0', b'"comments":-1'), [1, 3], [("impossible_number", 2)]),
    "an id that is none of GitHub's": (BROKEN.replace(b'"id":202', b'"id":%d' % 2**40), [1, 3], [("foreign_id", 2)]),
    "the longest text": (BROKEN.replace(b"it breaks", b"x" * 65_536), [1, 2, 3], []),
    "a text without an end": (BROKEN.replace(b"it breaks", b"x" * 2**20), [1, 3], [("endless_text", 2)]),
    "labels without an end": (
        BROKEN.replace(b'"labels":[]', b'"labels":[' + b'{"name":"bug"},' * 1_000 + b'{"name":"a"}]'),
        [1, 3], [("endless_list", 2)],
    ),
    "no number": (BROKEN.replace(b'"number"', b'"numbre"'), [1, 3], [("no_item", 2)]),
    "no repository": (BROKEN.replace(b'"repo"', b'"rope"'), [1, 3], [("no_repository", 2)]),
    "a day that is none": (BROKEN.replace(b"05-01T00:02", b"13-45T00:02"), [1, 3], [("impossible_time", 2)]),
    "a time to come": (BROKEN.replace(b"2024", b"2999"), [1, 3], [("impossible_time", 2)]),
    "an object that is a text": (BROKEN.replace(b'{"id":2,', b'"bob",{"id":2,'), [1, 3], [("malformed_line", 2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_LINES)
def test_an_odd_line_costs_only_itself(read: Read, name: str) -> None:
    line, numbers, letters = ODD_LINES[name]
    batch, staged = read(gzip.compress(text_of(GOOD[0], line, GOOD[1])))
    assert staged == numbers
    assert told(batch) == letters
    assert batch.bad_lines == len(letters)
    assert (batch.error or "").count("lines could not be read") == bool(letters)


def test_a_type_that_nobody_knows_is_told_and_nothing_is_lost_by_it(read: Read) -> None:
    batch, staged = read(gzip.compress(text_of(*GOOD, event("FutureEvent", "2024-05-01T00:00:00Z", {}))))
    assert (staged, batch.bad_lines) == ([1, 3], 0)
    assert told(batch) == [("unknown_type", None)]


WHOLE = text_of(*(opened(n) for n in range(1, 60)))
PACKED = gzip.compress(WHOLE, mtime=0)
FLIPPED = PACKED[:-6] + bytes([PACKED[-6] ^ 1]) + PACKED[-5:]
ODD_FILES: dict[str, tuple[bytes, int, list[str]]] = {
    "members that follow each other": (gzip.compress(WHOLE[:5000]) + gzip.compress(WHOLE[5000:]), 59, []),
    "zeros behind": (PACKED + b"\0" * 100_000, 59, []),
    "zeros between members": (gzip.compress(WHOLE[:5000]) + b"\0" * 70_000 + gzip.compress(WHOLE[5000:]), 59, []),
    "a comment in the header": (PACKED[:3] + b"\x10" + PACKED[4:10] + b"hello\0" + PACKED[10:], 59, []),
    "something else behind": (PACKED + b"garbage", 59, ["damaged_file"]),
    "a wrong checksum": (FLIPPED, 59, ["damaged_file"]),
    "text that is not packed": (WHOLE, 59, []),
    "UTF-16": (gzip.compress(WHOLE.decode().encode("utf-16")), 59, []),
    "a byte-order mark and carriage returns": (
        gzip.compress(b"\xef\xbb\xbf" + WHOLE.replace(b"\n", b"\r\n")), 59, [],
    ),
    "no newline at the end": (gzip.compress(WHOLE[:-1]), 59, []),
    "nothing": (b"", 0, ["empty_file"]),
    "nothing, packed": (gzip.compress(b""), 0, ["empty_file"]),
    "a page": (b"<html>\n503\n</html>", 0, ["not_gzip"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_FILES)
def test_an_odd_file_gives_what_is_in_it(read: Read, name: str) -> None:
    contents, count, letters = ODD_FILES[name]
    batch, staged = read(contents)
    assert staged == list(range(1, count + 1))
    assert [kind for kind, _ in told(batch)] == letters


def test_of_a_second_member_that_is_cut_all_whole_lines_are_saved(read: Read) -> None:
    second = gzip.compress(WHOLE[5000:])
    batch, staged = read(gzip.compress(WHOLE[:5000]) + second[: len(second) * 2 // 3])
    whole = zlib.decompressobj(31).decompress(second[: len(second) * 2 // 3])
    lines = (WHOLE[:5000] + whole).split(b"\n")
    assert staged == list(range(1, len(lines)))
    assert told(batch) == [("truncated_file", len(lines))]
    assert len(staged) + batch.bad_lines == batch.lines


def test_what_is_too_long_is_a_dead_letter_and_its_neighbours_land(read: Read) -> None:
    small = Bounds(line=2**12, file=2**20)
    batch, staged = read(gzip.compress(text_of(opened(1), opened(2, body="x" * 2**13), opened(3))), small)
    assert (staged, told(batch)) == ([1, 3], [("oversized_line", 2)])
    assert "QC_MAX_LINE_BYTES=4096" in batch.dead_letters[0].reason
    batch, staged = read(gzip.compress(text_of(*(opened(1 + n % 9) for n in range(5000)))), small)
    assert (staged, [kind for kind, _ in told(batch)]) == (list(range(1, 10)), ["oversized_file"])
    assert "QC_MAX_FILE_BYTES" in batch.dead_letters[0].reason


def mutated(contents: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, new in changes:
        at = place % (len(contents) + 1)
        contents = contents[:at] + new + contents[at + length :]
    return contents


BYTES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"\n", b"\0\0", b"}{", b'"', b"\\ud800", b"[" * 2000, b"\xff", b"\r", b"1e999", b"null"]),
)
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 40), BYTES), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_whatever_happens_to_the_lines_every_line_is_an_issue_or_a_dead_letter(
    read: Read, changes: list[tuple[int, int, bytes]]
) -> None:
    original = text_of(*(opened(n) for n in range(1, 12)))
    text = mutated(original, changes)
    batch, staged = read(gzip.compress(text))
    lines = text.split(b"\n")
    untouched = {n for n in range(1, 12) if packed(opened(n)) in lines}
    assert untouched <= set(staged), "a neighbour was lost"
    refused = {letter.line for letter in batch.dead_letters}
    has_unknown = any(letter.error_type == "unknown_type" for letter in batch.dead_letters)
    for number, line in enumerate(lines, 1):
        shown = {int(digits) for digits in re.findall(rb'"number":\s*"?(\d+)', line)}
        is_accounted_for = number in refused or has_unknown or not line.strip() or bool(shown & set(staged))
        assert is_accounted_for or not batch.tables, f"line {number} was lost: {line!r}"
    assert len(refused - {None}) <= batch.bad_lines


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_whatever_happens_to_the_packed_bytes_what_gzip_gives_is_kept(
    read: Read, changes: list[tuple[int, int, bytes]]
) -> None:
    contents = mutated(PACKED, changes)
    batch, staged = read(contents)
    text = b""
    member = zlib.decompressobj(31)
    with suppress(zlib.error):  # what came before the damage is what there is
        for place in range(len(contents)):
            text += member.decompress(contents[place : place + 1])
    untouched = {n for n in range(1, 60) if packed(opened(n)) in text.split(b"\n")}
    assert untouched <= set(staged)
    assert contents == PACKED or batch.dead_letters or staged == list(range(1, 60))
