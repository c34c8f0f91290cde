"""What is known of a pull request that somebody is to be paid for, and where what the caller says differs from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from qc_assets.clock import now_utc
from qc_assets.features.contract import FEATURE_OWNERS, Owner, contract_of
from qc_assets.forges import qualified
from qc_assets.serving import journal_reader
from qc_assets.serving.imported_payouts import imported_payment
from qc_assets.serving.knowledge import Knowledge
from qc_assets.serving.outcomes import last_reopening, standing_outcome, was_closed
from qc_assets.serving.payouts import PayoutFacts
from qc_assets.serving.rows import Row
from qc_assets.serving.schemas import repository_and_number
from qc_assets.serving.service import Serving
from qc_assets.store.schema import sql_sections

# What is known decides in any case; a claim that was rounded is no lie.
_ROUNDED = 1e-3


@dataclass(frozen=True)
class Contradiction:
    """Something that the caller says and that is known to be otherwise."""

    fact: str
    claimed: Any
    known: Any

    def __str__(self) -> str:
        return f"{self.fact} is {self.known}, not {self.claimed}"


@dataclass(frozen=True)
class TaskFacts:
    """A pull request as it is known.

    Attributes:
        task_id: its name, with the number in its one form.
        row: what p0 is asked about.
        source: who says that: warehouse, delivery, or claims, which are the caller's.
        claimed: what the caller alone says.
        contradictions: what the caller says and that is otherwise.
        verdict: how it ended, in words; empty while nobody knows.
        paid: the payment for it that stands, as the warehouse has it; None if it has none.
        is_draft: whether it is a draft now, as far as is known.
        unlearnt: why p0 learnt of no such pull request, in words; empty if it did.
    """

    task_id: str
    row: Row
    source: Literal["warehouse", "delivery", "claims"]
    claimed: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    verdict: str
    paid: Mapping[str, Any] | None
    is_draft: bool
    unlearnt: str


def names_of(knowledge: Knowledge, facts: PayoutFacts) -> tuple[str, ...]:
    """The task ids by which a task can be asked for, in lower case; the first is that of the request."""
    repo, number = repository_and_number(facts.task_id)
    name = facts.task_id if repo is None else f"{repo}#{number}"
    return tuple(dict.fromkeys((name.lower(), *_all_names(knowledge, *knowledge.place(repo, number)))))


def place_of(serving: Serving, facts: PayoutFacts) -> tuple[int, int]:
    """Repository and number of a task, both 0 if nobody knows: a delivery brought the id of a name that is new."""
    knowledge = serving.ready()
    place = knowledge.place(*repository_and_number(facts.task_id))
    delivery = None if place[0] else _delivery(serving, names_of(knowledge, facts), place[0])
    return place if delivery is None else (delivery.get("repo_id", 0), delivery.get("number", 0))


def known_task(serving: Serving, facts: PayoutFacts, place: tuple[int, int]) -> TaskFacts:
    """What the warehouse and signed deliveries say of a task, and what a request says beyond or against them.

    Args:
        serving: who knows.
        facts: the request.
        place: see `place_of`.

    Raises:
        NotReadyError, WarehouseBusyError: if the warehouse cannot be read now.
    """
    knowledge = serving.ready()
    repo, number = repository_and_number(facts.task_id)
    task_id = facts.task_id if repo is None else f"{repo}#{number}"
    repo_id, number = place
    names = names_of(knowledge, facts)
    sections = sql_sections("ml/payouts")
    where: dict[str, Any] = {"repo_id": repo_id, "number": number}
    with serving.reading() as connection:
        rows = connection.execute(sections["known"], where).pl() if repo_id else None
        paid = imported_payment(connection, names, repo_id, number)
    known = rows.row(0, named=True) if rows is not None and len(rows) else None
    delivery = _delivery(serving, names, repo_id)
    claims: dict[str, Any] = {}
    author, source = "", "claims"
    if known is not None and known["has_opening"]:
        features, source, opened_at = dict(known), "warehouse", known["opened_at"]
        author = known["author"] or ""
    elif delivery is not None:
        features, source = _as_delivered(delivery), "delivery"
        opened_at, author = datetime.fromisoformat(delivery["opened_at"]), delivery["worker_id"] or ""
    else:
        features, claims, opened_at = _as_claimed(knowledge, facts, repo, repo_id), {"task_id": task_id}, None
        author = "" if known is None else known["author"] or ""
    contradictions = _compare(facts, features, claims)
    if not author:
        claims["worker_id"] = facts.worker_id
    elif not _is(knowledge, facts.worker_id, author, repo, known):
        contradictions.insert(0, Contradiction("worker_id", facts.worker_id, author))
    contract_of(facts.table).complete(features, Owner.ITEM)
    return TaskFacts(
        task_id=task_id,
        row=Row(features, repo_id, number, opened_at, knowledge.as_of),
        source=source,  # type: ignore[arg-type]
        claimed=tuple(claims),
        contradictions=tuple(contradictions),
        verdict=_verdict(serving, names, (repo_id, number), known),
        paid=paid,
        is_draft=_is_draft(serving, place, known),
        unlearnt=_unlearnt(serving, features),
    )


def _all_names(knowledge: Knowledge, repo_id: int, number: int) -> tuple[str, ...]:
    """All names by which a task can be asked for: a repository may have had others, and its host may be left out."""
    owned = [(host, name) for (host, name), identity in knowledge.repos.items() if identity == repo_id and repo_id]
    written = {f"{qualified(host, name)}#{number}" for host, name in owned}
    bare = {f"{name}#{number}" for host, name in owned if host == knowledge.forge}
    full = {f"{host}/{name}#{number}" for host, name in owned}
    return tuple(name.lower() for name in sorted(written) + sorted((bare | full) - written))


def _delivery(serving: Serving, names: tuple[str, ...], repo_id: int) -> dict[str, Any] | None:
    """The signed delivery that showed the opening of a task; only deliveries have a key.

    The first, as in training: it may be a draft again, and become ready when it looks better. None of a repository
    that had the name before.
    """
    serving.journal.flush()
    entries = journal_reader.of_task(serving.journal.place, "prediction", names)
    shown = [entry["document"] for entry in entries if entry["document"]["request"].get("event")]
    ours = [document for document in shown if repo_id in (0, document.get("repo_id") or repo_id)]
    newest = ours[-1].get("repo_id") if ours else None
    return min(
        (document for document in ours if document.get("repo_id") == newest),
        key=lambda document: str(document["opened_at"]),
        default=None,
    )


def _is_draft(serving: Serving, place: tuple[int, int], known: Mapping[str, Any] | None) -> bool:
    """Whether it is a draft now, by whoever saw it last."""
    delivered = serving.delivered.of(*place)
    seen_at: datetime | None = known["updated_at"] if known else None
    if delivered is not None and (seen_at is None or delivered.seen_at >= seen_at):
        return delivered.is_draft
    return bool(known and known["is_draft"])


def _unlearnt(serving: Serving, features: Mapping[str, Any]) -> str:
    """Why such pull requests are left out of p0: what it says of them follows from none that it has seen."""
    lines, least = features.get("lines_changed"), serving.settings.min_pr_lines
    excluded: Sequence[str] = features.get("exclusions") or ()
    if "draft" in excluded:
        return "p0 learnt of none that was opened as a draft"
    is_small = "too_small" in excluded if "exclusions" in features else lines is not None and lines < least
    return f"p0 learnt of none under {least} changed lines (QC_MIN_PR_LINES)" if is_small else ""


def _as_delivered(delivery: dict[str, Any]) -> dict[str, Any]:
    """What the model was given then, and the sizes that it follows from."""
    opening = delivery["request"].get("opening") or {}
    added, deleted = opening.get("additions"), opening.get("deletions")
    lines = None if added is None or deleted is None else added + deleted
    return {"lines_changed": lines, "files_changed": opening.get("changed_files")} | delivery["features"]


def _as_claimed(knowledge: Knowledge, facts: PayoutFacts, repo: str | None, repo_id: int) -> dict[str, Any]:
    """What is known of author and repository; what belongs to an author whom nobody knows is unknown."""
    now = now_utc()
    features = knowledge.history(facts.table, repo, facts.worker_id, repo_id or None)
    if knowledge.author_id(repo, facts.worker_id) is None:
        contract = contract_of(facts.table)
        ours = contract.names(Owner.REPOSITORY)
        features |= {name: None for name in contract.history if name not in ours}
    return features | {"hour": now.hour, "weekday": now.weekday()} | facts.assumed()


def _compare(facts: PayoutFacts, features: dict[str, Any], claims: dict[str, Any]) -> list[Contradiction]:
    """Fill in `features` and `claims` what the caller says and nobody knows; returns what is known otherwise."""
    contradictions = []
    is_claimed = "task_id" in claims
    contract = contract_of(facts.table)
    items = contract.names(*FEATURE_OWNERS)
    for name in sorted(facts.model_fields_set - {"worker_id", "task_id"}):
        value, column = getattr(facts, name), facts.renamed.get(name, name)
        if value is None or column not in items:
            continue
        known = features.get(column)
        # Of a task that nobody knows the item's own facts are the caller's.
        is_own = is_claimed and contract.columns[column].owner is Owner.ITEM
        formulas = [each.name for each in contract.columns.values() if each.formula and column in each.formula.inputs]
        if known is None and any(features.get(formula) is not None for formula in formulas):
            continue  # what follows from it is known
        if known is None or is_own:
            claims[name] = features[column] = value
        elif not math.isclose(float(value), float(known), rel_tol=_ROUNDED, abs_tol=_ROUNDED):
            contradictions.append(Contradiction(name, value, known))
    return contradictions


def _is(knowledge: Knowledge, worker: str, author: str, repo: str | None, known: Mapping[str, Any] | None) -> bool:
    """Whether somebody is the author: by ids, as logins change hands; by logins only where there is no id."""
    return knowledge.is_author(repo, {"author_id": known and known["opened_by"], "author": author.lower()}, worker)


def _verdict(serving: Serving, names: tuple[str, ...], place: tuple[int, int], known: Mapping[str, Any] | None) -> str:
    """How it ended, by the warehouse, or by a delivery that is not in it yet."""
    entries = journal_reader.outcomes_of(serving.journal.place, names, *place)
    outcomes = [entry["document"] for entry in entries]
    ended_at: datetime | None = known["ended_at"] if known else None
    is_reopened = ended_at is not None and last_reopening(outcomes) > ended_at.isoformat()
    if known is not None and known["passed"] is not None and not (is_reopened and was_closed(known)):
        return f"it {'passed' if known['passed'] else 'failed'}, as the warehouse knows"
    if ended_at is not None and not is_reopened:
        return f"it was closed on {ended_at:%Y-%m-%d}, as the warehouse knows"
    open_at = known["updated_at"].isoformat() if known and known["is_open"] and known["updated_at"] else ""
    if (standing := standing_outcome(outcomes, open_at=open_at)) is not None:
        return f"it {'passed' if standing['passed'] else 'failed'} on {standing['decided_at'][:10]}, as a delivery said"
    return ""
