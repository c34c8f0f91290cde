"""What an engine without keys lets in: no more than one that has them."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qc_assets.errors import QcError, SettingsError, WarehouseAwayError
from qc_assets.lake_place import LakePlace, parsed_place, quoted_data
from qc_assets.settings import load_settings
from qc_assets.store import lake as lake_module
from qc_assets.store.carrying import carry
from qc_assets.store.inserts import put
from qc_assets.store.keyless import BrokenRuleError, tables_written_by
from qc_assets.store.lake_upkeep import tidy_lake
from qc_assets.store.migrations import declared_shapes
from qc_assets.store.schema import shapes_of
from qc_assets.store.warehouse import Warehouse

pytest.importorskip("duckdb_extension_ducklake", reason="pip install 'qc-assets[lake]'")

SEEN = "'demo' AS source, TIMESTAMP '2024-01-01' AS observed_at, DATE '2024-01-01' AS partition_date"
EVENT = f"'bug' AS label, 'labeled' AS action, TIMESTAMP '2024-01-01' AS created_at, {SEEN}"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("lake")
    store = Warehouse(LakePlace.parse(f"ducklake:sqlite:{folder}/catalogue.sqlite"), staging=folder / "staging")
    with store.write():
        pass
    return store


def forge(number: int, name: str = "one.example") -> pl.DataFrame:
    return pl.DataFrame({"forge_number": [number], "forge": [name], "is_synthetic": [False]}).with_columns(
        first_loaded_at=pl.lit("2024-01-01 00:00:00").str.to_datetime()
    )


@pytest.mark.parametrize(
    ("url", "catalogue", "where", "data"),
    [
        ("ducklake:/a/b.ducklake", "duckdb", "/a/b.ducklake", "/a/b.ducklake.files/"),
        ("ducklake:sqlite:/a/b.db?data=/c", "sqlite", "/a/b.db", "/c/"),
        ("ducklake:postgres:dbname=qc host=db?data=s3://b-1/p/", "postgres", "dbname=qc host=db", "s3://b-1/p/"),
    ],
)
def test_a_lake_is_named_by_its_catalogue_and_its_files(url: str, catalogue: str, where: str, data: str) -> None:
    place = parsed_place(url)
    assert place == LakePlace(catalogue, where, data)  # type: ignore[arg-type]
    assert parsed_place(str(place)) == place


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgres:dbname=qc", "this kind is not known"),
        ("s3://bucket/qc.duckdb", "this kind is not known"),
        ("ducklake:mysql:db?data=/c", "names no catalogue"),
        ("ducklake:?data=/c", "names no catalogue"),
        ("ducklake:/a.ducklake?dta=/c", "dta is not known"),
        ("ducklake:postgres:host=db?data=/c", "needs dbname"),
        ("ducklake:postgres:dbname=qc", "needs \\?data="),
        ("ducklake:postgres:dbname=qc password=hunter2?data=/c", "PGPASSWORD"),
        ("ducklake:postgres:dbname=qc sslpassword=hunter2?data=/c", "PGPASSWORD"),
        ("ducklake:postgres:dbname=qc PASSWORD=hunter2?data=/c", "PGPASSWORD"),
        ("ducklake:/a.ducklake?data=/c&data=/d", "twice"),
        ("ducklake:postgres:dbname=qc?data=gs://b/c", "write s3://"),
        ("ducklake:postgres:dbname=qc?data=s3://key:secret@b", "write s3://"),
    ],
)
def test_a_url_that_is_not_known_is_refused_with_a_sentence(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=reason) as refused:
        load_settings(home=tmp_path, warehouse=url)
    assert "hunter2" not in str(refused.value) and "secret@" not in str(refused.value)


def test_a_lake_has_the_columns_types_comments_and_nulls_that_are_declared(lake: Warehouse) -> None:
    with lake.read() as connection:
        present = shapes_of(connection)
    for table, declared in declared_shapes().items():
        assert present[table].columns == declared.columns, table
        assert present[table].holds_rows_as(declared.without_keys()), table
    assert lake.pending_changes() == []


def test_what_is_declared_once_is_there_once_whoever_inserts_it(lake: Warehouse) -> None:
    with lake.write() as connection:
        put(connection, "ops.forges", forge(5))
    with lake.write() as connection:
        put(connection, "ops.forges", forge(5, "renamed.example"))
    assert lake.query("SELECT forge FROM ops.forges WHERE forge_number = 5")["forge"].to_list() == ["renamed.example"]
    with pytest.raises(BrokenRuleError, match="one row for each"), lake.write() as connection:
        connection.execute("INSERT INTO ops.forges SELECT * FROM ops.forges WHERE forge_number = 5")
    with pytest.raises(BrokenRuleError, match="would have 2"), lake.write() as connection:
        put(connection, "ops.forges", pl.concat([forge(6), forge(6)]))
    with pytest.raises(BrokenRuleError, match="one row for each"), lake.write() as connection:
        put(connection, "ops.forges", forge(7, "renamed.example"))
    assert lake.query("SELECT count(*) AS n FROM ops.forges")["n"].item() == 1


def test_a_row_that_breaks_a_check_is_refused_and_nothing_of_its_transaction_stays(lake: Warehouse) -> None:
    entry = (
        "INSERT INTO ops.ingest_log BY NAME SELECT 'demo' AS source, '*' AS repo, DATE '2024-01-01' AS partition_date, "
        "'f' AS fingerprint, '{}' AS status, []::VARCHAR[] AS tables, 0 AS requests, 0 AS points, 0 AS lines, "
        "0 AS bad_lines, {} AS rows, now()::TIMESTAMP AS started_at, now()::TIMESTAMP AS finished_at"
    )
    for status, rows, reason in (("finished", 0, "status IN"), ("done", -1, "rows")):
        broken = pytest.raises(BrokenRuleError, match=f"ops.ingest_log: 1 rows break the rule .*{reason}")
        with broken, lake.write() as connection:
            put(connection, "ops.forges", forge(9))
            connection.execute(entry.format(status, rows))
    with pytest.raises(duckdb.ConstraintException, match="NOT NULL"), lake.write() as connection:
        connection.execute("INSERT INTO ops.forges (forge_number) VALUES (8)")
    assert lake.query("SELECT 1 FROM ops.forges WHERE forge_number IN (8, 9)").is_empty()
    assert lake.query("FROM ops.ingest_log").is_empty()


def test_a_lake_of_an_older_version_is_migrated_with_its_rows(tmp_path: Path) -> None:
    store = Warehouse(LakePlace.parse(f"ducklake:{tmp_path}/old.ducklake"), staging=tmp_path / "staging")
    with store.write() as connection:
        put(connection, "ops.forges", forge(5))
        connection.execute(f"INSERT INTO raw.users BY NAME SELECT 1 AS user_id, 'ann' AS login, {SEEN}")
    with store.write() as connection:  # as an older version would have made it
        connection.execute("ALTER TABLE raw.users DROP COLUMN login")
        connection.execute("DROP TABLE ml.gates")
        connection.execute("UPDATE ops.schema_version SET declarations = 'of before'")
    assert store.pending_changes() == ["ml.gates", "raw.users"]
    assert store.migrate() == ["ml.gates", "raw.users"]
    assert store.pending_changes() == []
    assert store.query("SELECT user_id, login FROM raw.users").rows() == [(1, None)]
    assert store.query("FROM ml.gates").is_empty()
    assert store.query("SELECT forge FROM ops.forges")["forge"].to_list() == ["one.example"]


def test_tidying_removes_what_nothing_refers_to_and_no_row(lake: Warehouse, tmp_path: Path) -> None:
    with lake.write() as connection:
        put(connection, "ops.forges", forge(11, "tidy.example"))
    before = lake.snapshot(["ops.forges"])
    assert isinstance(lake.place, LakePlace)
    stray = Path(lake.place.data) / "ops" / "forges" / "ducklake-01a21aa4-c246-76ba-8dd2-e9d52a175265.parquet"
    stray.write_bytes(b"half")
    os.utime(stray, (0, 0))
    assert tidy_lake(lake, timedelta(hours=1))["stray files removed"] == 1
    assert not stray.exists()
    assert lake.snapshot(["ops.forges"]) == before
    with pytest.raises(QcError, match="keep an hour"):
        tidy_lake(lake, timedelta(minutes=1))
    with pytest.raises(QcError, match="is a file"):
        tidy_lake(Warehouse(tmp_path / "qc.duckdb"), timedelta(days=1))


def rows_and_strays(store: Warehouse) -> int:
    """Ages all that lies in a lake's folder, so that tidying takes it for old; returns its rows."""
    assert isinstance(store.place, LakePlace)
    for path in Path(store.place.data).rglob("*.parquet"):
        os.utime(path, (0, 0))
    return int(store.query("SELECT count(*) FROM ops.forges").item())


