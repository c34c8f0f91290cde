import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.store.schema import RAW_TABLES, columns
from qc_assets.store.warehouse import Warehouse
from tests import histories


def test_reading_before_the_first_write_says_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseMissingError, match="qc demo"):
        warehouse.query("SELECT 1")


def test_a_failed_write_leaves_nothing_behind(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE reports.kept AS SELECT 1 AS x")
    with pytest.raises(RuntimeError, match="half-way"), warehouse.write() as connection:
        connection.execute("INSERT INTO reports.kept VALUES (2)")
        raise RuntimeError("half-way")
    assert warehouse.query("FROM reports.kept")["x"].to_list() == [1]


def test_read_cannot_write(warehouse: Warehouse) -> None:
    with warehouse.write():
        pass
    with warehouse.read() as connection, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        connection.execute("DELETE FROM raw.users")


def test_every_column_of_every_table_has_a_comment() -> None:
    tables = [f"raw.{table}" for table in RAW_TABLES]
    tables += ["ops.ingest_log", "ops.dead_letters", "ops.coverage", "features.pull_requests", "features.issues"]
    tables += ["ml.model_versions", "ml.evaluations", "ml.test_predictions"]
    tables += ["reports.funnel", "reports.weekly_activity", "reports.calibration"]
    silent = [(table, name) for table in tables for name, _, comment in columns(table) if not comment]
    assert silent == []


def _hold(path: Path, seconds: float) -> "subprocess.Popen[str]":
    code = f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('held', flush=True); time.sleep({seconds})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_reader_waits_while_another_process_writes(warehouse: Warehouse) -> None:
    with warehouse.write():
        pass
    holder = _hold(warehouse.path, 1.0)
    assert warehouse.query("SELECT 42 AS x").item() == 42
    holder.wait()


def test_a_lock_that_is_never_released_is_an_error_that_names_the_holder(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "qc.duckdb", lock_timeout_s=0.3)
    with warehouse.write():
        pass
    holder = _hold(warehouse.path, 60)
    try:
        with pytest.raises(WarehouseBusyError, match=f"process {holder.pid} has kept .* QC_LOCK_TIMEOUT_S"):
            warehouse.query("SELECT 1")
    finally:
        holder.kill()
        holder.wait()


def test_snapshots_depend_on_contents_not_on_order(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE reports.a AS FROM range(1000)")
        connection.execute("CREATE TABLE reports.b AS SELECT range FROM range(1000) ORDER BY range DESC")
        connection.execute("CREATE TABLE reports.c AS SELECT range + 1 AS range FROM range(1000)")
    identity = {name: warehouse.snapshot([f"reports.{name}"]) for name in "abc"}
    with warehouse.write() as connection:
        connection.execute("DROP TABLE reports.a; ALTER TABLE reports.b RENAME TO a")
    assert warehouse.snapshot(["reports.a"]) == identity["a"]
    assert identity["c"] not in (identity["a"], identity["b"])


def test_a_column_that_nobody_declares_is_refused_not_dropped(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute("ALTER TABLE raw.users ADD COLUMN shoe_size INTEGER")
        connection.execute("UPDATE ops.schema_version SET declarations = 'others'")
    with (
        pytest.raises(QcError, match=r"raw.users has columns that this version does not know \(shoe_size\)"),
        warehouse.write(),
    ):
        pass


def test_a_name_that_is_no_table_name_is_refused(warehouse: Warehouse) -> None:
    with warehouse.write():
        pass
    with pytest.raises(QcError, match="is not a table name"):
        warehouse.snapshot(['raw."users; DROP TABLE x"'])


def test_what_is_read_at_one_time_knows_nothing_of_what_lands_meanwhile(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        histories.put(connection, {"issues": [histories.issue(1, 0)]})
    statement = "SELECT count(*) AS issues FROM raw.issues"

    def land() -> None:
        with warehouse.write() as connection:
            histories.put(connection, {"issues": [histories.issue(1, 0), histories.issue(2, 0)]})

    with ThreadPoolExecutor(1) as other:
        with warehouse.at_one_time() as now:
            identity = now.snapshot(["raw.issues"])
            landing = other.submit(land)
            time.sleep(0.3)
            with now.at_one_time() as still:
                assert still.query(statement)["issues"].to_list() == [1] and not landing.done()
            assert now.snapshot(["raw.issues"]) == identity, "a reading within a reading does not end it"
            with pytest.raises(ValueError, match="locked"), now.read(unsafe=True):
                pass
        landing.result(timeout=20)
    assert warehouse.query(statement)["issues"].to_list() == [2]
