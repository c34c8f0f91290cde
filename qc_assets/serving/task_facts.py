"""What is known of a pull request that somebody is to be paid for, and where what the caller says differs from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from qc_assets.clock import now_utc
from qc_assets.features.contract import FEATURE_OWNERS, Owner, contract_of
from qc_assets.forges import qualified
from qc_assets.serving import journal_reader
from qc_assets.serving.knowledge import Knowledge
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
        names: the task ids by which the journal may have it, in lower case.
        row: what p0 is asked about.
        source: who says that: warehouse, delivery, or claims, which are the caller's.
        claimed: what the caller alone says.
        contradictions: what the caller says and that is otherwise.
        verdict: how it ended, in words; empty while nobody knows.
        earlier: a payout for it that the warehouse has; None if it has none.
    """

    task_id: str
    names: tuple[str, ...]
    row: Row
    source: Literal["warehouse", "delivery", "claims"]
    claimed: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    verdict: str
    earlier: str | None


def names_of(knowledge: Knowledge, facts: PayoutFacts) -> tuple[str, ...]:
    """The task ids by which a task can be asked for, in lower case; the first is that of the request."""
    repo, number = repository_and_number(facts.task_id)
    name = facts.task_id if repo is None else f"{repo}#{number}"
    return tuple(dict.fromkeys((name.lower(), *_all_names(knowledge, *knowledge.place(repo, number)))))


def known_task(serving: Serving, facts: PayoutFacts) -> TaskFacts:
    """What the warehouse and signed deliveries say of a task, and what a request says beyond or against them.

    Raises:
        NotReadyError, WarehouseBusyError: if the warehouse cannot be read now.
    """
    knowledge = serving.ready()
    repo, number = repository_and_number(facts.task_id)
    task_id = facts.task_id if repo is None else f"{repo}#{number}"
    repo_id, number = knowledge.place(repo, number)
    names = names_of(knowledge, facts)
    sections = sql_sections("ml/payouts")
    place: dict[str, Any] = {"repo_id": repo_id, "number": number}
    with serving.reading() as connection:
        rows = connection.execute(sections["known"], place).pl() if repo_id else None
        paid = connection.execute(sections["paid"], place | {"task": names[0]}).fetchone()
    known = rows.row(0, named=True) if rows is not None and len(rows) else None
    delivery = _delivery(serving, names)
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
        names=names,
        row=Row(features, repo_id, number, opened_at, knowledge.as_of),
        source=source,  # type: ignore[arg-type]
        claimed=tuple(claims),
        contradictions=tuple(contradictions),
        verdict=_verdict(serving, names, (repo_id, number), known),
        earlier=paid[0] if paid else None,
    )


def _all_names(knowledge: Knowledge, repo_id: int, number: int) -> tuple[str, ...]:
    """All names by which a task can be asked for: a repository may have had others, and its host may be left out."""
    owned = [(host, name) for (host, name), identity in knowledge.repos.items() if identity == repo_id and repo_id]
    written = {f"{qualified(host, name)}#{number}" for host, name in owned}
    bare = {f"{name}#{number}" for host, name in owned if host == knowledge.forge}
    full = {f"{host}/{name}#{number}" for host, name in owned}
    return tuple(name.lower() for name in sorted(written) + sorted((bare | full) - written))


def _delivery(serving: Serving, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The last signed delivery that showed the opening of a task; only deliveries have a key."""
    serving.journal.flush()
    entries = journal_reader.of_task(serving.journal.place, "prediction", names)
    shown = [entry["document"] for entry in entries if entry["document"]["request"].get("event")]
    return shown[-1] if shown else None


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
    if known is not None and known["passed"] is not None:
        return f"it {'passed' if known['passed'] else 'failed'}, as the warehouse knows"
    if known is not None and known["ended_at"] is not None:
        return f"it was closed on {known['ended_at']:%Y-%m-%d}, as the warehouse knows"
    outcomes = journal_reader.outcomes_of(serving.journal.place, names, *place)
    if outcomes:
        first = min((entry["document"] for entry in outcomes), key=lambda outcome: outcome["decided_at"])
        return f"it {'passed' if first['passed'] else 'failed'} on {first['decided_at'][:10]}, as a delivery said"
    return ""