def lake_with_a_row(place: str, staging: Path) -> Warehouse:
    store = Warehouse(LakePlace.parse(place), staging=staging)
    with store.write() as connection:
        put(connection, "ops.forges", forge(1))
    return store


def test_tidying_a_lake_never_removes_what_is_not_its_own(tmp_path: Path) -> None:
    first = lake_with_a_row(f"ducklake:sqlite:{tmp_path}/a.sqlite?data={tmp_path}/files", tmp_path / "s")
    with pytest.raises(QcError, match=r"catalogue is .*/a\.sqlite, and tidying .* that is empty"):
        lake_with_a_row(f"ducklake:sqlite:{tmp_path}/b.sqlite?data={tmp_path}/files", tmp_path / "s")
    lake_with_a_row(f"ducklake:sqlite:{tmp_path}/b.sqlite?data={tmp_path}/other", tmp_path / "s")  # and it may be made
    # A copy of the catalogue, as for a trial, does not know what the first wrote since.
    shutil.copy(tmp_path / "a.sqlite", tmp_path / "trial.sqlite")
    with first.write() as connection:
        put(connection, "ops.forges", forge(2, "two.example"))
    trial = Warehouse(LakePlace.parse(f"ducklake:sqlite:{tmp_path}/trial.sqlite?data={tmp_path}/files"))
    assert (rows_and_strays(trial), rows_and_strays(first)) == (1, 2)
    with pytest.raises(QcError, match=r"is the folder of the lake whose catalogue is .*/a\.sqlite.*qc-lake\.csv"):
        tidy_lake(trial, timedelta(hours=1))
    # A lake in a folder within, and a person's own file.
    within = lake_with_a_row(f"ducklake:sqlite:{tmp_path}/c.sqlite?data={tmp_path}/files/within", tmp_path / "s")
    rows_and_strays(within)
    with pytest.raises(QcError, match=r"are not this lake's, such as .*/files/within/"):
        tidy_lake(first, timedelta(hours=1))
    assert rows_and_strays(within) == 1 and rows_and_strays(first) == 2


