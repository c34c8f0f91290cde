"""An archive day at its worst, in a process of its own: long comments, and very many events. Limit: 2 GiB of memory.

`python -m benchmarks heavy_day [HOURS]`. Each hour of a day has comments as long as GitHub takes; or very many events;
or lines of almost 16 MiB, the most that is read. Nothing is said of speed.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isal import igzip

from benchmarks.archive import create, ingest
from benchmarks.measure import isolated, verdict

LIMIT_MIB = 2048
_LONGEST_COMMENT = 65_536
_WORDS = [f"{first}{second}" for first in "abcdefghij" for second in ("lock", "read", "test", "fail", "name")]
# Events of an hour and bytes of their texts.
SHAPES = {"long comments": (4_000, _LONGEST_COMMENT), "many events": (120_000, 300), "long lines": (40, 15 << 20)}


def _text(random_words: random.Random, size: int) -> str:
    words = random_words.choices(_WORDS, k=min(size // 6, 2_000))
    line = " ".join(words)
    # Each begins otherwise, so that no dictionary makes it small.
    return (f"{random_words.random()} " + line * (size // max(len(line), 1) + 1))[:size]


def _events(hour: int, count: int, size: int) -> Iterator[dict[str, Any]]:
    random_words = random.Random(hour)
    for place in range(count):
        number = hour * count + place + 1
        at = f"2015-01-01T{hour:02}:{place * 60 // count:02}:00Z"
        user = {"id": 1 + number % 5_000, "login": f"dev-{number % 5_000}", "type": "User"}
        issue = {
            "id": number, "number": 1 + number % 900, "state": "open", "title": f"It breaks {number}", "body": None,
            "comments": 1, "user": user, "labels": [], "created_at": at, "updated_at": at, "closed_at": None,
        }  # fmt: skip
        comment = {"id": number, "user": user, "body": _text(random_words, size), "created_at": at, "updated_at": at}
        repo = {"id": 1 + number % 2_000, "name": f"org/repo-{number % 2_000}"}
        yield {"id": str(number), "type": "IssueCommentEvent", "actor": user, "repo": repo, "created_at": at,
               "payload": {"action": "created", "issue": issue, "comment": comment}}  # fmt: skip


def write_day(folder: Path, hours: int, count: int, size: int) -> int:
    """Write hourly files of 2015-01-01; returns the bytes of JSON."""
    written = 0
    for hour in range(hours):
        with igzip.open(folder / f"2015-01-01-{hour}.json.gz", "wb", compresslevel=0) as stream:
            for event in _events(hour, count, size):
                line = json.dumps(event).encode() + b"\n"
                written += len(line)
                stream.write(line)
    return written


def main() -> None:
    hours = int(sys.argv[2]) if sys.argv[1:2] == ["heavy_day"] and len(sys.argv) > 2 else 24
    for name, (count, size) in SHAPES.items():
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
            folder, state = Path(place) / "hours", Path(place) / "state"
            folder.mkdir()
            state.mkdir()
            written = write_day(folder, hours, count, size)
            isolated(create, str(state))
            (lines, rows), seconds, mib = isolated(ingest, str(folder), str(state))
            print(f"{name}: {hours} hours, {lines:,} lines, {written / 2**30:.2f} GiB of JSON, {rows:,} rows, "
                  f"{seconds:.0f} s, peak {mib:.0f} MiB", flush=True)  # fmt: skip
            print(verdict(mib / LIMIT_MIB, 1.0, f"peak / {LIMIT_MIB} MiB"), flush=True)
