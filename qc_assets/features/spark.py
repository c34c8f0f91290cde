"""Feature tables on Spark: tables go there as Parquet, the same SQL runs in its words, rows come back as Parquet.

Everything else about Spark is Spark's own to say: memory, executors and credentials stand in its configuration
(SPARK_CONF_DIR), the session here only sets what rows depend on.
"""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from qc_assets.errors import QcError, SettingsError
from qc_assets.features.asof_joins import PlainSqlError
from qc_assets.features.plain_sql import plain_query
from qc_assets.features.spark_sql import java_pattern, spark_steps
from qc_assets.store.schema import columns, sql_sections
from qc_assets.store.warehouse import Warehouse

_CONFIGURATION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.ui.explainMode": "simple",
}
_OF_THIS_PROCESS = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_OF_THIS_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def rebuild_on_spark(
    store: Warehouse, name: str, parameters: Mapping[str, object], url: str, shared: Path | None = None
) -> int:
    """As `Warehouse.rebuild`, on Spark; all is read of one state of the warehouse.

    Args:
        store: the warehouse.
        name: ``features/table``.
        parameters: named parameters of the query.
        url: a master of Spark, such as ``local[*]``, or a Spark Connect URL, ``sc://host:port``.
        shared: folder that Spark's machines see, too; None if it runs on this one.

    Returns:
        The number of rows.

    Raises:
        PlainSqlError: if the query has SQL of which nobody knows that it means the same there.
        SettingsError: if pyspark or Java is missing.
        QcError: if Spark cannot be reached, or fails, or its machines do not see the folder.
    """
    if shared is None and not re.match(r"local|\w+://(localhost|127\.0\.0\.1)\b", url):
        raise SettingsError(f"QC_SPARK_URL={url} is elsewhere: set QC_SPARK_FOLDER to a folder that Spark sees, too")
    try:
        query = plain_query(sql_sections(name)["rows"], _with_java_patterns(parameters))
        steps = list(spark_steps(query))
    except PlainSqlError as error:
        raise PlainSqlError(f"{name} on Spark: {error}. QC_FEATURES_ENGINE=duckdb computes it.") from error
    with _spark_session(url) as session, _staging(store, shared) as folder:
        with store.overlay() as connection:
            connection.begin()
            for table in sorted(query.tables):
                file = folder / f"{table}.parquet"
                connection.execute(f"COPY (FROM warehouse.{table}) TO $file", {"file": str(file)})
                session.read.parquet(file.as_uri()).createOrReplaceTempView(table.replace(".", "_"))
        _write(_result(session, folder, steps, name.replace("/", ".")), folder / "rows")
        return store.replace_by_files(name, folder / "rows" / "*.parquet")


def _with_java_patterns(parameters: Mapping[str, object]) -> dict[str, object]:
    """Parameters whose rules have their expressions as Java reads them."""
    rules: Any = parameters.get("origin_rules") or []
    changed = [{**rule, "expression": java_pattern(rule["expression"])} for rule in rules]
    return {**parameters, **({"origin_rules": changed} if changed else {})}


def _staging(store: Warehouse, shared: Path | None) -> AbstractContextManager[Path]:
    return store.staging() if shared is None else _shared_staging(shared)


@contextmanager
def _shared_staging(shared: Path) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(dir=shared, prefix="qc-features-") as folder:
            yield Path(folder)
    except FileNotFoundError as error:
        raise SettingsError(
            f"QC_SPARK_FOLDER={shared}: {error.strerror}. Make the folder, where all see it."
        ) from error


@contextmanager
def _spark_session(url: str) -> Iterator[Any]:
    """A session of our own; what Spark says is told in a line."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError("QC_FEATURES_ENGINE=spark needs pyspark: pip install 'qc-assets[spark]'") from error
    builder = SparkSession.builder.appName("qc-assets")
    if url.startswith("sc://"):
        _refuse_unreachable(url)
        builder = builder.remote(url)
    else:
        home = os.environ.get("JAVA_HOME")
        java = shutil.which("java", path=f"{home}/bin" if home else None)
        if java is None:
            raise SettingsError(
                f"QC_SPARK_URL={url} starts Spark here, which needs Java 17 or later: install it, or set JAVA_HOME; "
                "sc://host:port, a Spark Connect server, needs none"
            )
        own = _OF_THIS_PROCESS | (_OF_THIS_MACHINE if url.startswith("local") else {})
        builder = builder.master(url).config(map=own)
    try:
        session = builder.getOrCreate()
        try:
            for name, value in _CONFIGURATION.items():
                session.conf.set(name, value)
            yield session
        finally:
            session.stop()
    except (PySparkException, Py4JError) as error:
        message = str(error).strip().partition("\n")[0]
        raise QcError(
            f"Spark at {url} fails: {message:.500}. Its own log says more; QC_SPARK_URL says where."
        ) from error


def _refuse_unreachable(url: str) -> None:
    """The client of Spark Connect tries for ten minutes."""
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "", place.port or 15002), timeout=10).close()
    except (OSError, ValueError) as error:
        raise QcError(f"no Spark Connect server answers at QC_SPARK_URL={url}: {error}") from error


def _result(session: Any, folder: Path, steps: Sequence[tuple[str, str, bool]], table: str) -> Any:
    """The rows of a table, as Spark has still to compute them from the steps."""
    from sqlglot import exp

    for name, sql, is_read_again in steps:
        frame = session.sql(sql)
        if is_read_again:  # written, not cached: a plan holds those of all that it caches, and grows beyond measure
            _write(frame, folder / f"{name}.step")
            frame = session.read.parquet((folder / f"{name}.step").as_uri())
        if name:
            frame.createOrReplaceTempView(name)
    types = {name: exp.DataType.build(kind, dialect="duckdb").sql("spark") for name, kind, _ in columns(table)}
    return frame.selectExpr(*(f"CAST(`{name}` AS {kind}) AS `{name}`" for name, kind in types.items()))


def _write(frame: Any, place: Path) -> None:
    """Write rows, and see that all are there: machines that do not share the folder would each keep their own."""
    from pyspark.sql import Observation
    from pyspark.sql.functions import count, lit

    observation = Observation(place.name)
    frame.observe(observation, count(lit(1)).alias("rows")).write.parquet(place.as_uri())
    written, seen = observation.get["rows"], 0
    with suppress(duckdb.IOException), duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        files = {"files": f"{place}/*.parquet"}
        ((seen,),) = connection.execute("SELECT count(*) FROM read_parquet($files)", files).fetchall()
    if seen != written:
        raise QcError(
            f"Spark wrote {written} rows, of which {seen} are in {place}: its machines do not share that folder. "
            "Set QC_SPARK_FOLDER to one that all see."
        )
