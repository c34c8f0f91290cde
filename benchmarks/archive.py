"""GH Archive ingestion, from .json.gz to the committed tables of an empty warehouse. Rival: plain `zcat`. Limit: 1.5.

The files are replicas of the real hour in ../shared/gharchive. Ids of events, repositories, pull requests, issues and
comments differ from replica to replica, so that nothing is saved by seeing the same rows again.
"""

import gzip
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized

HOUR = Path(__file__).resolve().parents[2] / "shared" / "gharchive" / "2015-01-01-0.json.gz"
REPLICAS = sized(24, 1)
_ID = re.compile(rb'"id":\s?"?(\d+)"?')


def replicate(folder: Path, replicas: int) -> int:
    """Write `replicas` hourly files of 2015-01-01; returns the bytes of JSON."""
    text = gzip.decompress(HOUR.read_bytes())
    for hour in range(replicas):

        def renumber(match: re.Match[bytes], offset: int = hour * 10**9) -> bytes:
            return match[0].replace(match[1], str(int(match[1]) + offset).encode())

        changed = _ID.sub(renumber, text)
        (folder / f"2015-01-01-{hour}.json.gz").write_bytes(gzip.compress(changed, 6))
    return len(text) * replicas


def create(state: str) -> None:
    """An empty warehouse, as it stands before any day is loaded."""
    from qc_assets.store.warehouse import Warehouse

    with Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "home" / "staging").write():
        pass


def ingest(folder: str, state: str) -> tuple[int, int]:
    """Load the day; returns lines read and rows in the raw tables."""
    from qc_assets.settings import load_settings
    from qc_assets.sources.loading import load
    from qc_assets.sources.registry import open_source
    from qc_assets.store.warehouse import Warehouse

    places = {"home": Path(state) / "home", "warehouse": Path(state) / "qc.duckdb", "_env_file": None}
    settings = load_settings(source="gharchive", gharchive_dir=Path(folder), **places)
    report = load(Warehouse.from_settings(settings), open_source(settings), [date(2015, 1, 1)])
    return report.lines, sum(report.rows.values())


def main() -> None:
    if not HOUR.is_file():
        sys.exit(f"{HOUR} is not there, and this benchmark needs a real hour")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hours"
        folder.mkdir()
        size = replicate(folder, REPLICAS)
        files = sorted(map(str, folder.iterdir()))
        zcats, ours = [], []
        for turn in range(sized(3, 1)):
            started = time.perf_counter()
            subprocess.run(["zcat", *files], stdout=subprocess.DEVNULL, check=True)
            zcats.append(time.perf_counter() - started)
            state = Path(name) / str(turn)
            state.mkdir()
            isolated(create, str(state))
            (lines, rows), seconds, mib = isolated(ingest, str(folder), str(state))
            ours.append(seconds)
        print(f"{len(files)} files, {size / 1e6:.0f} MB of JSON, {lines:,} lines, {rows:,} rows; peak {mib:.0f} MiB")
        print(f"zcat {min(zcats):.2f} s; ingestion to committed tables {min(ours):.2f} s (best of 3 each)")
        print(verdict(min(ours) / min(zcats), 1.5, "ingestion / zcat"))
