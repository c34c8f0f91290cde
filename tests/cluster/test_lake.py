"""A lake with real servers: many processes load at once, are killed, lose the server, and it has what a file has."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg2
import pytest

from deploy.local_servers import PostgresServer
from qc_assets.errors import QcError, WarehouseAwayError, WarehouseBusyError, WarehouseMissingError
from qc_assets.lake_place import LakePlace
from qc_assets.store.carrying import carry
from qc_assets.store.keyless import BrokenRuleError
from qc_assets.store.lake_upkeep import tidy_lake
from qc_assets.store.warehouse import Warehouse
from tests import ROOT
from tests.cluster.lakes import NewLake, cut_all, lakes_of
from tests.cluster.loads import TABLES, load_days, world
from tests.cluster.postgres import running_postgres

pytestmark = pytest.mark.slow
DAYS = range(8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The days in a file, loaded one after the other by one process."""
    folder = tmp_path_factory.mktemp("file")
    return load_days(world(folder / "qc.duckdb", folder / "home"), DAYS)


def start(place: LakePlace, home: Path, days: Sequence[int]) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.cluster.loads", str(place), str(home), *map(str, days)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def opened(place: LakePlace, tmp_path: Path, **options: float) -> Warehouse:
    return Warehouse(place, staging=tmp_path / "staging", threads=1, **options)  # type: ignore[arg-type]


def test_four_processes_at_once_and_a_day_loaded_twice_leave_what_one_leaves_in_a_file(
    file: Warehouse, new_lake: NewLake, in_bucket: str, tmp_path: Path
) -> None:
    place = new_lake(in_bucket)
    writers = [start(place, tmp_path / f"home{n}", [*DAYS[n::4], 7]) for n in range(4)]
    errors = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, errors
    store = opened(place, tmp_path)
    assert store.snapshot(TABLES) == file.snapshot(TABLES)
    ended = "SELECT partition_date, status, rows FROM ops.ingest_log ORDER BY 1"
    assert store.query(ended).equals(file.query(ended))
    with pytest.raises(BrokenRuleError), store.write() as connection:
        connection.execute("INSERT INTO raw.users FROM raw.users LIMIT 1")
    assert store.snapshot(TABLES) == file.snapshot(TABLES)


def test_whoever_is_killed_leaves_whole_days_or_nothing_and_readers_see_no_other(
    file: Warehouse, new_lake: NewLake, tmp_path: Path
) -> None:
    place, chance = new_lake(), random.Random(25)
    store = opened(place, tmp_path)
    with store.write():
        pass
    torn: list[object] = []
    looks = 0
    is_over = threading.Event()
    whole = set(observations_of_loaded_days(file))

    def watch() -> None:
        nonlocal looks
        reader = opened(place, tmp_path)
        try:
            while not is_over.wait(0.5):
                there = observations_of_loaded_days(reader)
                looks += len(there)
                torn.extend(set(there) - whole)
        except Exception as error:  # noqa: BLE001  # it is the outcome
            torn.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    kills = 0
    try:
        while kills < 5:
            writer = start(place, tmp_path / "home", DAYS)
            assert writer.stdout is not None
            for _ in range(chance.randint(0, 2)):
                writer.stdout.readline()  # a day is loaded
            time.sleep(chance.uniform(0.05, 1.2))
            kills += writer.poll() is None
            writer.kill()
            writer.communicate()
        last = start(place, tmp_path / "home", DAYS)
        errors = last.communicate(timeout=300)[1]
        assert last.returncode == 0, errors
    finally:
        is_over.set()
        watcher.join()
    assert torn == []
    assert looks > 0
    assert store.snapshot(TABLES) == file.snapshot(TABLES)


def observations_of_loaded_days(store: Warehouse) -> list[tuple[object, ...]]:
    """Each day that the log says is loaded, and how many observations of each table are of it."""
    counts = ", ".join(
        f"(SELECT count(*) FROM {table} WHERE partition_date = log.partition_date)"
        for table in TABLES
        if "observed" in table
    )
    return store.query(f"SELECT partition_date, {counts} FROM ops.ingest_log AS log").rows()


def test_a_connection_that_is_lost_in_the_middle_of_a_load_is_an_error_to_understand_and_nothing_is_lost(
    file: Warehouse, new_lake: NewLake, postgres: PostgresServer, tmp_path: Path
) -> None:
    place = new_lake()
    database = place.where.split()[0].removeprefix("dbname=")
    store = load_days(world(place, tmp_path / "home"), DAYS[:4])
    before = store.snapshot(TABLES)
    lost = pytest.raises(WarehouseAwayError, match=r"does not answer\. Nothing is lost.*run the same command again")
    with lost as raised, store.write() as connection:
        connection.execute("DELETE FROM raw.users")
        assert cut_all(postgres, database) > 1
    assert "Traceback" not in str(raised.value)
    assert store.snapshot(TABLES) == before  # and it is there again
    stop = threading.Event()

    def cut_now_and_then() -> None:
        for _ in range(3):
            stop.wait(0.7)
            cut_all(postgres, database)

    cutter = threading.Thread(target=cut_now_and_then)
    cutter.start()
    try:
        load_days(world(place, tmp_path / "home"), DAYS)
    except WarehouseAwayError:  # of a reading between the batches
        load_days(world(place, tmp_path / "home"), DAYS)
    finally:
        stop.set()
        cutter.join()
    load_days(world(place, tmp_path / "home"), DAYS)
    assert store.snapshot(TABLES) == file.snapshot(TABLES)


