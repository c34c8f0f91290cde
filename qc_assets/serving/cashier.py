"""Payouts by the champion: one a task, by what is known of it, refused when nobody should be paid, written down."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from qc_assets.errors import QcError
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.serving import ledger
from qc_assets.serving.callers import require
from qc_assets.serving.champions import Champion
from qc_assets.serving.details import details_of
from qc_assets.serving.feedback import ConflictError
from qc_assets.serving.imported_payouts import known_payout
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest, at_both_ends, payout
from qc_assets.serving.predictions import instant
from qc_assets.serving.service import Serving
from qc_assets.serving.task_facts import TaskFacts, known_task, names_of, place_of
from qc_assets.store.schema import sql_sections

_PAID_FOR = (
    "{task} has been paid for, and a task is paid for once: see GET /payouts/{identity}, and correct it with replaces"
)
_FIELDS = tuple(PayoutAnswer.model_fields)


class PayoutRefusedError(QcError):
    """Nobody should be paid.

    Attributes:
        more: what the answer says beside the sentence.
    """

    def __init__(self, reason: str, **more: Any) -> None:
        super().__init__(reason)
        self.more = more


def make_payout(serving: Serving, order: PayoutRequest) -> PayoutAnswer:
    """Compute a payout and write it down before it is answered; a refusal is written down, too.

    Raises:
        PayoutRefusedError: see `objections`; or because what the request says is known to be otherwise.
        ConflictError: if the task was paid for, or the payout's identity was used for another request.
        ForbiddenError: if the caller may not correct, or not pay what is uncertain or out of date.
        NotReadyError, WarehouseBusyError: if what is known, or what this home paid before, cannot be read now.
    """
    for wish in ("allow_uncertain", "allow_outdated", "replaces"):
        if getattr(order, wish):
            require("settle", wish)
    knowledge = serving.payer()
    names = names_of(knowledge, order.facts)
    if (earlier := _made_before(serving, order, names)) is not None:  # and stays as it is
        return earlier
    with serving.journal.paying():  # a task is looked up and paid for by one request at a time, of all servers
        if (earlier := _made_before(serving, order, names, is_imported=True)) is not None:
            return earlier
        place = place_of(serving, order.facts)
        known = known_task(serving, order.facts, place)
        standing = _standing(ledger.paid_for(serving.journals, names, *place), known)
        return _pay(serving, order, known, _replaced(order, names[0], standing))


def _made_before(
    serving: Serving, order: PayoutRequest, names: tuple[str, ...], *, is_imported: bool = False
) -> PayoutAnswer | None:
    """The answer to the same order; with `is_imported` the warehouse is asked, too."""
    if order.payout_id is None:
        return None
    earlier = known_payout(serving, order.payout_id, is_imported=is_imported)
    return _the_same(order, names, earlier) if earlier and earlier["refused"] is None else None


def _standing(written: dict[str, Any] | None, known: TaskFacts) -> Mapping[str, Any] | None:
    """The payment that stands: the later of what a journal and the warehouse have, either of which may lack some."""
    if written is None or (known.paid is not None and known.paid["asked_at"] > written["written_at"]):
        return known.paid
    document: dict[str, Any] = written["document"]
    return document


def _pay(serving: Serving, order: PayoutRequest, known: TaskFacts, replaced: Mapping[str, Any] | None) -> PayoutAnswer:
    predictions, (prediction,) = serving.predict("p0", [order.facts], paid_by=known.row)
    champion = predictions.champion
    p0, lower, upper = prediction["prediction"], prediction["lower"], prediction["upper"]
    beta = order.beta if order.beta is not None else serving.settings.payout_beta
    made_by = {
        "model_version": str(champion.version),
        "run_id": champion.run_id,
        "model_hash": champion.bundle.digest,
        "snapshot": ((serving.info.get("p0") or {}).get("window") or {}).get("snapshot"),
        "is_synthetic": champion.bundle.is_synthetic,
    }
    if replaced is not None and replaced["features"] == prediction["features"]:
        # By the same facts the same p0: a later version may have learnt how it ended.
        p0, (lower, upper) = float(replaced["p0"]), (_float(replaced.get(f"p0_{end}")) for end in ("lower", "upper"))
        made_by = {name: replaced.get(name) for name in made_by}
    computed = payout(p0, order.value, beta)
    ends = at_both_ends(lower, upper, order.value, beta)
    answer: dict[str, Any] = {
        "id": order.payout_id or uuid.uuid4().hex,
        "task_id": known.task_id,
        "worker_id": order.facts.worker_id,
        "d1": str(computed.amount),
        "beta": str(computed.beta),
        "p0": str(computed.p0),
        "value": str(computed.value),
        **made_by,
        **{name: str(end) for name, end in ends.items()},
        "facts_from": known.source,
        "claimed": list(known.claimed),
        "origin": known.row.features.get("origin"),
        "replaces": order.replaces,
    }
    audit = answer | {
        "payout_id": order.payout_id,
        "repo_id": known.row.repo_id,
        "number": known.row.number,
        "opened_at": known.row.opened_at and known.row.opened_at.isoformat(),
        "as_of": known.row.as_of and known.row.as_of.isoformat(),
        "request": order.model_dump(mode="json", exclude_unset=True),
        "asked": _asked(order),
        "features": prediction["features"],
        "correction": order.correction,
        "allowed": [name for name in ("uncertain", "outdated") if getattr(order, f"allow_{name}")],
    }
    untrue = "; ".join(map(str, known.contradictions))
    reasons = ([f"what is known says otherwise: {untrue}"] if untrue else []) + _objections_to_task(
        serving, order, known, beta, is_correction=replaced is not None
    )
    reasons += objections(
        serving, prediction["answer"], champion, uncertain=order.allow_uncertain, outdated=order.allow_outdated
    )
    if reasons:
        refused = "; ".join(reasons)
        serving.journal.write("payout", audit | {"d1": None, "refused": refused}, written_at=instant())
        shown = [vars(contradiction) for contradiction in known.contradictions]
        raise PayoutRefusedError(refused, **({"contradictions": shown} if shown else {}))
    details = details_of(serving, predictions)
    audit["reasons"] = [reason.model_dump() for reason in details.reasons]
    audit["differences"] = [difference.model_dump() for difference in details.differences]
    if serving.journal.write("payout", audit | {"refused": None}, written_at=instant(), key=answer["id"]) is not None:
        raise ConflictError(f"payout_id {answer['id']!r} was used just now: ask again, and see for what")
    return PayoutAnswer(**{name: answer[name] for name in _FIELDS if name in answer})


def _replaced(order: PayoutRequest, task: str, standing: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The payout that an order corrects; None if the task has not been paid for, and nothing is to be corrected."""
    if order.replaces is not None:
        if standing is None or standing["id"] != order.replaces:
            whose = f"its payout is {standing['id']!r}" if standing else "it has not been paid for"
            raise ConflictError(f"{order.replaces!r} is not what was paid for {task}: {whose}")
    elif standing is not None:
        raise ConflictError(_PAID_FOR.format(task=task, identity=standing["id"]))
    return standing


