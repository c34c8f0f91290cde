"""Payouts proved: the chain of their entries, their arithmetic, and their facts against the warehouse of today."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from qc_assets.errors import QcError
from qc_assets.serving import journal_reader
from qc_assets.serving.champions import SPECS
from qc_assets.serving.journal_reader import Place
from qc_assets.serving.last_payment import lost_payments
from qc_assets.serving.ledger import payout_identity
from qc_assets.serving.payouts import payout
from qc_assets.serving.rows import Row, feature_frame
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry


@dataclass(frozen=True)
class PayoutAudit:
    """What an audit of a journal found.

    Attributes:
        entries: about money.
        payments: payouts that were made.
        troubles: what must not be, in words: a broken chain, a wrong sum, entries that warehouse and journal do not
            share, a task that was paid for twice, a p0 that the version does not answer.
        differences: payments that would be others on today's facts: id, task_id, d1, d1_today and why.
    """

    entries: int
    payments: int
    troubles: tuple[str, ...]
    differences: tuple[dict[str, Any], ...]


def audit_payouts(store: Warehouse, registry: "Registry", *journals: Place, note: Path | None = None) -> PayoutAudit:
    """Prove every payout of a home's journals, which a server may be writing; the file of before comes last.

    Args:
        store: the warehouse.
        registry: has the versions of p0.
        journals: of the home.
        note: of the last payment, see `lost_payments`.

    Raises:
        QcError: if there is no journal, or it or the warehouse cannot be read.
    """
    entries, troubles = [], []
    for journal in reversed(journals):
        written = journal_reader.money_entries(journal)
        troubles += [*journal_reader.broken_links(journal), *_compare_with_warehouse(store, journal, written)]
        entries += written
    if note and (lost := lost_payments(note, journals, store)):
        troubles.append(lost)
    differences = []

    @cache
    def version(number: int) -> "Bundle | str":
        try:
            return registry.load("p0", number)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one version, the others are audited
            return f"version {number} of p0 cannot be loaded: {error}"

    standing: dict[tuple[int, int] | str, tuple[str, int]] = {}
    payments = 0
    with store.read() as connection:
        names = [journal_reader.identity(journal) for journal in journals]
        elsewhere = connection.execute(sql_sections("ml/payouts")["elsewhere"], {"journals": names}).pl().to_dicts()
        # Neither is put in another order: clocks may be wrong, and a correction follows what it corrects.
        for entry in heapq.merge(entries, map(_of_elsewhere, elsewhere), key=itemgetter("written_at")):
            try:
                if entry["kind"] != "payout" or entry["document"]["refused"] is not None:
                    continue
                if entry["number"] is None:
                    troubles += _paid_twice(entry, standing)
                    continue
                payments += 1
                wrong, difference = _examined(connection, entry, standing, version)
            except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, QcError) as error:
                what = f"{type(error).__name__}: {error}"
                troubles.append(f"entry {entry['number']} (payout) is none that was written here ({what})"[:300])
                continue
            troubles += wrong
            differences += difference
    return PayoutAudit(len(entries), payments, tuple(troubles), tuple(differences))


def _examined(
    connection: duckdb.DuckDBPyConnection,
    entry: Mapping[str, Any],
    standing: dict[tuple[int, int] | str, tuple[str, int]],
    version: Any,
) -> tuple[list[str], list[dict[str, Any]]]:
    """What is wrong with a payment, and what would be different today; `standing` has what each task was paid by."""
    document, troubles = entry["document"], []
    own = payout_identity(entry)  # type: ignore[arg-type]
    p0, value, beta = (Decimal(document[name]) for name in ("p0", "value", "beta"))
    if payout(float(p0), value, beta).amount != Decimal(document["d1"]):
        troubles.append(f"payout {own}: {beta} × {p0} × {value} is not {document['d1']}")
    troubles += _paid_twice(entry, standing)
    parameters = {"repo_id": int(document["repo_id"]), "number": int(document["number"])}
    rows = connection.execute(sql_sections("ml/payouts")["known"], parameters).pl().to_dicts()
    why, today, wrong = _on_todays_facts(entry, rows[0] if rows else None, version)
    troubles += [f"payout {own}: {wrong}"] if wrong else []
    told = {"id": own, "task_id": document["task_id"], "d1": document["d1"], "d1_today": today, "why": why}
    return troubles, [told] if why else []


def _of_elsewhere(row: Mapping[str, Any]) -> dict[str, Any]:
    """A payment by a journal that is not here, of which the warehouse tells."""
    return {"kind": "payout", "number": None, "written_at": row["asked_at"].isoformat(), "document": {**row}}


def _paid_twice(entry: Mapping[str, Any], standing: dict[tuple[int, int] | str, tuple[str, int]]) -> list[str]:
    document, own = entry["document"], payout_identity(entry)  # type: ignore[arg-type]
    place, troubles = (int(document["repo_id"]), int(document["number"])), []
    # A repository that nobody knew then may be known by now; a name may have become another's.
    names: tuple[tuple[int, int] | str, ...] = (document["task_id"].lower(), *([place] if place[0] else []))
    for before, repo_id in (standing.get(name, (own, 0)) for name in names):
        if before not in (own, document.get("replaces")) and (repo_id == place[0] or 0 in (repo_id, place[0])):
            troubles.append(f"payout {own}: {document['task_id']} had been paid for by {before}")
            break
    standing.update(dict.fromkeys(names, (own, place[0])))
    return troubles


def _compare_with_warehouse(store: Warehouse, journal: Place, entries: list[dict[str, Any]]) -> list[str]:
    """Entries that are in one and not, or otherwise, in the other, as far as the journal has been imported."""
    name = journal_reader.identity(journal)
    up_to = store.query("SELECT max(up_to) AS up_to FROM ops.journal_imports WHERE journal = ?", [name])["up_to"][0]
    known = store.query(
        "SELECT entry, hash FROM ml.payouts WHERE starts_with(entry, $1) UNION ALL "
        "SELECT entry, hash FROM ml.appeals WHERE starts_with(entry, $1)",
        [f"{name}:"],
    )
    imported = dict(known.iter_rows())
    written = {f"{name}:{entry['number']}": entry["document"].get("hash") for entry in entries}
    troubles = [
        f"the journal lost entry {entry}, which the warehouse has" for entry in imported.keys() - written.keys()
    ]
    for entry, own in written.items():
        if entry in imported and imported[entry] not in (None, own):
            troubles.append(f"entry {entry} is another in the warehouse: one of the two was changed")
        elif entry not in imported and int(entry.rpartition(":")[2]) <= (up_to or 0):
            troubles.append(f"the warehouse lost entry {entry}, which the journal has")
    return sorted(troubles) + _cut_out(journal, up_to or 0)


def _cut_out(journal: Place, up_to: int) -> list[str]:
    """Entries behind the last import that were written and are gone."""
    gaps = journal_reader.missing_entries(journal, up_to)
    return [journal_reader.REMOVED.format(first=first, last=last) for first, last in gaps]


def _on_todays_facts(
    entry: Mapping[str, Any], known: dict[str, Any] | None, version: Any
) -> tuple[str, Decimal | None, str]:
    """Why a payment would be another today, what it would be, and whether its p0 is none of its version's."""
    document = entry["document"]
    if known is None or not known["has_opening"]:
        nobody = "the warehouse does not know the task" if known is None else "the warehouse has not seen its opening"
        return ("" if document.get("facts_from") == "delivery" else nobody), None, ""
    features: dict[str, Any] = document["features"]
    changed = [name for name, value in features.items() if name in known and not _alike(value, known[name])]
    reasons = [f"{name} is {known[name]}, and was {features[name]}" for name in changed]
    author = known["author"] or document["worker_id"]
    if document["worker_id"].lower() != author:
        reasons.append(f"the author is {author}, and was {document['worker_id']}")
    decided = known["decided_at"]
    if decided is not None and decided.isoformat() < entry["written_at"] and not document.get("replaces"):
        reasons.append(f"it was decided on {decided:%Y-%m-%d}, before it was paid for")
    bundle = version(int(document["model_version"]))
    if isinstance(bundle, str):
        return "; ".join([*reasons, bundle]), None, ""

    def answer(row: dict[str, Any]) -> float:
        place = Row(row, document["repo_id"], document["number"], None, None)
        return float(bundle.predict(feature_frame([place], SPECS["p0"], bundle))[0])

    then = payout(answer(known | features), document["value"], document["beta"]).p0
    wrong = "" if then == Decimal(document["p0"]) else f"p0 was {document['p0']}, and the version answers {then}"
    today = payout(answer(known), document["value"], document["beta"]).amount if changed else None
    return "; ".join(reasons), today, wrong


def _alike(recorded: Any, known: Any) -> bool:
    if isinstance(recorded, int | float) and isinstance(known, int | float):
        return abs(recorded - known) <= 1e-9 * max(1.0, abs(known))
    return bool(recorded == known)
