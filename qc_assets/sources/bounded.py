"""Files of strangers, unpacked piece by piece and cut into lines, with a bound on each: memory does not depend on them.

Whether a file is gzipped is told by its first two bytes, never by its name.
"""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from qc_assets.settings import Settings

GZIP = b"\x1f\x8b"
_READ = 1 << 16
_PIECE = 1 << 20  # unpacked bytes at once
_ANY_RATIO = 1 << 31  # so many unpacked bytes are harmless, however few they came from
_START = 200  # of a line that is too long
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class DamagedFileError(Exception):
    """What comes next in a file cannot be had; what came before is good.

    Attributes:
        kind: truncated_file, damaged_file or oversized_file, as `ops.dead_letters` has it.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Bounds:
    """How much of a stranger's file is read.

    Attributes:
        line: bytes of one line.
        file: unpacked bytes of one file.
        ratio: unpacked bytes from one packed byte, where a file has more than 2 GiB.
        download: bytes that come over the network for one file.
    """

    line: int = 1 << 24
    file: int = 1 << 34
    ratio: int = 200
    download: int = 1 << 31

    @classmethod
    def from_settings(cls, settings: "Settings") -> "Bounds":
        return cls(
            settings.max_line_bytes, settings.max_file_bytes, settings.max_unpack_ratio, settings.max_download_bytes
        )

    def unpacked(self, packed: int) -> int:
        """Bytes that a file of `packed` bytes may unpack to."""
        return min(self.file, max(_ANY_RATIO, packed * self.ratio))


@dataclass(frozen=True)
class FileLine:
    """A line of a file.

    Attributes:
        number: from 1.
        text: its bytes without the newline; of a line that is too long the first 200.
        size: bytes that it has.
        damage: why nothing comes behind it, if the file goes on and cannot be read.
    """

    number: int
    text: bytes
    size: int
    damage: DamagedFileError | None = None

    @property
    def is_whole(self) -> bool:
        return self.size == len(self.text)


def unpack(path: Path, bounds: Bounds) -> Iterator[bytes]:
    """The bytes of a file, gunzipped if they are gzip, in pieces of at most 1 MiB.

    Members may follow each other, and zeros them, as gzip itself has it.

    Raises:
        DamagedFileError: behind the last byte that can be had.
    """
    left = bounds.unpacked(path.stat().st_size)
    with path.open("rb") as source:
        for piece in _members(source):
            if len(piece) > left:
                yield piece[:left]
                raise DamagedFileError(
                    "oversized_file",
                    f"the file has more than {bounds.unpacked(path.stat().st_size)} bytes unpacked; if it is to be "
                    "read whole, raise QC_MAX_FILE_BYTES or QC_MAX_UNPACK_RATIO and load the day with --refresh",
                )
            left -= len(piece)
            yield piece


def _members(source: BinaryIO) -> Iterator[bytes]:
    raw = source.read(_READ)
    if not raw.startswith(GZIP):
        while raw:
            yield raw
            raw = source.read(_PIECE)
        return
    member = zlib.decompressobj(31)
    while raw:
        if member.eof:
            raw = raw.lstrip(b"\0")
            if len(raw) < len(GZIP) and (more := source.read(_READ)):
                raw += more
                continue
            if not raw:
                return
            if not raw.startswith(GZIP):
                raise DamagedFileError("damaged_file", "what follows the gzipped data is none")
            member = zlib.decompressobj(31)
        yield from _inflate(member, raw)
        raw = member.unused_data or source.read(_READ)
    if not member.eof:
        raise DamagedFileError("truncated_file", "the file breaks off")


def _inflate(member: "zlib._Decompress", raw: bytes) -> Iterator[bytes]:
    while raw:
        before = member.copy()
        try:
            piece = member.decompress(raw, _PIECE)
        except zlib.error as error:
            yield from _up_to_the_error(before, raw)
            raise DamagedFileError("damaged_file", f"the gzipped data are damaged: {error}") from error
        yield piece
        raw = member.unconsumed_tail


def _up_to_the_error(member: "zlib._Decompress", raw: bytes) -> Iterator[bytes]:
    """What zlib had unpacked when it met the error: it only tells if it is given one byte after the other."""
    try:
        for place in range(len(raw)):
            yield member.decompress(raw[place : place + 1])
    except zlib.error:
        return


def clean(text: str | None) -> str | None:
    """Text that every store takes: NUL and lone halves of surrogate pairs become U+FFFD."""
    if text is None:
        return None
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same without a byte-order mark, and transcoded if that says UTF-16."""
    decoder: codecs.IncrementalDecoder | None = None
    is_first = True
    for piece in pieces:
        if is_first and piece:
            is_first = False
            if piece.startswith(_UTF16_MARKS):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
            piece = piece.removeprefix(codecs.BOM_UTF8)
        yield decoder.decode(piece).encode("utf-8", "replace") if decoder else piece


def cut_lines(pieces: Iterable[bytes], bounds: Bounds) -> Iterator[FileLine]:
    """The lines of a text; of what is too long only the start is kept.

    The last one, which may be empty, has the damage of the file, if there is any.
    """
    rest, size, number = b"", 0, 1
    damage: DamagedFileError | None = None
    try:
        for piece in pieces:
            *whole, last = piece.split(b"\n")
            for text in whole:
                size += len(text)
                yield FileLine(number, _kept(rest, text, size, bounds), size)
                rest, size, number = b"", 0, number + 1
            size += len(last)
            rest = _kept(rest, last, size, bounds)
    except DamagedFileError as error:
        damage = error
    if size or damage:
        yield FileLine(number, rest, size, damage)


def _kept(rest: bytes, text: bytes, size: int, bounds: Bounds) -> bytes:
    return rest + text if size <= bounds.line else (rest + text)[:_START]
