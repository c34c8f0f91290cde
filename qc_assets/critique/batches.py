"""Batches of repositories, their comments, and which steps are done for them.

A step of a batch replaces what it had written, in one transaction with its entry in the log and its dead letters.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.store import dead_letters
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.inserts import put
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse


@dataclass
class Done:
    """What a step found.

    Attributes:
        rows: for ``critique.STEP``, but for its batch.
        counts: by reason or kind.
        failures: items without a result, or with less of one; if one is not final, the step stays ``partial``.
        figures: of what it cost.
    """

    rows: pl.DataFrame
    counts: Mapping[str, int]
    failures: list[DeadLetter] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What the log says of a step.

    Attributes:
        rows, failures: written, and items that failed.
        error: what of that failed, in words.
        counts, figures: as in `Done`.
        was_done: nothing had changed since it was done before.
    """

    rows: int
    failures: int
    error: str | None
    counts: Mapping[str, int]
    figures: Mapping[str, float]
    was_done: bool = False


def assign(store: Warehouse, size: int) -> list[str]:
    """Give every repository with review comments a batch.

    Args:
        store: the warehouse.
        size: repositories in a batch; a repository that has a batch keeps it.

    Returns:
        The names of all batches.
    """
    sections = sql_sections("critique/batches")
    with store.write() as connection:
        connection.execute(sections["assign"], {"size": size})
        return [name for (name,) in connection.execute(sections["names"]).fetchall()]


def comments(store: Warehouse, batch: str, most_prs: int) -> pl.DataFrame:
    """Comments of a batch, by time: those on the newest `most_prs` pull requests of each of its repositories."""
    return store.sql_file("critique/batches", {"batch": batch, "most_prs": most_prs}, section="comments")


def step(
    store: Warehouse,
    batch: str,
    name: str,
    rows: pl.DataFrame,
    version: str,
    work: Callable[[], Done],
    *,
    again: bool = False,
) -> Result:
    """Do a step of a batch unless it is done for the same comments in the same version.

    Args:
        store: the warehouse.
        batch: of the repositories.
        name: filtered, summaries or diffs, which is the table in the schema critique.
        rows: comments of the batch, what they hang on included.
        version: of the step, and of what it builds on.
        work: does it.
        again: even if it is done.

    Raises:
        QcError: what `work` raised; the log says ``failed`` then, and what was written before stays.
    """
    digest = hashlib.sha256(version.encode())
    digest.update(rows.write_ndjson().encode())
    fingerprint = digest.hexdigest()[:16]
    sections = sql_sections("critique/log")
    logged = store.query(sections["entry"], {"batch": batch, "step": name}).to_dicts()
    if logged and logged[0]["status"] == "done" and logged[0]["fingerprint"] == fingerprint and not again:
        return _result(logged[0], was_done=True)
    entry: dict[str, Any] = {"batch": batch, "step": name, "fingerprint": fingerprint, "started_at": now_utc()}
    try:
        done = work()
    except QcError as error:
        with store.write() as connection:
            none = {"rows": 0, "failures": 0, "counts": "{}", "figures": "{}"}
            _log(connection, entry | none | {"status": "failed", "error": str(error)})
        raise
    open_failures = [failure for failure in done.failures if not failure.is_final]
    entry |= {
        "status": "partial" if open_failures else "done",
        "rows": len(done.rows),
        "failures": len(done.failures),
        "counts": json.dumps(dict(done.counts)),
        "figures": json.dumps(done.figures),
        "error": _in_words(done.failures, len(open_failures)),
    }
    with store.write() as connection:
        connection.execute(sql_sections(f"critique/{name}")["forget"], {"batch": batch})
        put(connection, f"critique.{name}", done.rows, {"batch": batch})
        connection.execute(sections["forget_dead_letters"], {"prefix": _prefix(batch, name)})
        letters = [replace(failure, item=_prefix(batch, name) + failure.item) for failure in done.failures]
        dead_letters.insert(connection, "critique", letters)
        _log(connection, entry)
    return _result(entry)


def _in_words(failures: Sequence[DeadLetter], still_open: int) -> str | None:
    if not failures:
        return None
    retried = f", {still_open} of which will be tried again" if still_open else ""
    return f"{len(failures)} items failed{retried}; the first: {failures[0].item}: {failures[0].reason}"


def _result(entry: Mapping[str, Any], *, was_done: bool = False) -> Result:
    counts, figures = json.loads(entry["counts"]), json.loads(entry["figures"])
    return Result(entry["rows"], entry["failures"], entry["error"], counts, figures, was_done)


def _prefix(batch: str, name: str) -> str:
    return f"{batch}/{name}/"


def _log(connection: duckdb.DuckDBPyConnection, entry: Mapping[str, Any]) -> None:
    row = pl.DataFrame([dict(entry)], schema_overrides={"error": pl.String})
    put(connection, "critique.log", row, {"finished_at": now_utc()})
