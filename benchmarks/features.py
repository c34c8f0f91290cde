"""Feature SQL at 100 k, 1 M and 3 M pull requests, and against polars and pandas for the same author history.

Limits: 1 M pull requests in 10 s and 4 GiB; time linear in rows (3 M at most 3.5 times 1 M).
"""

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized

SIZES = sized((100_000, 1_000_000, 3_000_000), (300, 600, 900))


def build(state: str, n_prs: int) -> int:
    """A warehouse with the demo's tables, written straight (the merge is not what is measured here)."""
    from qc_assets.sources.demo.generated import generate
    from qc_assets.store.warehouse import Warehouse

    tables = generate(n_prs, 720, date(2022, 1, 1), 1)
    newest = {"pull_requests": ["repo_id", "number"], "reviews": ["review_id"], "issues": ["repo_id", "number"]}
    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state), memory_limit="12GiB")
    with warehouse.write() as connection:
        for table in ("pull_requests", "reviews", "label_events"):
            keys = newest.get(table)
            frame = tables[table].unique(keys, keep="last", maintain_order=True) if keys else tables[table]
            connection.register("rows", frame.to_arrow())
            # The declared columns without keys, which cost more to build than all else.
            connection.execute(f"CREATE TEMP TABLE declared AS FROM raw.{table} LIMIT 0; DROP TABLE raw.{table}")
            connection.execute(f"CREATE TABLE raw.{table} AS FROM declared; DROP TABLE declared")
            connection.execute(f"INSERT INTO raw.{table} BY NAME FROM rows")
            connection.unregister("rows")
    return n_prs


def ours(state: str, memory_limit: str) -> int:
    from qc_assets.settings import load_settings
    from qc_assets.store.schema import define_functions, sql_sections
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state), memory_limit=memory_limit)
    query = sql_sections("features/pull_requests")["rows"].rstrip(";")
    with warehouse.read() as connection:
        define_functions(connection, query)
        parameters = load_settings().feature_parameters("pull_requests")
        (count,) = connection.execute(f"COPY ({query}) TO '{state}/ours.parquet'", parameters).fetchone()
    return count


def _events(state: str) -> pl.DataFrame:
    """Author, opening and merging of every pull request, for the rivals."""
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state), memory_limit="3GiB")
    return warehouse.query("SELECT repo_id, number, author_id, created_at, merged_at FROM raw.pull_requests")


def with_sql(state: str) -> int:
    """Earlier pull requests and earlier merges of the author, in SQL as the features do it."""
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state), memory_limit="3GiB")
    return warehouse.query(
        """
        WITH events AS (
            SELECT author_id, number, created_at AS t, 0.0 AS merged FROM raw.pull_requests
            WHERE author_id IS NOT NULL
            UNION ALL
            SELECT author_id, NULL, merged_at, 1.0 FROM raw.pull_requests
            WHERE merged_at IS NOT NULL AND author_id IS NOT NULL
        ),
        running AS (
            SELECT number, sum(merged) OVER (
                PARTITION BY author_id ORDER BY t
                RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
            ) AS merged
            FROM events
        )
        SELECT coalesce(sum(merged), 0)::BIGINT FROM running WHERE number IS NOT NULL
        """
    ).item()


def with_polars(state: str) -> int:
    """The same with a cumulative count and an as-of join."""
    prs = _events(state).sort("created_at")
    merges = (
        prs.filter(pl.col("merged_at").is_not_null())
        .sort("merged_at")
        .select("author_id", "merged_at", merged=pl.int_range(1, pl.len() + 1).over("author_id"))
    )
    joined = prs.drop("merged_at").join_asof(
        merges, left_on="created_at", right_on="merged_at", by="author_id", allow_exact_matches=False
    )
    return joined["merged"].fill_null(0).sum()


def with_pandas(state: str) -> int:
    """The same with pandas."""
    import pandas as pd

    prs = _events(state).to_pandas().sort_values("created_at")
    merges = prs.dropna(subset=["merged_at", "author_id"]).sort_values("merged_at")[["author_id", "merged_at"]]
    merges["merged"] = merges.groupby("author_id").cumcount() + 1
    known = prs.dropna(subset=["author_id"])[["author_id", "created_at"]]
    joined = pd.merge_asof(
        known, merges, left_on="created_at", right_on="merged_at", by="author_id", allow_exact_matches=False
    )
    return int(joined["merged"].fillna(0).sum())


def main() -> None:
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES:
            state = Path(name) / str(size)
            state.mkdir()
            isolated(build, str(state), size)
            # Linear in time while memory grows with the rows; under a fixed limit it spills, which is slower.
            count, seconds[size], mib = isolated(ours, str(state), "3GiB" if size <= SIZES[1] else "9GiB")
            print(f"all features of {count:,} pull requests: {seconds[size]:.2f} s, peak {mib:.0f} MiB", flush=True)
            if size == SIZES[1]:
                print(verdict(seconds[size] / 10, 1.0, "seconds / 10 s"))
                print(verdict(mib / 4096, 1.0, "peak memory / 4 GiB"))
                rivals(str(state))
    print(verdict(seconds[SIZES[2]] / seconds[SIZES[1]], 3.5, "time of 3 M / time of 1 M"))


def rivals(state: str) -> None:
    measured: dict[str, Any] = {
        label: isolated(work, state)
        for label, work in (("SQL", with_sql), ("polars", with_polars), ("pandas", with_pandas))
    }
    for label, (answer, taken, mib) in measured.items():
        print(f"author history alone, {label}: {taken:.2f} s, peak {mib:.0f} MiB, checksum {answer:,}")
    for rival in ("polars", "pandas"):
        print(f"ratio {measured['SQL'][1] / measured[rival][1]:.2f} (SQL / {rival}, author history)")
