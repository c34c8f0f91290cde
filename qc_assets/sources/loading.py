"""Loading days of activity: fetch what the checkpoint lacks, merge it, record it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import duckdb

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, WarehouseMissingError
from qc_assets.forges import forge_id, qualified
from qc_assets.progress import Reporter, unheard
from qc_assets.sources.checkpoint import days_done
from qc_assets.sources.held_days import HeldDays, held_days
from qc_assets.sources.row_contract import check_rows
from qc_assets.sources.source import Batch, SelfDescribing, Source, Stamped
from qc_assets.store import dead_letters
from qc_assets.store.connections import again_when_away
from qc_assets.store.forge_records import register
from qc_assets.store.keyless import upsert
from qc_assets.store.merge import Scope, merge, prepare_merging
from qc_assets.store.schema import RAW_TABLES, define_functions, sql_sections
from qc_assets.store.warehouse import Warehouse


@dataclass
class LoadReport:
    """What one load did.

    Attributes:
        loaded, skipped: days that were fetched, and days that the checkpoint already had.
        rows: observations loaded, by raw table.
        dead_letters: number of things that could not be read.
        problems: one sentence for each day that is not complete.
        requests, points, waited_s: HTTP requests and API points spent, and seconds spent waiting for limits.
        repos, failed_repos: repositories that were read and that could not be, for a source that reads by them.
    """

    loaded: list[date] = field(default_factory=list)
    skipped: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    bad_lines: int = 0
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)
    requests: int = 0
    points: int = 0
    waited_s: float = 0.0
    repos: set[str] = field(default_factory=set)
    failed_repos: set[str] = field(default_factory=set)


def load(
    warehouse: Warehouse,
    source: Source,
    days: Sequence[date],
    *,
    repos: Sequence[str] = (),
    tables: Sequence[str] = RAW_TABLES,
    refresh: bool = False,
    progress: Reporter = unheard,
) -> LoadReport:
    """Bring `days` of a source into the raw tables.

    Each batch is one transaction that replaces the batch's days, so a load that is killed half-way has either
    all or nothing of a batch, and running it again goes on where it stopped.

    Args:
        warehouse: where to.
        source: where from.
        days: the partitions wanted.
        repos: only these repositories; empty means all of the source.
        tables: only these raw tables.
        refresh: fetch again what the checkpoint says is done.
        progress: called with what is being done, how much of it, and of how much.

    Raises:
        SourceError: if the source cannot be read; the failure is recorded in `ops.ingest_log` first.
    """
    warehouse.migrate()  # what is held is read before anything is written
    partitions = sorted(set(days))
    fingerprint = source.fingerprint()
    forge = source.traits.forge or source.name
    # The checkpoint has names with their host: those of two forges are two.
    names = {qualified(forge, name): name for name in repos or ["*"]}
    parameters: dict[str, Any] = {
        "source": source.name,
        "fingerprint": fingerprint,
        "repos": list(names),
        "tables": list(tables),
    }
    held = HeldDays({}, {}, lambda ids: {})
    if source.traits.states:
        held = held if refresh else held_days(partial(_logged, warehouse), parameters, names)
        done = {day for day in partitions if repos and all(day in held.get(repo, ()) for repo in repos)}
    else:
        every = {"all": qualified(forge, "*"), "days": partitions}
        done = set() if refresh else days_done(_logged(warehouse, "days_read", parameters | every), source, names)
    report = LoadReport(
        loaded=[day for day in partitions if day not in done], skipped=[day for day in partitions if day in done]
    )
    if not report.loaded:
        return report
    started = now_utc()
    # What is left to do when something goes wrong, to be recorded as failed.
    left = {(repo, day) for repo in (repos or ["*"]) for day in report.loaded if day not in held.get(repo, ())}
    total = len(left)
    with warehouse.staging() as folder:
        try:
            # Of a repository that has another's name now, days are missing that the name holds.
            due = partitions if source.traits.states else report.loaded
            for batch in source.fetch(due, repos=repos, tables=tables, folder=folder, progress=progress, held=held):
                rows = _commit(warehouse, source, batch, repos, tables, fingerprint, started)
                about = (repos or ["*"]) if batch.repos is None else batch.repos
                left -= {(repo, day) for repo in about for day in batch.days}
                if not source.traits.states:
                    progress("loaded", total - len(left), total)
                _add(report, batch, rows)
                started = now_utc()
        except Exception as error:  # of whatever library
            reason = str(error) if isinstance(error, QcError) else f"{type(error).__name__}: {error}"
            _record_failure(warehouse, source, left, fingerprint, started, reason)
            raise
    return report


def _logged(warehouse: Warehouse, section: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return warehouse.sql_file("ops/ingest_log", parameters, section=section).rows()
    except WarehouseMissingError:
        return []


@again_when_away  # what a batch holds is staged still, and to commit it twice is to commit it once
def _commit(
    warehouse: Warehouse,
    source: Source,
    batch: Batch,
    repos: Sequence[str],
    tables: Sequence[str],
    fingerprint: str,
    started: datetime,
) -> dict[str, int]:
    if batch.repos is not None and not batch.repos:
        return {}
    check_rows(source.name, batch.days, batch.tables)
    names = list(batch.repos or repos)
    forge = source.traits.forge or source.name
    is_synthetic = source.traits.synthetic
    if batch.status != "failed" and isinstance(source, SelfDescribing):
        is_synthetic = is_synthetic or source.is_made_up()
    with warehouse.write() as connection:
        number = 0 if batch.status == "failed" else register(connection, forge, is_synthetic=is_synthetic)
        scope = Scope(source.name, batch.days, tuple(names) or None, adds=source.traits.states, forge=number)
        items = [*batch.tables.get("pull_requests", ()), *batch.tables.get("issues", ())]
        prepare_merging(connection, items if source.traits.states else (), number)
        if source.traits.synthetic:
            _forget_other_worlds(connection, source.name, fingerprint, number)
        connection.execute(
            "DELETE FROM ops.dead_letters WHERE source = $1 AND list_contains($2, partition_date) "
            "AND (repo IS NULL OR list_contains($3::VARCHAR[], repo))",
            [source.name, list(batch.days), [qualified(forge, name) for name in names]],
        )
        letters = [replace(letter, repo=letter.repo and qualified(forge, letter.repo)) for letter in batch.dead_letters]
        dead_letters.insert(connection, source.name, letters)
        if batch.status == "failed":
            entries = {(repo, day) for repo in names or ["*"] for day in batch.days}
            _insert_failure(connection, source, entries, fingerprint, started, batch.error or "")
            return {}
        if source.traits.states and batch.repos:
            _follow_names(connection, source, forge, number, batch.repos)
        if not batch.days:
            return {}
        rows = {table: merge(connection, table, batch.tables.get(table, ()), scope) for table in tables}
        connection.execute(
            sql_sections("ops/ingest_log")["entries"],
            {
                "source": source.name,
                "repos": [qualified(forge, name) for name in names or ["*"]],
                "repo_ids": [
                    None if identity is None else forge_id(number, identity)
                    for identity in ((batch.repos or {}).get(name) for name in names or ["*"])
                ],
                "days": list(batch.days),
                "fingerprint": fingerprint,
                "status": batch.status,
                "tables": list(tables),
                "requests": batch.requests,
                "points": batch.points,
                "lines": batch.lines,
                "bad_lines": batch.bad_lines,
                "rows": sum(rows.values()),
                "started": started,
                "finished": now_utc(),
                "error": batch.error,
            },
        )
        upsert(connection, "ops.ingest_log", "entries")
        if isinstance(source, Stamped):
            _record_input(connection, source, batch, names, number)
    return rows


def _record_input(
    connection: duckdb.DuckDBPyConnection, source: Source, batch: Batch, names: Sequence[str], number: int
) -> None:
    ids: list[Any] = [[forge_id(number, identity) for identity in batch.repo_ids.get(name, ())] for name in names]
    connection.execute(
        sql_sections("ops/ingest_log")["record_input"],
        {
            "source": source.name,
            "repos": [qualified(source.traits.forge or source.name, name) for name in names or ["*"]],
            "repo_ids": ids or [None],
            "days": list(batch.days),
            "inputs": None if batch.inputs is None else sorted(batch.inputs),
            "share_read": batch.share_read,
        },
    )


def _follow_names(
    connection: duckdb.DuckDBPyConnection, source: Source, forge: str, number: int, repos: Mapping[str, int | None]
) -> None:
    """Have the checkpoint's entries of repositories follow their names, and leave a name that another has now."""
    known = {qualified(forge, name): forge_id(number, identity) for name, identity in repos.items() if identity}
    parameters = {"source": source.name, "repos": list(known), "repo_ids": list(known.values())}
    for section in ("leave_name", "follow_name"):
        define_functions(connection, sql_sections("ops/ingest_log")[section])
        connection.execute(sql_sections("ops/ingest_log")[section], parameters)


