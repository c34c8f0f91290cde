"""Features in 1 and 4 shards and on Spark: CPU, memory, spill; and loads of 1 to 8 writers at once on file and lake.

`python -m benchmarks scale [--pull-requests N] [--memory LIMIT] [--shards 1 4] [--spark local[*]] [--writers 1 2 4 8]
[--days N]`; the defaults end in two minutes on two quiet cores. Spark's memory is that of its configuration.
"""

import argparse
import resource
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import features, lake
from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized


def computed(state: str, how: dict[str, Any], memory_limit: str) -> tuple[int, float, float, float]:
    """Compute features.pull_requests as settings say.

    Returns:
        A hash of all rows, but for the logarithm, whose last bit is the machine's; seconds of CPU; the most MiB that
        were spilled at a time; peak MiB of processes that were started for it, such as Java's.
    """
    import psutil

    from qc_assets.features.rebuilding import rebuild_features
    from qc_assets.settings import load_settings
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging", memory_limit=memory_limit)
    ended, most, theirs, before = threading.Event(), [0, 0], [0.0], sum(resource.getrusage(resource.RUSAGE_SELF)[:2])

    def watch() -> None:
        while not ended.wait(0.05):
            with suppress(OSError):  # folders come and go
                spilled = (Path(state) / "staging").rglob("spill/*")
                most[0] = max(most[0], sum(file.stat().st_size for file in spilled if file.exists()))
            with suppress(psutil.Error):
                children = psutil.Process().children(recursive=True)
                most[1] = max(most[1], sum(child.memory_info().rss for child in children))
                theirs[0] = max(theirs[0], sum(sum(child.cpu_times()[:2]) for child in children))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        settings = load_settings(**how)
        rebuild_features(warehouse, "features/pull_requests", settings.feature_parameters("pull_requests"), settings)
    finally:
        ended.set()
        watcher.join()
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before + theirs[0]
    rows = "(SELECT * EXCLUDE (log_lines) FROM features.pull_requests) AS rows"
    identity = int(warehouse.query(f"SELECT bit_xor(hash(rows)) FROM {rows}").item())
    return identity, cpu, most[0] / 2**20, most[1] / 2**20


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks scale")
    parser.add_argument("--pull-requests", type=int, default=sized(100_000, 600))
    parser.add_argument("--memory", default="9GiB", help="of DuckDB; little of it makes it spill")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--spark", help="master of Spark, or a Spark Connect URL; needs the extra spark, and Java")
    parser.add_argument("--writers", type=int, nargs="*", default=sized([1, 2, 4, 8], [1, 2]))
    parser.add_argument("--days", type=int, default=sized(8, 2))
    options = parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["scale"] else [])
    with tempfile.TemporaryDirectory() as state:
        isolated(features.build, state, options.pull_requests)
        figures = {}
        ways: dict[str, dict[str, Any]] = {f"in {n} shards": {"features_shards": n} for n in options.shards}
        if options.spark:
            ways["on Spark"] = {"features_engine": "spark", "spark_url": options.spark}
        for way, how in ways.items():
            (identity, cpu, spilled, theirs), seconds, mib = isolated(computed, state, how, options.memory)
            figures[way] = identity, cpu, mib + theirs
            print(
                f"features of {options.pull_requests:,} pull requests {way}: {seconds:.1f} s, {cpu:.1f} s of CPU, "
                f"peak {mib + theirs:.0f} MiB, spilled {spilled:.0f} MiB; rows {identity:016x}",
                flush=True,
            )
    identities = {identity for identity, _, _ in figures.values()}
    print(f"{len(identities)} identity of all rows (1 is right)")
    first, last = (figures[f"in {shards} shards"] for shards in (options.shards[0], options.shards[-1]))
    what = f"{options.shards[-1]} shards / {options.shards[0]}"
    print(verdict(last[2] / first[2], 0.75, f"peak memory, {what}", unit="MiB"))
    print(verdict(last[1] / first[1], 2.5, f"CPU, {what}"), flush=True)
    if options.writers:
        lake.main(tuple(options.writers), options.days)
