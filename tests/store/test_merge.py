"""The newest observation wins, column by column, in whatever order things are loaded."""

from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.store.merge import Scope, merge, prepare_merging
from qc_assets.store.schema import RAW_TABLES, declared, shown_by
from qc_assets.store.warehouse import Warehouse

DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(3)]
SOURCES = ("gharchive", "github")
COLUMNS = ("author_login", "title", "state", "closed_at", "additions")


def observation(day: date, source: str, number: int, minute: int, values: dict[str, Any]) -> dict[str, Any]:
    observed_at = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    keys = {"repo_id": 1, "number": number, "source": source, "observed_at": observed_at, "partition_date": day}
    return keys | values


values = st.fixed_dictionaries(
    {
        "author_login": st.sampled_from([None, "ann", "bob"]),
        "title": st.sampled_from([None, "a", "b"]),
        "state": st.sampled_from([None, "open", "closed"]),
        "closed_at": st.sampled_from([None, datetime(2024, 1, 1, 5), datetime(2024, 1, 2, 5)]),
        "additions": st.sampled_from([None, 1, 2]),
    }
)
loads = st.dictionaries(
    st.tuples(st.sampled_from(DAYS), st.sampled_from(SOURCES)),
    st.dictionaries(st.integers(1, 3), st.tuples(st.integers(0, 3), values), max_size=3),
    min_size=1,
    max_size=5,
)


def load(warehouse: Warehouse, folder: Path, day: date, source: str, rows: dict[int, tuple[int, Any]]) -> None:
    files = []
    if rows:
        schema = {"additions": pl.Int64, "closed_at": pl.Datetime("us")}
        observations = [observation(day, source, number, minute, values) for number, (minute, values) in rows.items()]
        files = [folder / "rows.parquet"]
        pl.DataFrame(
            observations, schema_overrides=schema | dict.fromkeys(("author_login", "title", "state"), pl.String)
        ).write_parquet(files[0])
    with warehouse.write() as connection:
        prepare_merging(connection)
        merge(connection, "pull_requests", files, Scope(source, (day,)))


def expected(loaded: dict[tuple[date, str], dict[int, tuple[int, Any]]]) -> dict[int, dict[str, Any]]:
    """The rule in plain Python."""
    by_number: dict[int, list[tuple[Any, dict[str, Any]]]] = {}
    for (day, source), rows in loaded.items():
        for number, (minute, values) in rows.items():
            row = observation(day, source, number, minute, values)
            rank = (row["observed_at"], SOURCES.index(source), day)
            by_number.setdefault(number, []).append((rank, row))
    result = {}
    for number, rows in by_number.items():
        folded: dict[str, Any] = {}
        for _, row in sorted(rows, key=lambda pair: pair[0]):
            folded |= {name: row[name] for name in COLUMNS if row[name] is not None}
        if folded.get("state") == "open":
            folded["closed_at"] = None
        result[number] = {name: folded.get(name) for name in COLUMNS}
    return result


def contents(warehouse: Warehouse) -> dict[int, dict[str, Any]]:
    rows = warehouse.query("SELECT * FROM raw.pull_requests").to_dicts()
    return {row["number"]: {name: row[name] for name in COLUMNS} for row in rows}


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(loads=loads, order=st.randoms(use_true_random=False))
def test_any_order_repetition_and_reloading_give_the_same_warehouse(loads: Any, order: Any) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        warehouse = Warehouse(folder / "qc.duckdb", staging=folder / "staging")
        sequence = list(loads.items())
        order.shuffle(sequence)
        again = order.choice(sequence)
        for (day, source), rows in [*sequence, again]:
            load(warehouse, folder, day, source, rows)
        assert contents(warehouse) == expected(loads)
        (day, source), rows = again
        load(warehouse, folder, day, source, {})
        assert contents(warehouse) == expected({key: value for key, value in loads.items() if key != (day, source)})
        load(warehouse, folder, day, source, rows)
        assert contents(warehouse) == expected(loads)


def test_a_load_of_one_repository_leaves_the_others_of_the_day_alone(warehouse: Warehouse, tmp_path: Path) -> None:
    day, stamp = DAYS[0], {"source": "demo", "observed_at": datetime(2024, 1, 1), "partition_date": DAYS[0]}

    def put(rows: list[dict[str, Any]], table: str, repos: tuple[str, ...] | None) -> None:
        files = [tmp_path / f"{table}.parquet"] if rows else []
        if rows:
            pl.DataFrame([row | stamp for row in rows]).write_parquet(files[0])
        with warehouse.write() as connection:
            prepare_merging(connection)
            merge(connection, table, files, Scope("demo", (day,), repos))

    put([{"repo_id": 1, "name": "a/a"}, {"repo_id": 2, "name": "b/b"}], "repositories", None)
    put([{"repo_id": 1, "number": 1, "title": "x"}, {"repo_id": 2, "number": 1, "title": "y"}], "issues", None)
    put([{"repo_id": 1, "number": 2, "title": "z"}], "issues", ("a/a",))
    keys = warehouse.query("SELECT repo_id, number FROM raw.issues ORDER BY ALL").rows()
    assert keys == [(1, 2), (2, 1)]
    put([], "issues", ("b/b",))
    assert warehouse.query("SELECT repo_id FROM raw.issues").rows() == [(1,)]


def test_every_raw_table_has_a_natural_key() -> None:
    keys = {table: declared(f"raw.{table}").keys for table in RAW_TABLES}
    assert keys["pull_requests"] == ("repo_id", "number")
    assert all(keys.values())


def test_what_rows_hang_on_is_merged_before_them() -> None:
    hanging = [bool(shown_by(table)) for table in RAW_TABLES]
    assert hanging == sorted(hanging) and sum(hanging) == 5
    assert shown_by("review_comments") == ("reviewThreads", "threadComments")
    assert shown_by("issues") == ()


def test_nul_in_a_text_is_replaced_whichever_source_tells_it(warehouse: Warehouse, tmp_path: Path) -> None:
    """The archive tells it as it is, GitHub's own API is cleaned already, and tools that read the rows choke on it."""
    row = {
        "repo_id": 1, "number": 1, "author_login": "a\0n", "created_at": datetime(2024, 1, 1), "title": "\0ti\0tle",
        "opened_title": "\0", "opened_body": "plain", "labels": ["a\0", "b", None],
        "source": "gharchive", "observed_at": datetime(2024, 1, 1), "partition_date": date(2024, 1, 1),
    }  # fmt: skip
    pl.DataFrame([row]).write_parquet(tmp_path / "rows.parquet")
    with warehouse.write() as connection:
        prepare_merging(connection)
        merge(connection, "issues", [tmp_path / "rows.parquet"], Scope("gharchive", (date(2024, 1, 1),)))
    (stored,) = warehouse.query("FROM raw.issues").to_dicts()
    told = {name: stored[name] for name in ("author_login", "title", "opened_title", "opened_body", "labels")}
    assert told == {
        "author_login": "a\ufffdn", "title": "\ufffdti\ufffdtle", "opened_title": "\ufffd", "opened_body": "plain",
        "labels": ["a\ufffd", "b", None],
    }  # fmt: skip
