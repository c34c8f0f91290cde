"""Features on a real Spark are those of the file, column by column; only `ln` may differ, in its last bit."""

import math
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from deploy.local_servers import free_port, wait_for_port
from qc_assets.assets.partitions import days_between
from qc_assets.errors import QcError, SettingsError
from qc_assets.features.plain_sql import plain_query
from qc_assets.features.rebuilding import rebuild_features
from qc_assets.features.spark_sql import java_pattern, spark_steps
from qc_assets.lake_place import LakePlace
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.odd_history import BODIES, BRANCHES, LABELS, LOGINS, PATHS, TITLES, put_odd_history

pyspark = pytest.importorskip("pyspark", reason="Spark is tested where it is: pip install 'qc-assets[spark]'")
if shutil.which("java") is None:
    pytest.skip("Spark is tested where Java is: install Java 17 or later", allow_module_level=True)
pytestmark = pytest.mark.slow

TABLES = ("pull_requests", "issues", "comments")
# Java's logarithm is another: C's and its own may differ in the last bit.
BY_LOGARITHM = {"log_lines"}
# Several partitions of little data; nothing is compiled, which would take longer than to run it.
CONFIGURATION = """
spark.sql.shuffle.partitions 3
spark.sql.adaptive.coalescePartitions.enabled false
spark.sql.autoBroadcastJoinThreshold 0
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m
"""


@pytest.fixture(scope="module", autouse=True)
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("spark")
    (folder / "spark-defaults.conf").write_text(CONFIGURATION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield


def knobs_of(**knobs: Any) -> Settings:
    return load_settings(**{"features_engine": "spark", "spark_url": "local[2]"} | knobs)


def on_both(store: Warehouse, table: str, monkeypatch: pytest.MonkeyPatch, **knobs: Any) -> tuple[Any, Any, list[Path]]:
    """The table by DuckDB and by Spark, by key, and the files that came back."""
    files: list[Path] = []
    replace = Warehouse.replace_by_files

    def watched(self: Warehouse, name: str, staged: Path) -> int:
        files.extend(staged.parent.glob(staged.name))
        return replace(self, name, staged)

    parameters, tables = load_settings().feature_parameters(table), []
    for settings in (load_settings(), knobs_of(**knobs)):
        files.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Warehouse, "replace_by_files", watched)
            count = rebuild_features(store, f"features/{table}", parameters, settings)
        key = ["repo_id", "number", *(["comment_id"] if table == "comments" else [])]
        tables.append(store.query(f"FROM features.{table}").sort(key))
        assert len(tables[-1]) == count
    return tables[0], tables[1], files


def assert_same(by_duckdb: pl.DataFrame, by_spark: pl.DataFrame) -> None:
    assert by_duckdb.schema == by_spark.schema and len(by_duckdb) == len(by_spark)
    for name in by_duckdb.columns:
        if name in BY_LOGARITHM:
            assert by_spark[name].is_null().equals(by_duckdb[name].is_null())
            assert ((by_spark[name] / by_duckdb[name] - 1).abs().fill_null(0) <= 2.3e-16).all()
        else:
            differs = by_spark[name].ne_missing(by_duckdb[name])
            told = (by_duckdb["number"], by_spark[name], by_duckdb[name])
            assert not differs.any(), (name, *(column.filter(differs)[:5].to_list() for column in told))


