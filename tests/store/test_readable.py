"""Queries only read, and every value of every type comes out as it is: in polars, in a table and in JSON."""

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from qc_assets.cli import console
from qc_assets.store.export import export_table
from qc_assets.store.readable import NotReadingError, frame_of, rows_of
from qc_assets.store.warehouse import Warehouse

# Beside those that DuckDB lists itself.
ODD = {
    "INTERVAL 3 DAY": "3 days",
    "INTERVAL 14 MONTH": "1 year 2 months",
    "INTERVAL 1000000000 DAY": "1000000000 days",
    "'infinity'::TIMESTAMPTZ": "infinity",
    "'1000-01-01 (BC)'::DATE": "1000-01-01 (BC)",
    "'12000-01-01'::TIMESTAMP": "12000-01-01 00:00:00",
    "DATE '9999-12-31'": "9999-12-31",
    "'24:00:00'::TIME": "24:00:00",
    "'2024-01-01 00:00:00.123456789'::TIMESTAMP_NS": "2024-01-01 00:00:00.123456789",
    "170141183460469231731687303715884105727::HUGEINT": 170141183460469231731687303715884105727,
    "1234567890123456789012345.0123456789::DECIMAL(38, 10)": "1234567890123456789012345.0123456789",
    "'nan'::DOUBLE": "NaN",
    "[1.5, '-inf'::FLOAT]": [1.5, "-Infinity"],
    "map {[1, 2]: INTERVAL 1 DAY}": {"[1, 2]": "1 day"},
    "{'a': ['infinity'::DATE]}": {"a": ["infinity"]},
    "union_value(n := 'infinity'::TIMESTAMP)": {"n": "infinity"},
    "1::VARIANT": "1",
    "'{\"a\": 1e999}'::JSON": '{"a": 1e999}',
}


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def in_json(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    console.mode.as_json = True
    try:
        console.emit(rows)
    finally:
        console.mode.as_json = False
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


@pytest.mark.parametrize("expression", ODD)
def test_a_value_that_python_or_polars_lacks_is_told(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str], expression: str
) -> None:
    query = f"SELECT {expression} AS x, 1 AS x"
    names, rows = rows_of(connection, query)
    assert names == ["x", "x_1"] and in_json(capsys, rows) == [{"x": ODD[expression], "x_1": 1}]
    console.out.print(console.table("rows", rows))
    frame = frame_of(connection, query)
    assert str(frame) and len(frame.to_dicts()) == 1


def test_every_type_that_duckdb_has_can_be_shown(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    names, rows = rows_of(connection, "FROM test_all_types()")
    assert len(names) > 50 and len(rows) == 3
    assert in_json(capsys, rows)[1]["uhugeint"] == 2**128 - 1
    console.out.print(console.table("rows", rows))
    frame = frame_of(connection, "FROM test_all_types()")
    assert str(frame) and frame.columns == names and len(frame.to_dicts()) == 3
    assert frame["hugeint"].to_list() == [-(2**127), 2**127 - 1, None]
    assert frame["interval"][1] == "83 years 3 months 999 days 00:16:39.999999"
    assert frame["map"].null_count() == 1 and frame["timestamp_tz"][1].startswith("294247-")
    spans = frame_of(connection, "SELECT INTERVAL 36 HOUR AS x UNION ALL SELECT NULL")
    assert spans["x"].dtype == pl.Duration("us")


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    with warehouse.write() as connection:
        connection.execute("CREATE TABLE reports.texts AS SELECT unnest(['=1+1', ' \"@x', 'a-b', '']) AS body, -2 AS n")
    return warehouse


HOSTILE = (
    "COPY (SELECT 1) TO '{file}'",
    "COPY (SELECT 1) TO '{warehouse}.wal'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
    "SELECT 1; COPY (SELECT 1) TO '{file}'",
    "EXPORT DATABASE '{file}'",
    "ATTACH '{file}' AS other",
    "ATTACH '{warehouse}' AS other (READ_WRITE)",
    "DELETE FROM raw.users",
    "SET enable_external_access = true",
    "PRAGMA memory_limit = '1TB'",
    "CALL enable_logging()",
    "LOAD httpfs",
    "-- nothing",
    "FROM read_csv('/etc/passwd')",
    "FROM '/etc/passwd'",
    "FROM read_text('/proc/self/environ')",
    "FROM glob('/etc/*')",
    "FROM read_blob('{staging}/../../../etc/passwd')",
    "FROM read_csv('http://127.0.0.1:9/x')",
    "FROM query('FROM read_csv(''/etc/passwd'')')",
    "FROM statement",
    "FROM enable_logging(storage='file', storage_path='{file}')",
    "SELECT (SELECT count(*) FROM \"Enable_Logging\"(storage := 'stdout'))",
    "FROM query('FROM enable_logging(storage=''stdout'')')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM enable_profiling()'))",
    "DESCRIBE FROM system.main.truncate_duckdb_logs/**/()",
    "SELECT write_log('x')",
    "FROM checkpoint()",
    "PRAGMA import_database('{staging}')",
)


def test_a_query_reads_the_warehouse_and_nothing_else(filled: Warehouse, tmp_path: Path) -> None:
    file, before = tmp_path / "written", filled.path.read_bytes()
    for statement in HOSTILE:
        with pytest.raises((NotReadingError, duckdb.Error)):
            filled.query(statement.format(file=file, warehouse=filled.path, staging=filled.staging_root))
    assert not file.exists() and filled.path.read_bytes() == before
    assert filled.query("SELECT 'write_log' AS query, 1 AS checkpoint").row(0) == ("write_log", 1), "names are names"
    assert len(filled.query("FROM reports.texts")) == 4


def test_readers_of_one_process_share_the_file_and_the_lock(filled: Warehouse) -> None:
    with filled.read() as outer, filled.read() as inner:
        for connection in (outer, inner):
            assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
            with pytest.raises(duckdb.InvalidInputException, match="locked"):
                connection.execute("SET memory_limit = '1TB'")
        assert filled.query("SELECT count(*) AS n FROM reports.texts WHERE n = $n", {"n": -2})["n"].item() == 4
    with filled.read(unsafe=True) as connection:
        assert connection.execute("FROM glob('/etc/host*')").fetchall()


def test_no_cell_of_a_csv_is_a_formula_unless_asked_for(filled: Warehouse, tmp_path: Path) -> None:
    assert export_table(filled, "reports.texts", tmp_path / "t.csv", "csv") == 4
    with (tmp_path / "t.csv").open(newline="") as lines:
        assert sorted(csv.reader(lines))[:4] == [["", "-2"], ["' \"@x", "-2"], ["'=1+1", "-2"], ["a-b", "-2"]]
    export_table(filled, "reports.texts", tmp_path / "raw.csv", "csv", raw=True)
    assert "=1+1" in pl.read_csv(tmp_path / "raw.csv")["body"].to_list()
    assert export_table(filled, "reports.texts", tmp_path / "t.jsonl.gz", "jsonl.gz") == 4
