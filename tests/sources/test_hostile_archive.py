"""An archive that lies, drips, sends in circles or never ends: bounded, named, and it costs no other hour."""

import gzip
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive import downloader
from qc_assets.sources.gharchive.downloader import Downloader, NoSuchHourError
from tests.fakes.archive import event, issue, running, write_hour
from tests.fakes.raw_server import raw_server

NAME = "2024-05-01-1.json.gz"
WHOLE = gzip.compress(b'{"type": "IssuesEvent"}\n' * 50)


def fetch(url: str, folder: Path, *, download: int = 10_000, attempts: int = 2) -> Path:
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    return Downloader(url, folder / "cache", Bounds(download=download), attempts=attempts).get(NAME, work)


def answer(status: str, *headers: str, body: bytes = b"") -> list[bytes]:
    return ["\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode() + body]


@contextmanager
def circles(count: int | None) -> Iterator[str]:
    """A server that redirects so often, or for ever, then sends the hour."""
    numbers = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = next(numbers)
            if count is not None and number > count:
                self.send_response(200)
                self.send_header("Content-Length", str(len(WHOLE)))
                self.end_headers()
                self.wfile.write(WHOLE)
                return
            self.send_response(302)
            self.send_header("Location", f"/{number}/{NAME}")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output quiet."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def test_redirects_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    with circles(3) as url:
        assert fetch(url, tmp_path / "one").read_bytes() == WHOLE
    with circles(None) as url, pytest.raises(NoSuchHourError, match="more than 5 redirects; check QC_GHARCHIVE_URL"):
        fetch(url, tmp_path / "two")


def test_a_length_that_says_too_much_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    started = time.monotonic()
    with (
        raw_server([*answer("200 OK", "Content-Length: 99999999999"), *[b"x"] * 50], every_s=0.2) as url,
        pytest.raises(NoSuchHourError, match="more than QC_MAX_DOWNLOAD_BYTES=10000"),
    ):
        fetch(url, tmp_path)
    assert time.monotonic() - started < 5 and not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("length", [len(WHOLE) + 500, 5_000])
def test_a_length_that_is_never_reached_is_tried_again_and_the_hour_is_missing(length: int, tmp_path: Path) -> None:
    with (
        raw_server(answer("200 OK", f"Content-Length: {length}", body=WHOLE)) as url,
        pytest.raises(NoSuchHourError, match=r"\(2 attempts\)"),
    ):
        fetch(url, tmp_path)
    assert not (tmp_path / "cache" / NAME).exists(), "what is in the cache is whole"


def test_a_length_that_is_too_small_cuts_the_file_and_is_damage(tmp_path: Path) -> None:
    with raw_server(answer("200 OK", f"Content-Length: {len(WHOLE) - 20}", body=WHOLE)) as url:
        path = fetch(url, tmp_path, attempts=4)
    assert path.parent == tmp_path / "work", "every time the same: it is the archive's, and not cached"


@pytest.mark.parametrize("start", [b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"\r\n"])
def test_a_body_without_an_end_stops_at_the_bound(start: bytes, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    with (
        raw_server([head + start, *[bytes(5000)] * 40]) as url,
        pytest.raises(NoSuchHourError, match="more than QC_MAX_DOWNLOAD_BYTES=10000"),
    ):
        fetch(url, tmp_path)
    assert not list((tmp_path / "cache").iterdir())


def test_a_part_that_is_held_counts_towards_the_bound(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).with_suffix(".part").write_bytes(bytes(9_000))
    with (
        raw_server(answer("206 Partial Content", "Content-Length: 2000", body=bytes(2000))) as url,
        pytest.raises(NoSuchHourError, match="more than QC_MAX_DOWNLOAD_BYTES=10000"),
    ):
        fetch(url, tmp_path)


@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 200 OK\r\n", *[b"X"] * 200], answer("302 Found", "Location: ::::")])
def test_a_head_that_drips_or_leads_nowhere_leaves_what_is_cached(
    pieces: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloader, "_HEAD_DEADLINE_S", 0.4)
    cached = tmp_path / "cache" / NAME
    cached.parent.mkdir()
    cached.write_bytes(WHOLE)
    started = time.monotonic()
    with raw_server(pieces, every_s=0.05) as url:
        assert fetch(url, tmp_path) == cached
    assert time.monotonic() - started < 5 and cached.read_bytes() == WHOLE


def test_an_hour_of_another_size_than_the_archive_says_is_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "hours"
    folder.mkdir()
    mended = write_hour(folder, "2024-05-01-1", [event("IssuesEvent", "2024-05-01T01:00:00Z", {"issue": issue(1)})])
    cached = tmp_path / "cache" / NAME
    cached.parent.mkdir()
    cached.write_bytes(WHOLE)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(mended.stat().st_size))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(mended.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output quiet."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert fetch(url, tmp_path).read_bytes() == mended.read_bytes()


def test_what_is_held_does_not_count_where_the_server_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).with_suffix(".part").write_bytes(bytes(9_950))
    with raw_server(answer("200 OK", f"Content-Length: {len(WHOLE)}", body=WHOLE)) as url:
        assert fetch(url, tmp_path).read_bytes() == WHOLE
