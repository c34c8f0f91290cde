"""Homes that earlier versions made, and comparing what warehouses hold."""

import tarfile
from pathlib import Path

import duckdb

from qc_assets.settings import Settings
from tests import ROOT

MODELS = ("p0", "resolution_time", "close_in_7_days", "comment_category")  # each has a champion


def unpack_home(folder: Path, version: str = "0.1.0") -> Path:
    """A home with warehouse, MLflow store and journal, as a version left it, in a folder where it never lay.

    It is a demo of 900 pull requests over 200 days with feedback, payouts, imported labels, served predictions,
    critiques and a champion of each model.
    """
    with tarfile.open(ROOT / "tests" / "data" / f"home-{version}.tar.xz") as archive:
        archive.extractall(folder)  # our own; Python before 3.11.4 has no filter for those of others
    return (folder / "slim").rename(folder / "moved home")


def settings_of_old_home(home: Path) -> Settings:
    """Settings of a home that `unpack_home` made, or of a copy."""
    return Settings(home=home, warehouse=home / "qc.duckdb", demo_prs=900, demo_days=200, _env_file=None)  # type: ignore[call-arg]


def contents(path: Path) -> dict[str, tuple[int, int]]:
    """Rows and their sum of hashes, by table, of any DuckDB file; columns by name, but those that hold nothing."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
        return {f"{schema}.{table}": _content(connection, schema, table) for schema, table in tables}


def _content(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> tuple[int, int]:
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? ORDER BY ALL",
        [schema, table],
    ).fetchall()
    counts = ", ".join(f'count("{name}")' for (name,) in columns)
    counted = connection.execute(f'SELECT {counts} FROM {schema}."{table}"').fetchall()[0]
    # A column that a later version added is NULL in the rows of before.
    listed = ", ".join(f'"{name}"' for (name,), count in zip(columns, counted, strict=True) if count) or "NULL"
    sql = f'SELECT count(*), coalesce(sum(hash({listed})::HUGEINT), 0) FROM {schema}."{table}"'
    return connection.execute(sql).fetchall()[0]
