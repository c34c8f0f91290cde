"""Tables of text as people's tools write them: any encoding, any separator, and one broken row costs only itself."""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qc_assets.errors import QcError
from qc_assets.forges import LONGEST_FORGE_TEXT

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
         (b"\xfe\xff", "utf-16"))  # fmt: skip
_WORKBOOKS = {b"PK\x03\x04": "an Excel or OpenDocument workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook",
              b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file"}  # fmt: skip
_SEPARATORS = ",;\t|"
_LONGEST_ROW = 1_000  # lines; a quote that nobody closes is looked for no further
_BYTES = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class LabelTable:
    """A file's heading and rows.

    Attributes:
        heading: names of the columns, without blanks around them.
        rows: number, 1 the first after the heading, and either the cells or why there are none.
    """

    heading: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...] | str], ...]


def read_label_table(file: Path) -> LabelTable:
    """Read a file with a heading: commas, semicolons, tabs or bars; UTF-8, UTF-16 or Windows' Western encoding.

    Raises:
        QcError: if it is no such file; says what to do.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise QcError(f"{file} cannot be read as CSV: {error.strerror}") from error
    for start, name in _WORKBOOKS.items():
        if content.startswith(start):
            raise QcError(
                f"{file} is {name}, not a CSV: open it, choose Save As, \u201cCSV UTF-8 (comma delimited)\u201d, and "
                "import that file"
            )
    lines = list(io.StringIO(_decoded(content), newline=""))
    while lines and not lines[0].strip():
        lines.pop(0)
    separator = ""
    if lines and (declared := re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE)):  # Excel's own way to say it
        separator = declared[1]
        lines.pop(0)
    if not lines:
        raise QcError(f"{file} cannot be read as CSV: it is empty")
    separator = separator or max(_SEPARATORS, key=lambda each: len(_first_record(lines, each)[0] or ()))
    heading, consumed = _first_record(lines, separator)
    if heading is None:
        raise QcError(f"{file} cannot be read as CSV: a quote in its heading is not closed")
    names = tuple(name.strip() for name in heading)
    return LabelTable(names, tuple(enumerate(_records(lines[consumed:], separator, len(names)), 1)))


def _decoded(content: bytes) -> str:
    """The text; bytes that its encoding does not have are lone surrogates in it."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "surrogateescape") if encoding == "utf-8" else _wide(content)
    if content[:200].count(0) * 3 > len(content[:200]):  # every other byte of UTF-16 is NUL
        return _wide((b"\xff\xfe" if content[1:2] == b"\0" else b"\xfe\xff") + content)
    text = content.decode("utf-8", "surrogateescape")
    stray = len(_BYTES.findall(text))
    if not stray or sum(character > "\x7f" for character in text) > stray:  # mostly UTF-8, with stray bytes
        return text
    # Five bytes mean nothing in Windows' encoding: those stay what they are.
    return _BYTES.sub(lambda match: bytes([ord(match[0]) - 0xDC00]).decode("cp1252", "surrogateescape"), text)


def _wide(content: bytes) -> str:
    is_32 = content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff"))
    return content.decode("utf-32" if is_32 else "utf-16", "replace").removeprefix("\ufeff")


def _first_record(lines: Sequence[str], separator: str) -> tuple[list[str] | None, int]:
    """The cells of the record that begins with the first line, and how many lines it takes; None if it never ends."""
    reader = csv.reader(itertools.islice(lines, _LONGEST_ROW), delimiter=separator, strict=True)
    try:
        return next(reader), reader.line_num
    except (csv.Error, StopIteration):
        return None, 1


def _records(lines: Sequence[str], separator: str, width: int) -> Iterator[tuple[str, ...] | str]:
    limit = csv.field_size_limit(2**31 - 1)  # a comment may be longer than the default allows
    position = 0
    try:
        while position < len(lines):
            if not lines[position].strip("\r\n"):
                position += 1
                continue
            cells, consumed = _first_record(lines[position : position + _LONGEST_ROW], separator)
            # A quote that nobody meant swallows its neighbours, and then the columns do not fit.
            is_one = cells is not None and (consumed == 1 or len(cells) == width)
            position += consumed if is_one else 1
            yield _checked(cells if is_one else None, separator, width)
    finally:
        csv.field_size_limit(limit)


def _checked(cells: Sequence[str] | None, separator: str, width: int) -> tuple[str, ...] | str:
    if cells is None:
        return 'a quote is not closed: put the text in quotes, and write a quote within it twice ("")'
    if len(cells) > width:
        name = {"\t": "tab"}.get(separator, separator)
        return f"it has {len(cells)} columns and the heading {width}: put a text with a {name} in quotes"
    if (longest := max(map(len, cells), default=0)) > LONGEST_FORGE_TEXT:
        return f"a cell has {longest:,} characters, and no comment has more than {LONGEST_FORGE_TEXT:,}"
    text = "".join(cells)
    if "\0" in text or "\ufffd" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return "it has bytes that are no text in the file's encoding: save the file as UTF-8"
    return (*cells, *[""] * (width - len(cells)))