@pytest.fixture(scope="module")
def demo_and_more(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("demo")
    places: dict[str, Any] = {"home": folder / "home", "warehouse": folder / "qc.duckdb"}
    settings = load_settings(demo_prs=300, demo_days=90, **places)
    store = Warehouse.from_settings(settings)
    load(store, open_source(settings), days_between(settings.first_date, settings.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    put_odd_history(store, beside=True)
    return store


@pytest.mark.parametrize(("table", "least"), [("pull_requests", 400), ("issues", 250), ("comments", 400)])
def test_the_demo_and_an_odd_history_on_spark_are_those_of_the_file(
    table: str, least: int, demo_and_more: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_duckdb, by_spark, files = on_both(demo_and_more, table, monkeypatch)
    assert len(by_duckdb) > least and len(files) > 1
    assert_same(by_duckdb, by_spark)


def test_an_empty_warehouse_and_a_lake(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with histories.memory(warehouse):
        pass
    assert on_both(warehouse, "comments", monkeypatch)[1].is_empty()
    lake = Warehouse(LakePlace.parse(f"ducklake:sqlite:{tmp_path}/catalogue.sqlite"), staging=tmp_path / "staging")
    put_odd_history(lake)
    by_duckdb, by_spark, _ = on_both(lake, "comments", monkeypatch, spark_folder=tmp_path)
    assert len(by_duckdb) > 50
    assert_same(by_duckdb, by_spark)
    assert not list(tmp_path.glob("qc-features-*"))


EXPRESSIONS = (
    *("trim(text)", "trim(text, ' #x')", "lower(text)", "strlen(text)", "length(text)", "parse_filename(text)"),
    *("contains(text, '#')", "replace(text, 'x', '')", "nullif(text, '')", "coalesce(text, 'none')", "text || chr(10)"),
    *("regexp_extract(text, '(x)?(#)', 2)", "regexp_extract_all(text, '[a-z]+')", "regexp_extract_all(text, '.')[:2]"),
    *("[text, NULL][1]", "[text][2]", "array_length(list_distinct([text, NULL, text]))", "concat_ws('-', text, NULL)"),
    *("list_intersect([text, 'x'], ['x'])", "list_filter([text, 'x'], lambda each: each <> 'x')"),
    *("list_transform([text], lambda each: each || '.')", "list_contains([text], 'x')", "text IN ('x', '')"),
    *("array_to_string([text, NULL, 'x'], ',')", "x::INTEGER", "x::INTEGER // 3", "x::INTEGER % 3", "x::INTEGER / 3"),
    *("-x", "ln(x * x + 1)", "least(x, 1.5)", "x BETWEEN 0 AND 2.5", "x IS DISTINCT FROM 2.5", "(x + 4 * 0.1) / 3"),
    *("isodow(t)", "hour(t)", "date_trunc('month', t)", "t - INTERVAL 90 DAY", "t + INTERVAL 1 MONTH", "t::DATE"),
    *("epoch(t - u)", "date_diff('second', u, t)", "date_diff('microsecond', u, t)", "t > u", "least(t, u)"),
    *("w.json::JSON ->> 'a'", "w.json::JSON -> 'a'", "(w.json::JSON -> 'b')::VARCHAR[]", "w.json::JSON -> '$.c.d'"),
    *("json_array_length(w.json::JSON -> 'b')", "(w.json::JSON ->> 'n')::BIGINT", "(w.json::JSON ->> 'f')::BOOLEAN"),
)


def test_words_mean_the_same(warehouse: Warehouse) -> None:
    from pyspark.sql import SparkSession

    texts = {text for text in (*BODIES, *LABELS, *PATHS, *TITLES) if text} | {"x", "İΣ", "\\", "#x #", "", " a/b\\c "}
    times = [datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(1969, 12, 31, 23, 0, 0, 1), datetime(2023, 12, 31)]
    jsons = ['{"a":"x\\u00e9","n":1,"f":true}', '{"a":null,"b":null}', '{"b":["x",null]}', '{"c":{"d":["y"]},"b":[]}']
    numbers = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 7.0, 0.0, -7.0, None]
    rows = [
        {
            "place": place, "text": text, "x": numbers[place % len(numbers)], "t": times[place % 3],
            "u": times[place // 3 % 3], "json": jsons[place % 4],
        }
        for place, text in enumerate([*sorted(texts), None])
    ]  # fmt: skip
    query = f"SELECT {', '.join(f'{each} AS c{place}' for place, each in enumerate(EXPRESSIONS))} FROM raw.words AS w"
    file = warehouse.path.with_suffix(".parquet")
    with warehouse.scratch() as connection:
        connection.register("rows", pl.DataFrame(rows, infer_schema_length=None).to_arrow())
        connection.execute(f"CREATE SCHEMA raw; CREATE TABLE raw.words AS FROM rows; COPY raw.words TO '{file}'")
        by_duckdb = connection.execute(f"{query} ORDER BY w.place").fetchall()
    session = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        session.read.parquet(str(file)).createOrReplaceTempView("raw_words")
        ((_, sql, _),) = spark_steps(plain_query(query, {}))
        by_spark = session.sql(f"{sql} ORDER BY w.place").collect()
    finally:
        session.stop()
    differing = {}
    for row, expected, values in zip(rows, by_duckdb, by_spark, strict=True):
        for expression, before, after in zip(EXPRESSIONS, expected, values, strict=True):
            same = math.isclose(before, after, rel_tol=2.3e-16) if "ln(" in expression and before else before == after
            if not same:
                differing[expression] = row, before, after
    assert not differing


def test_java_finds_what_re2_finds(warehouse: Warehouse) -> None:
    """Every pattern of the rules, and some that are known to differ, on every odd text."""
    from pyspark.sql import SparkSession

    rules: Any = load_settings().feature_parameters("pull_requests")["origin_rules"]
    patterns = [rule["expression"] for rule in rules]
    patterns += [
        r"\bfix\b",
        r"^\s*fix",
        "fix$",
        "(?m)^> x$",
        r"(?i)ß",
        r"[^a-z\s]x",
        r"(?s)a.b",
        "a.b",
        r"\Wx",
        r"[[&]",
    ]
    texts = {text for text in (*BODIES, *BRANCHES, *LABELS, *LOGINS, *PATHS, *TITLES) if text is not None}
    texts |= {f"{text}{end}" for text in list(texts) for end in ("\n", "\r", "\u0085", "\u2028")} | {"a\rb", "a\u2028b"}
    texts |= {text.swapcase() for text in texts}
    with warehouse.scratch() as connection:
        connection.register("texts", pl.DataFrame({"text": sorted(texts)}).to_arrow())
        quoted = ["'" + pattern.replace("'", "''") + "'" for pattern in patterns]
        calls = ", ".join(f"regexp_matches(text, {pattern})" for pattern in quoted)
        by_re2 = connection.execute(f"SELECT {calls} FROM texts ORDER BY text").fetchall()
    session = SparkSession.builder.master("local[2]").getOrCreate()
    try:
        rows = session.createDataFrame([(text,) for text in sorted(texts)], ["text"])
        by_java = rows.selectExpr(
            *(f"rlike(text, {_literal(java_pattern(pattern))})" for pattern in patterns)
        ).collect()
    finally:
        session.stop()
    for text, ours, theirs in zip(sorted(texts), by_re2, by_java, strict=True):
        differing = [pattern for pattern, expected, hit in zip(patterns, ours, theirs, strict=True) if expected != hit]
        assert not differing, (text, differing)
    assert sum(any(hits) for hits in by_re2) > 50


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def test_what_keeps_spark_from_it_is_said(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import Observation

    put_odd_history(warehouse)
    warehouse.rebuild("features/comments")
    before = warehouse.query("FROM features.comments ORDER BY ALL")

    def rebuild(**knobs: Any) -> int:
        return rebuild_features(warehouse, "features/comments", {}, knobs_of(**knobs))

    with pytest.raises(SettingsError, match=r"QC_SPARK_FOLDER=.*none: No such file"):
        rebuild(spark_folder=tmp_path / "none")
    with pytest.raises(SettingsError, match=r"QC_SPARK_URL=spark://elsewhere:7077 is elsewhere: set QC_SPARK_FOLDER"):
        rebuild(spark_url="spark://elsewhere:7077")
    with pytest.raises(QcError, match=r"no Spark Connect server answers at QC_SPARK_URL=sc://127.0.0.1:1"):
        rebuild(spark_url="sc://127.0.0.1:1")
    monkeypatch.setattr(Observation, "get", {"rows": 1_000_000})
    with pytest.raises(QcError, match=r"Spark wrote 1000000 rows, of which .* do not share that folder"):
        rebuild()
    assert warehouse.query("FROM features.comments ORDER BY ALL").equals(before, null_equal=True)
    assert not list(warehouse.staging_root.rglob("*.parquet"))


def test_spark_connect(demo_and_more: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"port": (port := free_port()), "address": "127.0.0.1"}
    given = [
        part for name, value in options.items() for part in ("--conf", f"spark.connect.grpc.binding.{name}={value}")
    ]
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]", *given, "--class"]
    command += ["org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_for_port(port, server, patience_s=90)
            assert_same(*on_both(demo_and_more, "comments", monkeypatch, spark_url=f"sc://127.0.0.1:{port}")[:2])
        finally:
            server.terminate()