def test_a_lake_whose_files_are_gone_is_neither_written_nor_tidied(tmp_path: Path) -> None:
    store = lake_with_a_row(f"ducklake:sqlite:{tmp_path}/a.sqlite?data={tmp_path}/disk", tmp_path / "s")
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    lake_module._claimed.clear()  # as in a process that starts now
    lake_module.close_kept_connections()
    with pytest.raises(QcError, match=r"is not there: is the disk mounted\?"):
        store.query("FROM ops.forges")
    with pytest.raises(QcError, match=r"is empty, .* is the disk mounted"):
        tidy_lake(store, timedelta(hours=1))
    with pytest.raises(QcError, match=r"is empty, .* is the disk mounted"), store.write() as connection:
        put(connection, "ops.forges", forge(2, "two.example"))
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    assert rows_and_strays(store) == 1


def test_a_warehouse_is_not_carried_onto_itself_by_another_name(tmp_path: Path) -> None:
    store = Warehouse(tmp_path / "qc.duckdb", staging=tmp_path / "s")
    with store.write():
        pass
    (tmp_path / "link.duckdb").symlink_to(store.place)  # type: ignore[arg-type]
    for other in (tmp_path / "link.duckdb", tmp_path / ".." / tmp_path.name / "qc.duckdb"):
        with pytest.raises(QcError, match="is where the warehouse is"):
            carry(store, Warehouse(other, staging=tmp_path / "s", lock_timeout_s=0.2))


def test_a_lake_of_before_the_note_is_claimed_when_it_is_written(tmp_path: Path) -> None:
    store = lake_with_a_row(f"ducklake:sqlite:{tmp_path}/a.sqlite", tmp_path / "s")
    note = tmp_path / "a.sqlite.files" / "qc-lake.csv"
    note.unlink()
    lake_module._claimed.clear()
    with store.write() as connection:
        put(connection, "ops.forges", forge(2, "two.example"))
    assert note.read_text(encoding="utf-8").strip() == f"{tmp_path}/a.sqlite"
    assert rows_and_strays(store) == 2 and tidy_lake(store, timedelta(hours=1))["stray files removed"] == 0


@given(name=st.text(st.sampled_from("ab +%&#;é/2F0="), min_size=1, max_size=12))
@example(name="a+b")
@example(name="50%20off")
@example(name="R&D")
def test_a_place_is_the_same_after_it_was_written_down(name: str) -> None:
    for text in (f"ducklake:sqlite:/x/{name}.sqlite", f"ducklake:/x.ducklake?data=/x/{quoted_data(name)}"):
        place = LakePlace.parse(text)
        assert parsed_place(str(place)) == place and name.strip("/ ").split("/")[0] in str(place.data + place.where)


