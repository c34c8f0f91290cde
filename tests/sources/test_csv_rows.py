"""CSV of data sets: a bound on each line, and what is broken costs its own rows only."""

import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc_assets.errors import SourceError
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.files.csv_rows import csv_records

Records = list[tuple[int, list[str]] | tuple[int, str, str]]


def read(folder: Path, text: str | bytes, bounds: Bounds | None = None) -> Records:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(csv_records(path, bounds or Bounds()))


def rows(records: Records) -> list[list[str]]:
    return [record[1] for record in records[1:] if len(record) == 2]


def bad(records: Records) -> list[int]:
    return [record[0] for record in records if len(record) == 3]


def test_a_quote_that_nobody_closes_costs_its_line_only(tmp_path: Path) -> None:
    text = 'n,text\n1,a\n2,"open\n3,c\n4,"two\nlines"\n5,e\n'
    records = read(tmp_path, text)
    assert rows(records) == [["1", "a"], ["3", "c"], ["4", "two\nlines"], ["5", "e"]] and bad(records) == [3]
    records = read(tmp_path, 'n,text\n1,a\n2,"open\n3,c\n')
    assert rows(records) == [["1", "a"], ["3", "c"]] and bad(records) == [3]
    assert records[2][1] == "a quote is opened and not closed"
    assert [record[0] for record in read(tmp_path, text) if len(record) == 2] == [1, 2, 4, 5, 7], "lines of the file"


def test_a_quote_within_a_cell_is_a_character(tmp_path: Path) -> None:
    assert rows(read(tmp_path, 'n,text,more\n1,5" disk,x\n2,say ""hi,y\n')) == [
        ["1", '5" disk', "x"], ["2", 'say ""hi', "y"],
    ]  # fmt: skip


def test_lines_and_records_have_a_bound_and_the_rest_is_read(tmp_path: Path) -> None:
    bounds = Bounds(line=1_000)
    records = read(tmp_path, "n,text\n1," + "x" * 5_000 + "\n2,b\n", bounds)
    assert rows(records) == [["2", "b"]] and records[1][:2] == (2, "5002 bytes, more than QC_MAX_LINE_BYTES=1000")
    assert len(records[1][2]) == 200
    open_for_long = 'n,text\n1,"' + "".join(f"{n},{'y' * 90}\n" for n in range(50))
    records = read(tmp_path, open_for_long, bounds)
    assert bad(records) == [2] and len(rows(records)) == 49


def test_many_open_quotes_take_time_in_proportion_to_the_file(tmp_path: Path) -> None:
    def seconds(lines: int) -> float:
        text = "n,text\n" + '1,"open\n' * lines
        started = time.process_time()
        records = read(tmp_path, text)
        assert len(records) == lines + 1 and not rows(records)
        return time.process_time() - started

    seconds(500)
    small, large = seconds(2_000), seconds(16_000)
    assert large < 8 * small * 4 + 0.5


@pytest.mark.parametrize(
    "text", ["n,text\r\n1,a\r\n2,b\r\n", "n,text\r1,a\r2,b\r", "\ufeffn,text\n1,a\n\n2,b", "n,text\n1,a\n2,b"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_ends_of_lines_and_marks_of_order(text: str, encoding: str, tmp_path: Path) -> None:
    encoded = text.removeprefix("\ufeff").encode(encoding) if encoding == "utf-16" else text.encode()
    records = read(tmp_path, encoded)
    assert records[0][1] == ["n", "text"] and rows(records) == [["1", "a"], ["2", "b"]] and not bad(records)


@pytest.mark.parametrize("text", ["", "\n\n", '"n,text\n1,a\n', "n" * 2_000])
def test_without_a_header_nothing_is_guessed(text: str, tmp_path: Path) -> None:
    if text.startswith("nn"):
        assert bad(read(tmp_path, text + "\nn,text\n1,a\n", Bounds(line=1_000))) == [1], "the next line names them"
        return
    with pytest.raises(SourceError, match="has no header"):
        read(tmp_path, text)


_CELL = st.text(st.sampled_from('ab,"\n é'), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.lists(_CELL, min_size=2, max_size=2), max_size=12))
def test_sound_files_are_read_as_the_module_reads_them(tmp_path: Path, cells: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["n", "text"], *cells])
    records = read(tmp_path, text.getvalue())
    assert rows(records) == cells and not bad(records)


# A quote on a line of its own would close an open one, as CSV has it.
_BROKEN = ['"open,x', 'x,"open', "too,many,cells", "one", 'a,"b" c"', "\0,\0,"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.one_of(st.sampled_from(_BROKEN), st.integers(0, 99)), max_size=14))
def test_sound_rows_beside_broken_ones_are_all_there(tmp_path: Path, lines: list[str | int]) -> None:
    text = "".join(f"{line}\n" if isinstance(line, str) else f"{line},good {line}\n" for line in ["n,text", *lines])
    read_rows = rows(read(tmp_path, text))
    # What is broken may be read as something else, but takes no sound row with it.
    for number in {line for line in lines if isinstance(line, int)}:
        assert read_rows.count([str(number), f"good {number}"]) == lines.count(number), text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(st.sampled_from('a,"\r\n\0'), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    try:
        records = read(tmp_path, content, Bounds(line=64))
    except SourceError as error:
        assert "table.csv" in str(error)
        return
    lines = [record[0] for record in records]
    assert lines == sorted(set(lines)), "each line is told once"
