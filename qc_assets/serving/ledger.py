"""What the journal has of payouts: by their identity, by their task, with what corrected and who contested them."""

from collections.abc import Sequence
from typing import Any

from qc_assets.serving import journal_reader
from qc_assets.serving.journal_reader import Place

Entry = dict[str, Any]


def payout_of(places: Sequence[Place], identity: str) -> Entry | None:
    """The payment with an identity, or the last refusal; older entries go by their payout_id or number."""
    condition = (
        "kind = 'payout' AND (key = ?1 OR json_extract(document, '$.id') = ?1 OR "
        "json_extract(document, '$.payout_id') = ?1 OR CAST(number AS TEXT) = ?1) "
        "ORDER BY json_extract(document, '$.refused') IS NULL DESC, number DESC LIMIT 1"
    )
    entries = _everywhere(places, condition, [identity])
    paid = [entry for entry in entries if entry["document"]["refused"] is None]
    return _identified([*paid, *reversed(entries)][0]) if entries else None


def paid_for(places: Sequence[Place], task_ids: Sequence[str], repo_id: int, number: int) -> Entry | None:
    """The payment for a task that stands: the last, as each later one corrects the one before."""
    standing = (_standing(place, task_ids, repo_id, number) for place in places)
    return next((entry for entry in standing if entry is not None), None)


def _standing(place: Place, task_ids: Sequence[str], repo_id: int, number: int) -> Entry | None:
    entries = journal_reader.of_task(place, "payout", task_ids)
    if repo_id:
        same = "kind = 'payout' AND " + " AND ".join(
            f"CAST(json_extract(document, '$.{name}') AS BIGINT) = ?" for name in ("repo_id", "number")
        )
        entries += journal_reader.entries_where(place, same, [repo_id, number])
    # A name may have been another repository's: where both ids are known, they decide.
    paid = [
        entry
        for entry in entries
        if entry["document"]["refused"] is None and repo_id in (0, entry["document"]["repo_id"] or repo_id)
    ]
    return _identified(max(paid, key=lambda entry: entry["number"])) if paid else None


def latest_payouts(place: Place, *, before: int, limit: int) -> list[Entry]:
    """Payouts and refusals with a smaller number, newest first."""
    condition = "kind = 'payout' AND number < ? ORDER BY number DESC LIMIT ?"
    return [_identified(entry) for entry in journal_reader.entries_where(place, condition, [before, limit])]


def contested(places: Sequence[Place], identity: str) -> list[Entry]:
    """Appeals against a payout and how they were settled, oldest first."""
    condition = "kind IN ('appeal', 'settlement') AND json_extract(document, '$.payout') = ? ORDER BY number"
    return _everywhere(places, condition, [identity])


def corrections_of(places: Sequence[Place], identity: str) -> list[Entry]:
    """Payments that replace one, oldest first."""
    condition = (
        "kind = 'payout' AND json_extract(document, '$.replaces') = ? "
        "AND json_extract(document, '$.refused') IS NULL ORDER BY number"
    )
    return [_identified(entry) for entry in _everywhere(places, condition, [identity])]


def payout_identity(entry: Entry) -> str:
    """By what a payout is asked for: older entries go by their payout_id or number."""
    document = entry["document"]
    return document.get("id") or document.get("payout_id") or str(entry["number"])


def _everywhere(places: Sequence[Place], condition: str, parameters: Sequence[Any]) -> list[Entry]:
    """Of the journal of before first; `places` begin with the one that is written."""
    return [entry for place in reversed(places) for entry in journal_reader.entries_where(place, condition, parameters)]


def _identified(entry: Entry) -> Entry:
    return entry | {"document": entry["document"] | {"id": payout_identity(entry)}}