def _objections_to_task(
    serving: Serving, order: PayoutRequest, known: TaskFacts, beta: Decimal, *, is_correction: bool
) -> list[str]:
    settings, reasons = serving.settings, []
    if beta > settings.payout_beta_max:
        reasons.append(f"beta is {beta}, and may be {settings.payout_beta_max} (QC_PAYOUT_BETA_MAX)")
    if order.value > settings.payout_value_max:
        reasons.append(f"value is {order.value}, and may be {settings.payout_value_max} (QC_PAYOUT_VALUE_MAX)")
    if known.claimed and settings.payout_claims == "refuse":
        reasons.append(
            f"nobody but the caller says {', '.join(known.claimed)}: backfill the repository, let its webhook deliver, "
            "or leave out what is not known of the task (QC_PAYOUT_CLAIMS)"
        )
    if is_correction:  # by a person, who sees how it ended
        return reasons
    if known.verdict:
        reasons.append(f"{known.verdict}: what is known is no prediction")
    if known.row.features.get("origin") == "automation":
        reasons.append("an automation made it, and p0 is about what people and agents make")
    if known.is_draft:
        reasons.append("it is a draft: it is paid for when it is ready for review")
    if known.unlearnt and not order.allow_uncertain:
        reasons.append(f"{known.unlearnt}: let a person decide, or send allow_uncertain=true")
    return reasons


def objections(
    serving: Serving, answer: str | None, champion: Champion, *, uncertain: bool = False, outdated: bool = False
) -> list[str]:
    """Why nobody should be paid by a prediction; none if somebody may.

    Args:
        serving: settings, and how old everything is.
        answer: of the prediction.
        champion: who gave it.
        uncertain, outdated: what the caller allows.
    """
    reasons = []
    if champion.bundle.is_synthetic and not serving.reads_made_up:
        reasons.append("p0 was trained on made-up data, which say nothing about real work: train it on real data")
    with serving.reading() as connection:
        red = connection.execute(sql_sections("ml/payouts")["red"], {"version": champion.version}).fetchall()
    if red:
        broken = "; ".join(f"{promise} ({detail})" for promise, detail in red)
        reasons.append(f"p0 version {champion.version} breaks what it promised: {broken}; see docs/troubleshooting.md")
    if answer == UNCERTAIN and not uncertain:
        reasons.append("p0 is UNCERTAIN, too close to even odds: let a person decide, or send allow_uncertain=true")
    old = serving.out_of_date(champion)
    if old and not outdated:
        limit = serving.settings.model_max_age_days
        reasons.append(
            f"out of date, as {' and '.join(old)}, over {limit} days ago (QC_MODEL_MAX_AGE_DAYS): "
            "backfill and train, or send allow_outdated=true"
        )
    return reasons


def _float(number: str | None) -> float | None:
    return None if number is None else float(number)


def _asked(order: PayoutRequest) -> dict[str, str | None]:
    """What makes two requests the same: amounts as decimals, whoever wrote them how."""
    beta = None if order.beta is None else str(order.beta.normalize())
    return {"value": str(order.value.normalize()), "beta": beta, "replaces": order.replaces}


def _the_same(order: PayoutRequest, names: tuple[str, ...], earlier: Mapping[str, Any]) -> PayoutAnswer:
    before = earlier.get("asked")
    if before is None:  # of the warehouse or an older entry, which have the request as it was sent
        sent = earlier["request"]
        numbers = {name: sent.get(name) and str(Decimal(str(sent[name])).normalize()) for name in ("value", "beta")}
        before = numbers | {"replaces": earlier.get("replaces")}
    worker = earlier["worker_id"].lower() == order.facts.worker_id.lower()
    is_same_task = earlier["task_id"].lower() in names
    if before != _asked(order) or not worker or not is_same_task:
        raise ConflictError(
            f"payout_id {order.payout_id!r} was used for another request: give each payout an id of its own"
        )
    return PayoutAnswer(**{name: earlier[name] for name in _FIELDS if name in earlier})
