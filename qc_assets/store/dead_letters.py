"""Writing down what could not be read or worked on."""

from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb
import polars as pl

from qc_assets.sources.source import DeadLetter

_SCHEMA = {
    "partition_date": pl.Date,
    "item": pl.String,
    "error_type": pl.String,
    "reason": pl.String,
    "line": pl.Int64,
    "excerpt": pl.String,
    "repo": pl.String,
    "endpoint": pl.String,
    "status": pl.Int32,
    "tries": pl.Int32,
    "action": pl.String,
}


def insert(connection: duckdb.DuckDBPyConnection, source: str, letters: Sequence[DeadLetter]) -> None:
    """Add dead letters.

    Args:
        connection: from `Warehouse.write`.
        source: demo, gharchive, github, or critique.
        letters: may be none.
    """
    if not letters:
        return
    connection.register("letters", pl.DataFrame([vars(letter) for letter in letters], schema=_SCHEMA).to_arrow())
    connection.execute(
        "INSERT INTO ops.dead_letters BY NAME "
        "SELECT $1 AS source, letters.*, $2::TIMESTAMP AS recorded_at FROM letters",
        [source, datetime.now(UTC).replace(tzinfo=None)],
    )
    connection.unregister("letters")