def test_a_connection_lost_while_the_catalogue_is_read_is_no_broken_catalogue(tmp_path: Path) -> None:
    lake = Warehouse(LakePlace.parse(f"ducklake:postgres:dbname=qc?data={tmp_path}"), staging=tmp_path / "s")
    lost = (
        'Failed to probe DuckLake metadata: Failed to execute query "BEGIN TRANSACTION READ ONLY;\n": FATAL:  '
        "terminating connection due to administrator command"
    )
    with pytest.raises(WarehouseAwayError, match="does not answer"), lake.engine.explained():
        raise duckdb.Error(lost)


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalogues of a lake, of one of a newer version, and a file that is none."""
    folder = tmp_path_factory.mktemp("catalogues")
    lake_with_a_row(f"ducklake:sqlite:{folder}/a.sqlite", folder / "s")
    shutil.copy(folder / "a.sqlite", folder / "new.sqlite")
    with closing(sqlite3.connect(folder / "new.sqlite")) as newer, newer:
        newer.execute("UPDATE ducklake_metadata SET value = '9.0' WHERE key = 'version'")
    (folder / "text.sqlite").write_text("no catalogue at all", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("url", "hint"), [
    ("ducklake:sqlite:{}/a.sqlite?data={}/elsewhere", r"are in .*/a\.sqlite\.files/: write \?data="),
    ("ducklake:{}/a.sqlite?data={}/a.sqlite.files", "write ducklake:sqlite:"),
    ("ducklake:sqlite:{}/new.sqlite?data={}/a.sqlite.files", r"of DuckLake 9\.0, and this qc-assets reads \d\.\d:"),
    ("ducklake:sqlite:{}/text.sqlite?data={}/a.sqlite.files", r"cannot be read \(file is not a database\)"),
])  # fmt: skip
def test_a_lake_that_is_named_wrongly_says_how_it_is_named(catalogues: Path, url: str, hint: str) -> None:
    wrong = Warehouse(LakePlace.parse(url.format(catalogues, catalogues)), staging=catalogues / "s")
    with pytest.raises(QcError, match=hint) as refused:
        wrong.query("SELECT 1")
    assert (
        "AUTOMATIC" not in str(refused.value)
        and "download" not in str(refused.value)
        and "does not answer" not in str(refused.value)
    )


def test_all_queries_of_one_reading_see_one_instant_and_no_writer_waits_for_it(lake: Warehouse) -> None:
    count = "SELECT count(*) AS n FROM raw.label_events"
    with lake.at_one_time() as now:
        before = now.query(count)["n"].item()
        with lake.write() as connection:
            connection.execute(f"INSERT INTO raw.label_events BY NAME SELECT 1 AS repo_id, 1 AS number, {EVENT}")
        assert now.query(count)["n"].item() == before
    assert lake.query(count)["n"].item() == before + 1


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("INSERT INTO raw.users BY NAME SELECT 1", {"raw.users"}),
        ('-- INSERT INTO raw.users\nINSERT INTO\n  "ml"."gates" FROM raw.issues', {"ml.gates"}),
        ("WITH a AS (SELECT 1) INSERT INTO raw.users FROM a", {"raw.users"}),
        ("update ml.feedback SET set_aside = true FROM raw.users", {"ml.feedback"}),
        ("MERGE INTO ops.ingest_log USING x USING (a) WHEN MATCHED THEN UPDATE SET b = 1", {"ops.ingest_log"}),
        ("CREATE TABLE raw.users AS FROM x; COPY raw.issues FROM 'x'", {"raw.users", "raw.issues"}),
        ("DROP TABLE raw.users; DELETE FROM raw.users; INSERT INTO touched FROM raw.users", set()),
        ("INSERT INTO observed.users FROM raw.users", set()),  # it has no key
    ],
)
def test_the_tables_that_a_statement_writes_are_noticed(statement: str, tables: set[str]) -> None:
    assert tables_written_by(statement) == tables


def test_a_lake_without_its_packages_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb_extension_ducklake", None)
    store = Warehouse(LakePlace.parse(f"ducklake:{tmp_path}/new.ducklake"), staging=tmp_path)
    with pytest.raises(QcError, match=r"pip install 'qc-assets\[lake\]'"), store.write():
        pass


@pytest.mark.parametrize(
    "query",
    [
        "FROM sqlite_scan('{catalogue}', 'ducklake_table')",
        "FROM ducklake_cleanup_old_files('warehouse', cleanup_all => true)",
        "FROM query('FROM duckl' || 'ake_expire_snapshots(''warehouse'', versions => [1])')",
        "SELECT * FROM __ducklake_metadata_warehouse.ducklake_metadata",
        "FROM (SELECT 1), (FROM SQLITE_QUERY /* */ ('x', 'SELECT 1'))",
        "FROM read_text('/etc/hostname')",
    ],
)
def test_who_asks_reads_the_warehouse_and_not_its_machinery(lake: Warehouse, query: str) -> None:
    place = lake.place
    assert isinstance(place, LakePlace)
    with pytest.raises((QcError, duckdb.PermissionException), match=r"not for reading|Cannot access"):
        lake.query(query.format(catalogue=place.where))
