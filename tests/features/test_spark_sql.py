"""What is said to Spark, and what nobody says to it because its meaning there is unknown."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qc_assets.assets.feature_tables import feature_assets
from qc_assets.assets.resources import WarehouseResource
from qc_assets.errors import QcError, SettingsError
from qc_assets.features import spark_sql
from qc_assets.features.asof_joins import PlainSqlError
from qc_assets.features.plain_sql import plain_query
from qc_assets.features.rebuilding import rebuild_features
from qc_assets.features.spark_sql import COMPARED, java_pattern, spark_steps, sql_words
from qc_assets.settings import load_settings
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

TABLES = ("pull_requests", "issues", "comments")


def test_every_word_of_feature_sql_has_been_compared_and_no_other_is_let_through() -> None:
    """A word that is new in warehouse/features fails here: sqlglot may mistake it, as it did isodow

    Look at what it means on both, add a rule to spark_sql.py if that differs, run tests/cluster/test_spark_features.py
    with a history that has it (tests/odd_history.py), and name it in COMPARED.
    """
    words = set()
    for table in TABLES:
        query = plain_query(sql_sections(f"features/{table}")["rows"], load_settings().feature_parameters(table))
        for tree in [*query.steps.values(), query.result]:
            words |= {word for word, _ in sql_words(tree)}
        assert [name for name, _, _ in spark_steps(query)][-1] == ""
    assert words == COMPARED


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT dayname(created_at) FROM raw.issues", "nobody has compared what Dayname means"),
        ("SELECT my_function(number) FROM raw.issues", "nobody has compared what my_function means"),
        ("SELECT number::DECIMAL(9, 2) FROM raw.issues", "nobody has compared what DataType.DECIMAL means"),
        (r"SELECT regexp_matches(body, '\pL') FROM raw.issues", "Java may read otherwise"),
        ("SELECT regexp_matches(body, title) FROM raw.issues", "a pattern is written out"),
        ("SELECT regexp_replace(body, 'a', 'b') FROM raw.issues", "every match is replaced"),
        (r"SELECT regexp_replace(body, '(a)', '\1', 'g') FROM raw.issues", "every match is replaced"),
        ("SELECT labels[number] FROM raw.issues", "a number that is written out"),
    ],
)
def test_what_nobody_has_compared_is_refused(query: str, message: str) -> None:
    with pytest.raises(PlainSqlError, match=message):
        list(spark_steps(plain_query(query, {})))


@pytest.mark.parametrize(
    ("pattern", "options", "java"),
    [
        (r"^a$", "", r"(?d)^a\z"),
        (r"(?m)^a$", "", r"(?d)(?:\A|(?<=\n))a(?=\n|\z)"),
        (r"(?i:^x$)|(?i:(?m)^y$)|^z$", "", r"(?d)(?i:^x\z)|(?i:(?:\A|(?<=\n))y(?=\n|\z))|^z\z"),
        (r"(?-i:a)(?i-m:b)", "m", r"(?d)(?-i:a)(?i:b)"),
        (r"[^\]\s&[]\s\$", "is", r"(?dis)[^\]\t\n\f\r \&\[][\t\n\f\r ]\$"),
        ("k(?i:s[a-k])K(?i)S[t]", "", "(?d)k(?i:[s\u017f][a-k\u212a])K(?i)[S\u017f][t]"),
        (r"[]a]{2}\x{10FFFF}", "g", r"(?d)[\]a]{2}\x{10FFFF}"),
    ],
)
def test_java_reads_the_same_pattern(pattern: str, options: str, java: str) -> None:
    assert java_pattern(pattern, options) == java


@pytest.mark.parametrize("pattern", [r"(?P<a>x)", r"(?U)a", r"\Qa\E", r"[[:alpha:]]", r"\pL", r"\1", r"[\S]"])
def test_a_pattern_that_java_may_read_otherwise_is_refused(pattern: str) -> None:
    with pytest.raises(PlainSqlError):
        java_pattern(pattern)


@pytest.mark.parametrize(
    "url", ["local", "local[2]", "local[*]", "spark://a:7077", "yarn", "k8s://https://a", "sc://a:15002/;token=x"]
)
def test_where_spark_may_be(url: str) -> None:
    assert load_settings(spark_url=url).spark_url == url


def test_a_wrong_setting_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"QC_SPARK_URL='http://a'.*sc://host"):
        load_settings(spark_url="http://a")
    with pytest.raises(SettingsError, match="QC_FEATURES_ENGINE"):
        load_settings(features_engine="polars")


def test_what_is_refused_says_who_computes_it(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_sql, "COMPARED", COMPARED - {"Lower"})
    with pytest.raises(
        PlainSqlError, match=r"features/issues on Spark: .* Lower .*QC_FEATURES_ENGINE=duckdb computes it"
    ):
        parameters = load_settings().feature_parameters("issues")
        rebuild_features(warehouse, "features/issues", parameters, load_settings(features_engine="spark"))


def test_without_pyspark_or_java_it_says_what_to_install(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    knobs = load_settings(features_engine="spark", warehouse=warehouse.path, home=tmp_path / "home")

    def rebuild() -> Any:
        return rebuild_features(warehouse, "features/comments", {}, knobs)

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyspark", None)
        with pytest.raises(SettingsError, match=r"pip install 'qc-assets\[spark\]'"):
            rebuild()
        resources = {"warehouse": WarehouseResource.from_settings(knobs)}
        with pytest.raises(SettingsError, match=r"pip install 'qc-assets\[spark\]'"):
            dg.materialize(feature_assets(knobs), resources=resources)
    pytest.importorskip("pyspark", reason="pip install 'qc-assets[spark]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(QcError, match="Java 17"):
        rebuild()
