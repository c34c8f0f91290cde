"""Loads of 1, 2 and 4 writers at once into a DuckDB file and into a lake (PostgreSQL of its own, Parquet in a folder).

The rival of each is the one writer of the file. Writers fetch side by side and commit one after the other, on both.
"""

import multiprocessing
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse
from tests.cluster.lakes import new_database
from tests.cluster.postgres import running_postgres

DAYS = 12
MOST = 4.0


def _settings(place: str, home: str) -> Settings:
    return load_settings(warehouse=place, home=Path(home), threads=1, demo_prs=1000, demo_days=60, _env_file=None)


def _write(place: str, home: str, days: list[int], ready: Any, seconds: Any) -> None:
    settings = _settings(place, home)
    store, source = Warehouse.from_settings(settings), open_source(settings)
    # Imports and connections are start-up, and so is the first load of a process, which is into a file of its own.
    load(Warehouse.from_settings(_settings(f"{home}.duckdb", home)), source, [settings.last_date])
    store.query("SELECT count(*) FROM raw.users")
    began = time.process_time()
    ready.wait()
    for day in days:
        load(store, source, [settings.first_date + timedelta(days=day)])
    seconds.put(time.process_time() - began)


def loads(place: str, folder: Path, writers: int, days: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU of all writers, for the days."""
    with Warehouse.from_settings(_settings(place, str(folder / "home"))).write():
        pass
    spawn = multiprocessing.get_context("spawn")
    ready, seconds = spawn.Barrier(writers + 1), spawn.Queue()
    shares = [list(range(n, days, writers)) for n in range(writers)]
    processes = [
        spawn.Process(target=_write, args=(place, str(folder / f"home{n}"), share, ready, seconds))
        for n, share in enumerate(shares)
    ]
    for process in processes:
        process.start()
    ready.wait()
    begun = time.perf_counter()
    cpu = sum(seconds.get() for _ in processes)
    took = time.perf_counter() - begun
    for process in processes:
        process.join()
    return took, cpu


def main(numbers: tuple[int, ...] = (1, 2, 4), days: int = DAYS) -> None:
    tables = [f"{schema}.{table}" for schema in ("raw", "observed") for table in RAW_TABLES]
    took: dict[tuple[str, int], float] = {}
    identities = set()
    with tempfile.TemporaryDirectory() as name, running_postgres() as postgres:
        os.environ["PGPASSWORD"] = postgres.password
        for writers in numbers:
            for kind in ("file", "lake"):
                folder = Path(name) / f"{kind}{writers}"
                folder.mkdir()
                place = str(folder / "qc.duckdb")
                if kind == "lake":
                    place = f"ducklake:postgres:{new_database(postgres, f'lake{writers}')}?data={folder / 'files'}"
                seconds, cpu = loads(place, folder, writers, days)
                took[kind, writers] = seconds
                identities.add(Warehouse.from_settings(_settings(place, str(folder / "home"))).snapshot(tables))
                per_file = seconds / took["file", 1]
                print(
                    f"{kind}, {writers} writers: {days} loads in {seconds:.1f} s, {days / seconds:.2f} a second, "
                    f"{cpu / days:.2f} s of CPU each; {per_file:.2f} times the file's one writer",
                    flush=True,
                )
    print(f"{len(identities)} snapshot identity of all of these (1 is right)")
    print(verdict(took["lake", 1] / took["file", 1], MOST, "one writer, lake / file"))
