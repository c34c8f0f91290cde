"""Payouts by the champion: made once, written down with all that they came from, refused when nobody should be paid."""

from typing import Any

from qc_assets.errors import QcError
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.serving.champions import Champion
from qc_assets.serving.feedback import ConflictError
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest, payout
from qc_assets.serving.service import Serving, instant

_FIELDS = tuple(PayoutAnswer.model_fields)


class PayoutRefusedError(QcError):
    """Nobody should be paid by this prediction."""


def pay(serving: Serving, asked: PayoutRequest) -> PayoutAnswer:
    """Compute a payout and write it down before it is answered; a refusal is written down, too.

    Raises:
        PayoutRefusedError: if p0 is UNCERTAIN, or model or warehouse are out of date, and the request does not allow
            it; or if the model knows only made-up data, and the warehouse does not.
        ConflictError: if the payout's identity was used for another request.
    """
    request = asked.model_dump(mode="json")
    if asked.payout_id is not None:
        made = serving.journal.find("payout", asked.payout_id)
        if made is not None:
            return _the_same(asked.payout_id, request, made)
    said, (prediction,) = serving.predict("p0", [asked.facts])
    beta = asked.beta if asked.beta is not None else serving.settings.payout_beta
    computed = payout(prediction["prediction"], asked.value, beta)
    found: dict[str, Any] = {
        "task_id": asked.facts.task_id,
        "worker_id": asked.facts.worker_id,
        "d1": str(computed.amount),
        "beta": str(computed.beta),
        "p0": str(computed.p0),
        "value": str(computed.value),
        "model_version": str(said.champion.version),
        "is_synthetic": said.champion.bundle.is_synthetic,
    }
    audit = found | {
        "payout_id": asked.payout_id,
        "repo_id": prediction["repo_id"],
        "number": prediction["number"],
        "request": request,
        "features": prediction["features"],
        "allowed": [name for name in ("uncertain", "outdated") if getattr(asked, f"allow_{name}")],
    }
    refused = objections(
        serving,
        prediction["answer"],
        said.champion,
        uncertain=asked.allow_uncertain,
        outdated=asked.allow_outdated,
    )
    if refused:
        serving.journal.write("payout", audit | {"d1": None, "refused": refused}, written_at=instant())
        raise PayoutRefusedError(refused)
    made = serving.journal.write("payout", audit | {"refused": None}, written_at=instant(), key=asked.payout_id)
    if made is not None and asked.payout_id is not None:  # another request of the same identity was quicker
        return _the_same(asked.payout_id, request, made)
    return PayoutAnswer(**found)


def objections(
    serving: Serving, answer: str | None, champion: Champion, *, uncertain: bool = False, outdated: bool = False
) -> str:
    """Why nobody should be paid by a prediction; empty if somebody may.

    Args:
        serving: settings, and how old everything is.
        answer: of the prediction.
        champion: who gave it.
        uncertain, outdated: what the caller allows.
    """
    found = []
    if champion.bundle.is_synthetic and not serving.settings.is_synthetic:
        found.append("p0 was trained on made-up data, which say nothing about real work: train it on real data")
    if answer == UNCERTAIN and not uncertain:
        found.append("p0 is UNCERTAIN, too close to even odds: let a person decide, or send allow_uncertain=true")
    old = serving.out_of_date(champion)
    if old and not outdated:
        limit = serving.settings.model_max_age_days
        found.append(
            f"out of date, as {' and '.join(old)}, over {limit} days ago (QC_MODEL_MAX_AGE_DAYS): "
            "backfill and train, or send allow_outdated=true"
        )
    return "; ".join(found)


def _the_same(payout_id: str, request: dict[str, Any], made: dict[str, Any]) -> PayoutAnswer:
    if made["request"] != request:
        raise ConflictError(f"payout_id {payout_id!r} was used for another request: give each payout an id of its own")
    return PayoutAnswer(**{name: made[name] for name in _FIELDS})
