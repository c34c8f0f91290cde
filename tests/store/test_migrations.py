"""Warehouses of older versions: every row is kept, and the schema becomes that of a new one."""

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb
import pytest

from qc_assets.errors import QcError, WarehouseMissingError
from qc_assets.settings import Settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store import migrations
from qc_assets.store.copies import copies_of
from qc_assets.store.migrations import declared_shapes
from qc_assets.store.schema import declared, shapes_of
from qc_assets.store.warehouse import Warehouse
from tests.old_homes import contents, unpack_home


@pytest.fixture
def old(tmp_path: Path) -> Warehouse:
    """The warehouse that commit dc9b09e (version 0.1.0) made."""
    return Warehouse(unpack_home(tmp_path) / "qc.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)


def test_a_warehouse_of_0_1_0_keeps_every_row_and_gets_the_schema_of_a_new_one(
    old: Warehouse, warehouse: Warehouse
) -> None:
    before = contents(old.path)
    rows = {name: count for name, (count, _) in before.items()}
    kept = ("ml.feedback", "ml.payouts", "ml.imported_labels", "ml.predictions", "ml.evaluations", "critique.log")
    assert all(rows[table] > 0 for table in kept), "the fixture has all that cannot be had again"
    with warehouse.write():
        pass  # a new one
    with old.write():
        pass
    after = contents(old.path)
    assert {name: after[name] for name in before if name != "ops.schema_version"} == {
        name: before[name] for name in before if name != "ops.schema_version"
    }
    with old.read() as migrated, warehouse.read() as new:
        of_new = shapes_of(new)
        # Features and reports of the old one are computed anew when they are next needed.
        assert {table: shape for table, shape in shapes_of(migrated).items() if table in of_new} == of_new
    assert old.query("SELECT max(version) FROM ops.schema_version").item() == len(migrations.migrations())


def test_a_copy_of_before_is_put_beside_it_once(old: Warehouse) -> None:
    before = contents(old.path)
    assert old.pending_changes()[0] == "0001_numbered_versions"
    for _ in range(2):
        with old.write():
            pass
    (copy,) = copies_of(old.path)
    assert contents(copy) == before
    assert old.pending_changes() == []


def test_readers_of_an_older_file_are_told_to_migrate(old: Warehouse) -> None:
    with pytest.raises(QcError, match="run `qc migrate`"):
        old.query("SELECT 1")
    with pytest.raises(QcError, match="run `qc migrate`"), old.overlay():
        pass


def test_a_newer_warehouse_is_refused_by_readers_and_writers(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute("UPDATE ops.schema_version SET version = 9999")
        connection.execute("ALTER TABLE raw.users ADD COLUMN of_the_future INTEGER")
    before = warehouse.path.read_bytes()
    for use in (warehouse.read, warehouse.write, warehouse.overlay):
        with pytest.raises(QcError, match="schema version 9999, and this qc-assets knows versions up to"), use():
            pass
    with pytest.raises(QcError, match="schema version 9999"):
        warehouse.pending_changes()
    assert warehouse.path.read_bytes() == before
    assert copies_of(warehouse.path) == []


def test_a_new_column_a_wider_check_and_another_type_need_no_migration(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute(
            "INSERT INTO ml.feedback BY NAME SELECT 'f' AS feedback_id, 'p0' AS model, 'outcome' AS kind, "
            "'failed' AS label, 'amy' AS given_by, TIMESTAMP '2026-01-01' AS given_at"
        )
        kept = connection.execute("FROM ml.feedback").fetchall()
        # As an older version may have declared it: without a column and constraints, with another type.
        connection.execute("CREATE TABLE ml.older AS SELECT * EXCLUDE (reason) FROM ml.feedback")
        connection.execute("DROP TABLE ml.feedback; ALTER TABLE ml.older RENAME TO feedback")
        connection.execute("ALTER TABLE ml.feedback ALTER number TYPE VARCHAR; DROP TABLE ml.closings")
        connection.execute("UPDATE ops.schema_version SET declarations = 'older'")
    assert warehouse.pending_changes() == ["ml.closings", "ml.feedback"], "what is not there yet is pending, too"
    with warehouse.write():
        pass
    with warehouse.read() as connection:
        for table in ("ml.closings", "ml.feedback"):
            assert shapes_of(connection)[table] == declared_shapes()[table] == declared(table)
        assert connection.execute("FROM ml.feedback").fetchall() == kept


def test_rows_that_do_not_fit_leave_the_file_as_it_was(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE ml.older AS FROM ml.feedback; DROP TABLE ml.feedback")
        connection.execute("ALTER TABLE ml.older RENAME TO feedback")
        connection.execute("INSERT INTO ml.feedback (feedback_id, kind) VALUES ('f', 'nonsense')")
        connection.execute("UPDATE ops.schema_version SET declarations = 'older'")
    before = contents(warehouse.path)
    with pytest.raises(QcError, match=r"left as it was: the rows of ml\.feedback do not fit"), warehouse.write():
        pass
    assert contents(warehouse.path) == before
    assert copies_of(warehouse.path) == []


def test_a_failing_migration_is_named_and_undone(old: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(old.path)
    sql = "DROP TABLE ml.payouts; SELECT * FROM nowhere"
    broken = migrations.Migration(9, "0009_broken", lambda connection, forges: connection.execute(sql))
    steps = (*migrations.migrations(), broken)
    monkeypatch.setattr(migrations, "migrations", lambda: steps)
    with pytest.raises(QcError, match="migration 0009_broken failed"), old.write():
        pass
    assert contents(old.path) == before
    assert copies_of(old.path) == []


def test_a_file_without_tables_is_not_ready_and_the_next_writer_makes_it(warehouse: Warehouse) -> None:
    duckdb.connect(str(warehouse.path)).close()  # what an interrupted first transaction leaves
    with pytest.raises(WarehouseMissingError, match="has no tables yet: run `qc demo`"):
        warehouse.query("SELECT 1")
    with warehouse.write():
        pass
    assert warehouse.query("SELECT count(*) FROM raw.users").item() == 0


def test_a_load_migrates_first(old: Warehouse) -> None:
    settings = Settings(demo_prs=900, demo_days=200, _env_file=None)  # type: ignore[call-arg]
    report = load(old, DemoSource.from_settings(settings), [date(2024, 1, 1)])
    assert report.loaded + report.skipped == [date(2024, 1, 1)]
    assert old.pending_changes() == []


@pytest.mark.slow
def test_a_kill_at_any_moment_of_a_migration_loses_nothing(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from qc_assets.store.warehouse import Warehouse\n"
    script += "with Warehouse(Path(sys.argv[1])).write(): pass"
    command = [sys.executable, "-c", script]
    store = Warehouse(unpack_home(tmp_path) / "qc.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)
    before = contents(store.path)
    started = time.monotonic()
    subprocess.run([*command, str(unpack_home(tmp_path / "timed") / "qc.duckdb")], check=True)
    seconds = time.monotonic() - started
    for turn in range(8):
        process = subprocess.Popen([*command, str(store.path)])
        time.sleep(seconds * (0.3 + 0.08 * turn))  # importing comes first
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with store.write():
        pass
    after = contents(store.path)
    assert [name for name in before if name != "ops.schema_version" and after[name] != before[name]] == []
    assert store.pending_changes() == []
