"""Events in the shape of GH Archive, and a local server that breaks off half-way."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPO = {"id": 7, "name": "o/r"}


def event(kind: str, at: str, payload: dict[str, Any], *, number: int = 1, **changes: Any) -> dict[str, Any]:
    """One line of an hourly file."""
    return {
        "id": str(number),
        "type": kind,
        "actor": {"id": 1, "login": "ann"},
        "repo": REPO,
        "created_at": at,
        "payload": payload,
    } | changes


def pull_request(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A full pull request, as payloads had it until 2025-10-06."""
    return {
        "id": 100 + number,
        "number": number,
        "state": "open",
        "title": "fix: it",
        "body": "see https://x",
        "draft": False,
        "user": {"id": 1, "login": "ann", "type": "User"},
        "author_association": "CONTRIBUTOR",
        "created_at": "2024-05-01T10:00:00Z",
        "updated_at": "2024-05-01T10:00:00Z",
        "closed_at": None,
        "merged_at": None,
        "additions": 20,
        "deletions": 5,
        "changed_files": 2,
        "commits": 1,
        "labels": [{"name": "bug"}],
        "head": {"ref": "codex/fix-it"},
        "base": {"repo": {"id": 7, "full_name": "o/r", "language": "Go", "stargazers_count": 3, "fork": False}},
    } | changes


def trimmed(number: int = 1) -> dict[str, Any]:
    """A pull request as payloads have it since 2025-10-07."""
    base = {"ref": "main", "repo": {"id": 7, "name": "r", "url": "https://api.github.com/repos/o/r"}}
    return {"url": "https://api.github.com/…", "id": 100 + number, "number": number, "head": {"ref": "x"}, "base": base}


def issue(number: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "id": 200 + number,
        "number": number,
        "state": "open",
        "title": "it breaks",
        "body": None,
        "comments": 0,
        "user": {"id": 2, "login": "bob", "type": "User"},
        "author_association": "NONE",
        "labels": [],
        "created_at": "2024-05-01T09:00:00Z",
        "updated_at": "2024-05-01T09:00:00Z",
        "closed_at": None,
    } | changes


def comment(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "user": {"id": 3, "login": "dependabot[bot]", "type": "Bot"},
        "body": "hello",
        "created_at": "2024-05-01T10:30:00Z",
        "updated_at": "2024-05-01T10:30:00Z",
    } | changes


def write_hour(folder: Path, name: str, lines: list[Any]) -> Path:
    """Write an hourly file of events and raw strings."""
    path = folder / f"{name}.json.gz"
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()))
    return path


class FlakyArchive(ThreadingHTTPServer):
    """Serves files; each is cut off after half of what was asked for, `breaks` times, then comes whole.

    Attributes:
        log: path and Range header of every request.
    """

    def __init__(self, files: dict[str, bytes], breaks: int = 1, ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.breaks = dict.fromkeys(files, breaks)
        self.ranges = ranges
        self.log: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FlakyArchive

    def do_GET(self) -> None:
        name, byte_range = self.path.lstrip("/"), self.headers.get("Range")
        self.server.log.append((name, byte_range))
        if name not in self.server.files:
            self.send_error(404)
            return
        body, start = self.server.files[name], 0
        resumed = re.match(r"bytes=(\d+)-", byte_range or "")
        if resumed and self.server.ranges:
            start = int(resumed[1])
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if self.server.breaks[name] > 0:
            self.server.breaks[name] -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.connection.close()
            return
        self.wfile.write(rest)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output quiet."""


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[Any]:
    """Serve in the background for the length of a block."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
