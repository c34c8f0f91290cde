"""Writing down what could not be read or worked on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from qc_assets.clock import now_utc


@dataclass(frozen=True)
class DeadLetter:
    """Something that could not be read or worked on, and where it came from: the one type for that, in all parts.

    Attributes:
        partition_date, repo, item, line: where it belongs and what it is.
        error_type, reason, excerpt, endpoint, status, tries: what went wrong, with what was asked, and how often.
        action: what was done about it in the end.
        repo_id: of a repository whose name is looked up before the letter is written down; not written down itself.
        is_final: trying again would not help; not written down, as `action` says it in words.
    """

    partition_date: date
    item: str
    error_type: str
    reason: str
    line: int | None = None
    excerpt: str | None = None
    repo: str | None = None
    endpoint: str | None = None
    status: int | None = None
    tries: int | None = None
    action: str = "left out"
    repo_id: int | None = None
    is_final: bool = True


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
    rows = [{name: getattr(letter, name) for name in _SCHEMA} for letter in letters]
    connection.register("letters", pl.DataFrame(rows, schema=_SCHEMA).to_arrow())
    connection.execute(
        "INSERT INTO ops.dead_letters BY NAME "
        "SELECT $1 AS source, letters.*, $2::TIMESTAMP AS recorded_at FROM letters",
        [source, now_utc()],
    )
    connection.unregister("letters")