def test_a_server_that_is_started_again_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_postgres() as postgres, lakes_of(postgres, tmp_path, monkeypatch) as make_lake:
        store = opened(make_lake(), tmp_path)
        with store.write():
            pass
        postgres.stop()
        starting = threading.Timer(1.5, postgres.start)
        starting.start()
        try:
            assert store.query("SELECT count(*) AS n FROM raw.users")["n"].item() == 0
        finally:
            starting.join()
        impatient = opened(make_lake(), tmp_path, lock_timeout_s=0.2)
        postgres.stop()
        with pytest.raises(WarehouseAwayError, match="does not answer"), impatient.write():
            pass


@pytest.mark.parametrize(("wrong", "reason"), [
    ({"dbname": "nobody_made_it"}, 'database "nobody_made_it" does not exist'),
    ({"user": "nobody"}, "password authentication failed"),
    ({"hst": "here"}, 'invalid connection option "hst"'),
])  # fmt: skip
def test_a_server_that_refuses_for_good_is_not_asked_to_be_waited_for(
    new_lake: NewLake, tmp_path: Path, wrong: dict[str, str], reason: str
) -> None:
    place = new_lake()
    said = dict(word.split("=") for word in place.where.split()) | wrong
    refused = Warehouse(replace(place, where=" ".join(f"{name}={value}" for name, value in said.items())))
    for act in (lambda: refused.query("SELECT 1"), lambda: tidy_lake(refused, timedelta(days=1))):
        with pytest.raises(QcError, match=reason) as error:
            act()
        assert "PGPASSWORD" in str(error.value) and "does not answer" not in str(error.value)


def test_a_second_writer_waits_and_one_that_lost_its_lock_writes_nothing(new_lake: NewLake, tmp_path: Path) -> None:
    place = new_lake()
    with (
        opened(place, tmp_path).write(),
        pytest.raises(WarehouseBusyError, match="QC_LOCK_TIMEOUT_S"),
        opened(place, tmp_path, lock_timeout_s=0.3).write(),
    ):
        pass
    with pytest.raises(WarehouseAwayError), opened(place, tmp_path).write() as connection:
        connection.execute("INSERT INTO ops.forges VALUES (5, 'a.example', false, now()::TIMESTAMP)")
        # As if the network had ended the session of the lock, and another writer had taken its place.
        with psycopg2.connect(place.where) as session, session.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    with pytest.raises(duckdb.TransactionException, match="retry count"), opened(place, tmp_path).write() as connection:
        connection.execute("INSERT INTO ops.forges VALUES (5, 'a.example', false, now()::TIMESTAMP)")
        behind_the_lock(place, tmp_path)
    assert opened(place, tmp_path).query("SELECT forge FROM ops.forges")["forge"].to_list() == ["b.example"]


def behind_the_lock(place: LakePlace, tmp_path: Path) -> None:
    connection = opened(place, tmp_path).engine.open(read_only=False)
    connection.execute("INSERT INTO ops.forges VALUES (6, 'b.example', false, now()::TIMESTAMP)")
    connection.close()


def test_a_warehouse_is_carried_into_a_lake_and_back_and_tidied_without_a_row_changing(
    file: Warehouse, new_lake: NewLake, in_bucket: str, tmp_path: Path
) -> None:
    lake, back = opened(new_lake(in_bucket), tmp_path), Warehouse(tmp_path / "back.duckdb", staging=tmp_path)
    rows = carry(file, lake)
    assert rows["raw.pull_requests"] > 0
    assert lake.snapshot(list(rows)) == file.snapshot(list(rows))
    load_days(world(lake.place, tmp_path / "home"), DAYS[:3], refresh=True)
    files = "SELECT count(*) AS n FROM ducklake_list_files('warehouse', 'pull_requests', schema => 'observed')"
    with lake.read(unsafe=True) as connection:
        many = connection.execute(files).fetchall()[0][0]
    identity = lake.snapshot(TABLES)
    assert identity == file.snapshot(TABLES)
    done = tidy_lake(lake, timedelta(hours=1))
    assert done["files merged"] > 0
    with lake.read(unsafe=True) as connection:
        assert connection.execute(files).fetchall()[0][0] < many
    assert lake.snapshot(TABLES) == identity
    carry(lake, back)
    assert back.snapshot(TABLES) == identity
    with pytest.raises(duckdb.ConstraintException), back.write() as connection:  # and it has its keys again
        connection.execute("INSERT INTO raw.users FROM raw.users LIMIT 1")


def test_no_key_of_the_bucket_stands_in_what_is_said(
    new_lake: NewLake, in_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-than-the-bucket-has")
    store = opened(new_lake(in_bucket), tmp_path)
    with pytest.raises(QcError, match="refuses these keys: look at AWS_") as refused, store.write():
        pass  # the tables' first rows
    assert "another-than" not in str(refused.value)
    with pytest.raises(WarehouseMissingError):
        store.query("FROM raw.users")
