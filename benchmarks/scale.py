"""Features in 1 and 4 shards: CPU, peak memory and spill; and loads of 1 to 8 writers at once on file and lake.

`python -m benchmarks scale [--pull-requests N] [--memory LIMIT] [--shards 1 4] [--writers 1 2 4 8] [--days N]`; the
defaults end in two minutes on two quiet cores.
"""

import argparse
import resource
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks import features, lake
from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized


def in_shards(state: str, shards: int, memory_limit: str) -> tuple[str, float, float]:
    """Identity of the rows of features.pull_requests, seconds of CPU, and the most MiB that were spilled at a time."""
    from qc_assets.features.shards import rebuild_in_shards
    from qc_assets.settings import load_settings
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging", memory_limit=memory_limit)
    ended, most = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(0.05):
            spilled = (Path(state) / "staging").rglob("spill/*")
            most[0] = max(most[0], sum(file.stat().st_size for file in spilled if file.exists()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        parameters = load_settings().feature_parameters("pull_requests")
        rebuild_in_shards(warehouse, "features/pull_requests", parameters, shards)
    finally:
        ended.set()
        watcher.join()
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    return warehouse.snapshot(["features.pull_requests"]), cpu, most[0] / 2**20


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks scale")
    parser.add_argument("--pull-requests", type=int, default=sized(100_000, 600))
    parser.add_argument("--memory", default="9GiB", help="of DuckDB; little of it makes it spill")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--writers", type=int, nargs="*", default=sized([1, 2, 4, 8], [1, 2]))
    parser.add_argument("--days", type=int, default=sized(8, 2))
    options = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["scale"] else [])
    with tempfile.TemporaryDirectory() as state:
        isolated(features.build, state, options.pull_requests)
        figures = {}
        for shards in options.shards:
            (identity, cpu, spilled), seconds, mib = isolated(in_shards, state, shards, options.memory)
            figures[shards] = identity, cpu, mib
            print(
                f"features of {options.pull_requests:,} pull requests in {shards} shards: {seconds:.1f} s, {cpu:.1f} s "
                f"of CPU, peak {mib:.0f} MiB, spilled {spilled:.0f} MiB; rows {identity[:8]}",
                flush=True,
            )
    identities = {identity for identity, _, _ in figures.values()}
    print(f"{len(identities)} identity of all rows (1 is right)")
    first, last = (figures[shards] for shards in (options.shards[0], options.shards[-1]))
    what = f"{options.shards[-1]} shards / {options.shards[0]}"
    print(verdict(last[2] / first[2], 0.75, f"peak memory, {what}", unit="MiB"))
    print(verdict(last[1] / first[1], 2.5, f"CPU, {what}"), flush=True)
    if options.writers:
        lake.main(tuple(options.writers), options.days)
