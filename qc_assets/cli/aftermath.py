"""What kills, power cuts and copies may have left behind, for `qc doctor`: named, with how to mend it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from qc_assets.cli.finding import Finding
from qc_assets.cli.runs import is_queue_served, open_instance, own_dagster_yaml
from qc_assets.errors import QcError
from qc_assets.locks import holder_of, is_locked
from qc_assets.serving import journal_reader
from qc_assets.serving.former_journals import lost_sight_of
from qc_assets.serving.last_payment import lost_payments
from qc_assets.settings import Settings
from qc_assets.shared_database import SharedDatabaseError
from qc_assets.sqlite_files import existing_sqlite
from qc_assets.store.warehouse import Warehouse

_ANEW = "move the file away: it is made anew"


def examine_aftermath(settings: Settings) -> list[Finding]:
    """Look at Dagster's runs, the journal and the other SQLite files."""
    return [*_files(settings), *_runs(settings), *_journal(settings)]


def _files(settings: Settings) -> Iterator[Finding]:
    """SQLite files that cannot be read; what is not there yet is no trouble."""
    spent = "move the file away: answers are asked for again, and what QC_LLM_CEILING counts begins at 0"
    for what, path, mend in (
        ("embeddings", settings.embeddings_cache, _ANEW),
        ("answers of GitHub", settings.home / "github" / "state.db", _ANEW),
        ("diffs", settings.home / "critique" / "diffs.db", _ANEW),
        ("answers of language models", settings.home / "critique" / "answers.db", spent),
    ):
        if path.exists() and (trouble := _trouble(path)):
            yield Finding(what, False, f"{path}: {trouble}", mend)


def _trouble(path: Path) -> str:
    try:
        with existing_sqlite(path, timeout_s=5) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        return "" if answer == "ok" else str(answer)
    except sqlite3.Error as error:
        return str(error)


def _runs(settings: Settings) -> Iterator[Finding]:
    import dagster as dg

    from qc_assets.assets.run_owners import dead_runs

    if not (settings.home / "dagster" / "history").is_dir() and own_dagster_yaml(settings) is None:
        yield Finding("runs", True, "none yet")
        return
    try:
        with open_instance(settings) as instance:
            dead = [record.dagster_run for record in dead_runs(instance)]
            queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
            is_served = is_queue_served(instance)
    except QcError as error:
        yield Finding("runs", False, str(error), "see the message")
        return
    names = ", ".join(f"{run.run_id[:8]} of {run.job_name}" for run in dead)
    mend = "`qc up` and the next command that runs a job end them"
    yield Finding(
        "runs", not dead, f"dead, and counted as running: {names}" if dead else "none is dead", mend * bool(dead)
    )
    if queued and not is_served:
        yield Finding("queue", False, f"{queued} runs wait for Dagster's daemon, which does not run", "start `qc up`")


def _journal(settings: Settings) -> Iterator[Finding]:
    path, place = settings.journal_file, settings.journal_place
    lock = path.with_name(f"{path.name}.lock")
    if is_locked(lock):
        yield Finding("server", True, f"{holder_of(lock)} serves this home; a second one would be refused")
    if place == path and path.exists() and (trouble := _trouble(path)):
        yield Finding("journal", False, f"{path}: {trouble}", "start `qc serve`: it sets the file aside and goes on")
        return
    try:
        if trouble := lost_sight_of(settings):
            yield Finding("journal", False, trouble, "see the message; nobody is paid until then")
        if trouble := lost_payments(settings.payment_note, settings.journals, Warehouse.from_settings(settings)):
            yield Finding("payments", False, trouble, "see the message; nobody is paid until then")
        if not journal_reader.exists(place):
            return
        doubts, lost = journal_reader.doubts(place), journal_reader.count_lost(place)
    except SharedDatabaseError as error:
        yield Finding("journal", False, str(error), "start the database, or mend QC_JOURNAL")
        return
    where = "" if place == path else f"{place}: "
    detail = where + "; ".join([f"{lost} predictions were lost by kills", *doubts])
    mend = 'compare payouts with `qc sql "FROM ml.payouts"`; see docs/troubleshooting.md' if doubts else ""
    yield Finding("journal", not doubts, detail, mend)
