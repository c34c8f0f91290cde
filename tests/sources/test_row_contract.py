"""A source that yields other rows than the tables declare is told which table and column."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from qc_assets.errors import SourceError
from qc_assets.sources.row_contract import check_rows
from qc_assets.store.schema import sql_sections

DAY = date(2024, 1, 1)
ROW = {"repo_id": 1, "number": 2, "source": "demo", "observed_at": datetime(2024, 1, 1, 5), "partition_date": DAY}


def check(tmp_path: Path, row: dict[str, Any], days: tuple[date, ...] = (DAY,), **kinds: Any) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame([row], schema_overrides=kinds).write_parquet(path)
    check_rows("demo", days, {"issues": [path], "reviews": []})


def test_rows_as_declared_pass(tmp_path: Path) -> None:
    """What is let through lands in the table as it is."""
    accepted: list[tuple[dict[str, Any], tuple[date, ...], dict[str, Any]]] = [
        (ROW, (DAY,), {}),
        (ROW, (), {}),
        (ROW | {"title": None, "closed_at": None}, (DAY,), {}),
        (ROW | {"comments": 3}, (DAY,), {"comments": pl.Int32}),
    ]
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE SCHEMA raw; {sql_sections('raw/issues')['']}")
        for row, days, kinds in accepted:
            check(tmp_path, row, days, **kinds)
            connection.execute("DELETE FROM raw.issues")
            connection.execute("INSERT INTO raw.issues BY NAME FROM read_parquet(?)", [str(tmp_path / "rows.parquet")])
            landed = connection.execute("FROM raw.issues").pl().row(0, named=True)
            assert {name: value for name, value in landed.items() if value is not None} == {
                name: value for name, value in row.items() if value is not None
            }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"headline": "x"}, r"raw\.issues with a column headline"),
        (ROW | {"title": 3}, r"raw\.issues whose title is BIGINT; the table has VARCHAR"),
        (ROW | {"comments": "3"}, "whose comments is VARCHAR; the table has BIGINT"),
        (ROW | {"number": None}, "1 of which have no number"),
        ({name: value for name, value in ROW.items() if name != "observed_at"}, "without the column observed_at"),
        (ROW | {"source": "github"}, "with source 'github'"),
        (ROW | {"partition_date": date(2024, 1, 2)}, "partition_date 2024-01-02"),
    ],
)
def test_other_rows_are_refused_by_table_and_column(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        check(tmp_path, row)