def _forget_other_worlds(connection: duckdb.DuckDBPyConnection, source: str, fingerprint: str, forge: int) -> None:
    log = sql_sections("ops/ingest_log")
    world = {"source": source, "fingerprint": fingerprint}
    days = tuple(day for (day,) in connection.execute(log["days_of_another_world"], world).fetchall())
    if days:
        for table in RAW_TABLES:
            merge(connection, table, (), Scope(source, days, forge=forge))
        connection.execute(log["forget"], world)


def _record_failure(
    warehouse: Warehouse,
    source: Source,
    entries: set[tuple[str, date]],
    fingerprint: str,
    started: datetime,
    error: str,
) -> None:
    if entries:
        with warehouse.write() as connection:
            _insert_failure(connection, source, entries, fingerprint, started, error)


def _insert_failure(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    entries: set[tuple[str, date]],
    fingerprint: str,
    started: datetime,
    error: str,
) -> None:
    pairs = sorted(entries)
    connection.execute(
        sql_sections("ops/ingest_log")["record_failure"],
        {
            "source": source.name,
            "repos": [qualified(source.traits.forge or source.name, repo) for repo, _ in pairs],
            "days": [day for _, day in pairs],
            "fingerprint": fingerprint,
            "started": started,
            "finished": now_utc(),
            "error": error,
        },
    )


def _add(report: LoadReport, batch: Batch, rows: dict[str, int]) -> None:
    for table, count in rows.items():
        report.rows[table] = report.rows.get(table, 0) + count
    report.lines += batch.lines
    report.bad_lines += batch.bad_lines
    report.dead_letters += len(batch.dead_letters)
    report.requests += batch.requests
    report.points += batch.points
    report.waited_s += batch.waited_s
    (report.failed_repos if batch.status == "failed" else report.repos).update(batch.repos or ())
    if batch.error:
        report.problems.append(batch.error)
