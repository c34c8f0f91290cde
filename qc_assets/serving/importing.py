"""From the journal of the API into the warehouse, where it can be joined with what happened."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from qc_assets.clock import now_utc
from qc_assets.forges import GITHUB, forge_id, number_of
from qc_assets.serving import journal_reader
from qc_assets.serving.feedback_standing import FEEDBACK_PER_DAY, judge_feedback
from qc_assets.serving.journal_reader import Place
from qc_assets.serving.keys import keys_file, read_keys
from qc_assets.serving.schemas import repository_and_number
from qc_assets.store.forge_records import number_in
from qc_assets.store.inserts import put
from qc_assets.store.schema import id_columns, sql_sections
from qc_assets.store.warehouse import Warehouse

_CHUNK = 50_000
_PUT_BACK = (
    "the journal no longer has entry {up_to}, which the warehouse has: an older copy was put back, so what came after "
    "that copy is in the warehouse only if it was imported, and a payout_id of then could be paid again"
)
# Of payouts.
_NOT_OF_OLDER_SERVERS = (
    "id", "facts_from", "claimed", "origin", "run_id", "model_hash", "snapshot", "replaces", "correction", "hash",
    "p0_lower", "p0_upper",
)  # fmt: skip
_IDS_HOLD_FORGES = 2  # version of the schema


@dataclass(frozen=True)
class Imported:
    """What an import brought.

    Attributes:
        predictions, feedback, outcomes, payouts, closings, deliveries, appeals: new entries; settlements are among the
            appeals.
        lost: predictions that crashes of the server lost, in all.
        doubts: why more may have been lost, in all.
        forgotten: predictions deleted from the journal, as the warehouse has had them for long enough.
    """

    predictions: int = 0
    feedback: int = 0
    outcomes: int = 0
    payouts: int = 0
    lost: int = 0
    forgotten: int = 0
    doubts: tuple[str, ...] = ()
    closings: int = 0
    deliveries: int = 0
    appeals: int = 0


def bring_in(
    store: Warehouse,
    journal: Place,
    *,
    keep_days: int,
    forge: str = GITHUB,
    now: datetime | None = None,
    feedback_per_day: int = FEEDBACK_PER_DAY,
    beside: Path | None = None,
) -> Imported:
    """Bring what is new in the journal into the tables of `_ROWS`.

    Each chunk is one transaction with the number that it reaches, so nothing comes twice and nothing is left out.

    Args:
        store: the warehouse.
        journal: of `qc serve`; if it does not exist, there is nothing to bring.
        keep_days: imported predictions older than this are deleted from the journal.
        forge: whose ids entries have that were written before ids held their forge.
        now: UTC; default: now.
        feedback_per_day: labels that one key may give in a day; see `set_aside` in warehouse/ml/feedback.sql.
        beside: the file beside which the keys lie; default: the journal's own.
    """
    if not journal_reader.exists(journal):
        return Imported()
    now = now or now_utc()
    beside = beside or (journal if isinstance(journal, Path) else None)
    keys = read_keys(keys_file(beside)) if beside else {}
    name, lost = journal_reader.identity(journal), journal_reader.count_lost(journal)
    counts, is_first = dict.fromkeys(_ROWS, 0), True
    while True:
        with store.write() as connection:
            progress = connection.execute("SELECT up_to FROM ops.journal_imports WHERE journal = ?", [name]).fetchone()
            up_to = progress[0] if progress else 0
            if up_to and not journal_reader.has_entry(journal, up_to):
                journal_reader.note_doubt(journal, _PUT_BACK.format(up_to=up_to))
            elif is_first:  # once they are behind what was imported, nobody sees them
                for first, last in journal_reader.missing_entries(journal, up_to):
                    journal_reader.note_doubt(journal, journal_reader.REMOVED.format(first=first, last=last))
            is_first = False
            entries = journal_reader.entries_after(journal, up_to, list(_ROWS), _CHUNK)
            place = _placing(connection, forge)
            for kind, (table, row_of) in _ROWS.items():
                rows = [place(table, row_of(name, entry), entry) for entry in entries if entry["kind"] == kind]
                if kind == "feedback":
                    (last,) = connection.execute("SELECT coalesce(max(arrival), 0) FROM ml.feedback").fetchall()[0]
                    rows = [row | {"arrival": last + n} for n, row in enumerate(rows, 1)]
                if rows:
                    put(connection, table, pl.DataFrame(rows, infer_schema_length=None))
                counts[kind] += len(rows)
            connection.execute(sql_sections("ml/outcomes")["identify"])
            judge_feedback(connection, feedback_per_day, keys)
            up_to = entries[-1]["number"] if entries else up_to
            _remember(connection, name, up_to, lost, now)
        if len(entries) < _CHUNK:
            break
    forgotten = journal_reader.forget(journal, up_to, (now - timedelta(days=keep_days)).isoformat())
    doubts = tuple(journal_reader.doubts(journal))
    return Imported(
        counts["prediction"], counts["feedback"], counts["outcome"], counts["payout"], lost, forgotten, doubts,
        counts["closing"], counts["delivery"], counts["appeal"] + counts["settlement"],
    )  # fmt: skip


def bring_in_all(store: Warehouse, journals: Sequence[Place], **options: Any) -> Imported:
    """Bring in what is new in each journal of a home, see `bring_in`."""
    each = [vars(bring_in(store, journal, **options)) for journal in journals]
    return Imported(**{name: sum((new[name] for new in each[1:]), each[0][name]) for name in each[0]})


def _placing(
    connection: duckdb.DuckDBPyConnection, forge: str
) -> Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any]]:
    """What gives the ids of entries that are older than the warehouse's own ids the number of their forge."""
    query = "SELECT min(applied_at) FROM ops.schema_version WHERE version >= ?"
    since = connection.execute(query, [_IDS_HOLD_FORGES]).fetchall()[0][0]
    number = number_in(connection, forge)

    def place(table: str, row: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        if datetime.fromisoformat(entry["written_at"]) >= since:
            return row
        own = [name for name in id_columns(table) if number_of(row.get(name) or 0) == 0]
        return row | {name: forge_id(number, row.get(name) or 0) for name in own if name in row}

    return place


def _remember(connection: duckdb.DuckDBPyConnection, name: str, up_to: int, lost: int, now: datetime) -> None:
    frame = pl.DataFrame({"journal": [name], "up_to": [up_to], "lost": [lost], "imported_at": [now]})
    put(connection, "ops.journal_imports", frame)


def _prediction(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    document, written_at = entry["document"], entry["written_at"]
    names = ("model", "version", "repo_id", "number", "comment_id", "answer", "task_id", "worker_id", "latency_ms")
    numbers = {name: document[name] for name in ("prediction", "lower", "upper")}
    return _row(
        entry,
        names,
        "as_of",
        **{name: None if number is None else float(number) for name, number in numbers.items()},
        entry=f"{journal}:{entry['number']}",
        role="served",
        opened_at=_moment(document["opened_at"] or written_at),
        predicted_at=_moment(written_at),
        inputs=_inputs(document),
    )


def _feedback(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    names = ("feedback_id", "model", "kind", "repo_id", "number", "comment_id", "label", "reason", "given_by")
    return _row(entry, names, "given_at", received_at=_moment(entry["written_at"]))


def _outcome(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    repo, number = repository_and_number(entry["document"]["task_id"])
    repo_id = entry["document"].get("repo_id", 0)  # which older servers have not written
    return _row(entry, ("event", "passed"), "decided_at", repo_id=repo_id, repo=repo, number=number)


def _closing(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    names = ("repo_id", "number", "state_reason", "closed_by_id", "closed_by_login", "closed_by_is_bot")
    return _row(entry, names, "closed_at")


def _delivery(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    names = ("content", "delivery_id", "event", "action", "repo_id", "number", "author_id", "author_login", "sender_id")
    facts = json.dumps(entry["document"]["facts"])
    return _row(entry, names, "happened_at", received_at=_moment(entry["written_at"]), facts=facts)


def _payout(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    payout = entry["document"]
    names = ("payout_id", "task_id", "worker_id", "repo_id", "number", "is_synthetic", "refused", "allowed")
    exact = ("beta", "p0", "value", "d1")  # as text: DuckDB makes decimals of it
    explained = {name: payout[name] for name in ("reasons", "differences") if "reasons" in payout}
    return _row(
        entry,
        (*names, *exact),
        **{name: payout.get(name) for name in _NOT_OF_OLDER_SERVERS},
        as_of=_moment(payout.get("as_of")),
        reasons=json.dumps(explained) if explained else None,
        entry=f"{journal}:{entry['number']}",
        asked_at=_moment(entry["written_at"]),
        version=int(payout["model_version"]),
        inputs=_inputs(payout),
    )


def _appeal(journal: str, entry: dict[str, Any]) -> dict[str, Any]:
    names = ("payout", "state", "told_by", "reason", "fact", "hash")
    return _row(entry, names, entry=f"{journal}:{entry['number']}", told_at=_moment(entry["written_at"]))


def _row(entry: dict[str, Any], names: Sequence[str], /, *moments: str, **columns: Any) -> dict[str, Any]:
    """What an entry says under these names, its moments, the other `columns`, and which key wrote it, from where."""
    document = entry["document"]
    row = {name: document[name] for name in names} | {name: _moment(document[name]) for name in moments}
    return row | columns | {name: document.get(name) for name in ("received_key", "received_from")}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _inputs(document: dict[str, Any]) -> str:
    return json.dumps({"request": document["request"], "features": document["features"]})


_ROWS = {
    "prediction": ("ml.predictions", _prediction),
    "feedback": ("ml.feedback", _feedback),
    "outcome": ("ml.outcomes", _outcome),
    "closing": ("ml.closings", _closing),
    "delivery": ("ml.deliveries", _delivery),
    "payout": ("ml.payouts", _payout),
    "appeal": ("ml.appeals", _appeal),
    "settlement": ("ml.appeals", _appeal),
}
