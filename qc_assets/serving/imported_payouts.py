"""Payouts as the warehouse has them: it may know what a journal that was lost, or put back, does not."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

import duckdb

from qc_assets.serving import ledger
from qc_assets.serving.payouts import at_both_ends
from qc_assets.serving.service import Serving
from qc_assets.store.schema import sql_sections

_AS_WRITTEN = (
    *("task_id", "worker_id", "repo_id", "number", "is_synthetic", "refused", "allowed", "payout_id", "facts_from"),
    *("origin", "run_id", "model_hash", "snapshot", "replaces", "replaced_by", "correction"),
    *("received_key", "hash"),
)
_EXACT = ("beta", "p0", "value", "d1", "p0_lower", "p0_upper")


def imported_payment(
    connection: duckdb.DuckDBPyConnection, task_ids: Sequence[str], repo_id: int, number: int
) -> dict[str, Any] | None:
    """The payment for a task that stands, the last, as the journal wrote it, with `asked_at`; None if there is none.

    Args:
        connection: to the warehouse.
        task_ids: its names, in lower case.
        repo_id, number: its place; 0 if nobody knows it.
    """
    return _document(connection, "paid", {"names": list(task_ids), "repo_id": repo_id, "number": number})


def known_payout(serving: Serving, identity: str, *, is_imported: bool = True) -> dict[str, Any] | None:
    """The payment with an identity, or the last refusal, as it was written, with `asked_at`; None if there is none.

    Args:
        serving: who has journals and warehouse.
        identity: of the payout.
        is_imported: ask the warehouse, too, if no journal has it.

    Raises:
        NotReadyError, WarehouseBusyError: if the warehouse has to be asked, and cannot be read now.
    """
    if (entry := ledger.payout_of(serving.journals, identity)) is not None:
        document: dict[str, Any] = entry["document"]
        return document | {"asked_at": entry["written_at"]}
    if not is_imported:
        return None
    with serving.reading() as connection:
        return _document(connection, "asked_for", {"identity": identity})


def known_contests(serving: Serving, payout: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Appeals against a payout and how they were settled, oldest first: state, told_by, fact, reason, told_at.

    Args:
        serving: who has journals.
        payout: its document, see `known_payout`.
    """
    entries = ledger.contested(serving.journals, payout["id"])
    written = [entry["document"] | {"told_at": entry["written_at"]} for entry in entries]
    known = {(contest["state"], contest["told_at"]) for contest in written}
    imported = [contest for contest in payout.get("appeals", ()) if (contest["state"], contest["told_at"]) not in known]
    return sorted(imported + written, key=itemgetter("told_at"))


def _document(connection: duckdb.DuckDBPyConnection, section: str, where: dict[str, Any]) -> dict[str, Any] | None:
    rows = connection.execute(sql_sections("ml/payouts")[section], where).pl().to_dicts()
    if not rows:
        return None
    row = rows[0]
    exact = {name: None if row[name] is None else _plain(row[name]) for name in _EXACT}
    lower, upper = (None if row[name] is None else float(row[name]) for name in ("p0_lower", "p0_upper"))
    ends = {name: str(end) for name, end in at_both_ends(lower, upper, row["value"], row["beta"]).items()}
    return {
        **{name: row[name] for name in _AS_WRITTEN},
        **exact,
        **ends,
        **json.loads(row["inputs"]),
        **json.loads(row["reasons"] or "{}"),
        "claimed": row["claimed"] or [],
        "id": row["id"] or row["payout_id"] or row["entry"],
        "model_version": str(row["version"]),
        "as_of": row["as_of"] and row["as_of"].isoformat(),
        "asked_at": row["asked_at"].isoformat(),
        "appeals": [contest | {"told_at": contest["told_at"].isoformat()} for contest in row["appeals"] or ()],
    }


def _plain(number: Decimal) -> str:
    """Without the zeros that a column adds."""
    return f"{number.normalize():f}"
