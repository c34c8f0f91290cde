"""A backfill in parallel while a notebook polls: no failed run, no lost row."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import RunFailedError, open_instance, run_job
from qc_assets.errors import WarehouseBusyError, WarehouseMissingError
from qc_assets.settings import Settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse

FIRST = date(2024, 1, 1)


def settings_in(folder: Path, warehouse: str) -> Settings:
    places = {"home": folder / "home", "warehouse": folder / warehouse, "_env_file": None}
    return Settings(demo_prs=1_200, demo_days=60, start_date=FIRST, threads=1, **places)


def materialize(folder: Path, days: list[date]) -> str:
    return run_job(settings_in(folder, "qc.duckdb"), "ingest", days=days).run_id


def poll(folder: Path, stop: Event, answers: "multiprocessing.Queue[tuple[int, str]]") -> None:
    """Read every 50 ms, as a notebook would, and report how often it worked and what went wrong."""
    warehouse = Warehouse.from_settings(settings_in(folder, "qc.duckdb"))
    count, trouble = 0, ""
    while not stop.is_set():
        if warehouse.path.exists():
            try:
                warehouse.query("SELECT count(*), sum(additions) FROM raw.pull_requests")
                count += 1
            except (duckdb.Error, WarehouseBusyError, WarehouseMissingError) as error:
                if "has no tables yet" not in str(error):  # the first transaction has not been committed yet
                    trouble = repr(error)
        time.sleep(0.05)
    answers.put((count, trouble))


@pytest.mark.slow
def test_60_partitions_by_8_parallel_runs_while_another_process_reads(tmp_path: Path) -> None:
    # Processes that have imported everything already.
    server: Any = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__, "qc_assets.definitions", "qc_assets.sources.demo.source"])
    stop, answers = server.Event(), server.Queue()
    reader = server.Process(target=poll, args=(tmp_path, stop, answers))
    days = days_between(FIRST, settings_in(tmp_path, "qc.duckdb").last_date)
    with open_instance(settings_in(tmp_path, "qc.duckdb")):
        pass  # Dagster's own storage is made once, not by eight processes at the same moment
    reader.start()
    try:
        with ProcessPoolExecutor(8, mp_context=server) as pool:
            # Five days a run: what Dagster does for a run takes longer than loading a day.
            run_ids = list(
                pool.map(materialize, [tmp_path] * 12, [days[start : start + 5] for start in range(0, 60, 5)])
            )
    finally:
        stop.set()
    reads, trouble = answers.get(timeout=60)
    reader.join()
    assert trouble == ""
    assert reads > 20
    assert len(set(run_ids)) == 12
    with open_instance(settings_in(tmp_path, "qc.duckdb")) as instance:
        assert {record.dagster_run.status.value for record in instance.get_run_records()} == {"SUCCESS"}
    at_once = settings_in(tmp_path, "at_once.duckdb")
    load(Warehouse.from_settings(at_once), open_source(at_once), days)
    tables = [f"raw.{table}" for table in RAW_TABLES]
    parallel = Warehouse.from_settings(settings_in(tmp_path, "qc.duckdb"))
    assert parallel.query("SELECT count(*) FROM raw.pull_requests").item() == 1_200
    assert parallel.snapshot(tables) == Warehouse.from_settings(at_once).snapshot(tables)


@pytest.mark.slow
def test_threads_of_one_process_may_read_and_write_at_the_same_time(
    make_settings: Callable[..., Settings],
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    settings = make_settings()
    warehouse = Warehouse.from_settings(settings)
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE reports.counter AS SELECT 0 AS n")

    def work(turn: int) -> int:
        if turn % 2:
            return warehouse.query("SELECT count(*) FROM reports.counter").item()
        with warehouse.write() as connection:
            connection.execute("UPDATE reports.counter SET n = n + 1")
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(40))) == {1}
    assert warehouse.query("SELECT n FROM reports.counter").item() == 20


def test_a_run_that_finds_the_file_taken_says_so_in_our_words(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "qc.duckdb").model_copy(update={"lock_timeout_s": 1})
    materialize(tmp_path, [FIRST])
    holding = f"import duckdb; c = duckdb.connect({str(settings.warehouse)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunFailedError) as failure:
            run_job(settings, "features")
        holder.communicate("\n")
    assert f"process {holder.pid} has kept {settings.warehouse} open for 1 s" in str(failure.value)
    assert "duckdb" not in str(failure.value).replace("qc.duckdb", "")
