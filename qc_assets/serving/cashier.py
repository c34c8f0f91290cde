"""Payouts by the champion: made once, written down with all that they came from, refused when nobody should be paid."""

from typing import Any

from qc_assets.errors import QcError
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.serving.champions import Champion
from qc_assets.serving.feedback import ConflictError
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest, at_both_ends, payout
from qc_assets.serving.predictions import instant
from qc_assets.serving.service import Serving

_FIELDS = tuple(PayoutAnswer.model_fields)


class PayoutRefusedError(QcError):
    """Nobody should be paid by this prediction."""


def make_payout(serving: Serving, order: PayoutRequest) -> PayoutAnswer:
    """Compute a payout and write it down before it is answered; a refusal is written down, too.

    Raises:
        PayoutRefusedError: if p0 is UNCERTAIN, or model or warehouse are out of date, and the request does not allow
            it; or if the model knows only made-up data, and the warehouse does not.
        ConflictError: if the payout's identity was used for another request.
    """
    request = order.model_dump(mode="json")
    if order.payout_id is not None:
        earlier = serving.journal.find("payout", order.payout_id)
        if earlier is not None:
            return _the_same(order.payout_id, request, earlier)
    predictions, (prediction,) = serving.predict("p0", [order.facts])
    beta = order.beta if order.beta is not None else serving.settings.payout_beta
    computed = payout(prediction["prediction"], order.value, beta)
    ends = at_both_ends(prediction["lower"], prediction["upper"], order.value, beta)
    answer: dict[str, Any] = {
        "task_id": order.facts.task_id,
        "worker_id": order.facts.worker_id,
        "d1": str(computed.amount),
        "beta": str(computed.beta),
        "p0": str(computed.p0),
        "value": str(computed.value),
        "model_version": str(predictions.champion.version),
        "is_synthetic": predictions.champion.bundle.is_synthetic,
        **{name: str(end) for name, end in ends.items()},
    }
    audit = answer | {
        "payout_id": order.payout_id,
        "repo_id": prediction["repo_id"],
        "number": prediction["number"],
        "request": request,
        "features": prediction["features"],
        "allowed": [name for name in ("uncertain", "outdated") if getattr(order, f"allow_{name}")],
    }
    refused = objections(
        serving,
        prediction["answer"],
        predictions.champion,
        uncertain=order.allow_uncertain,
        outdated=order.allow_outdated,
    )
    if refused:
        serving.journal.write("payout", audit | {"d1": None, "refused": refused}, written_at=instant())
        raise PayoutRefusedError(refused)
    earlier = serving.journal.write("payout", audit | {"refused": None}, written_at=instant(), key=order.payout_id)
    if earlier is not None and order.payout_id is not None:  # another request of the same identity was quicker
        return _the_same(order.payout_id, request, earlier)
    return PayoutAnswer(**answer)


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
    reasons = []
    if champion.bundle.is_synthetic and not serving.reads_made_up:
        reasons.append("p0 was trained on made-up data, which say nothing about real work: train it on real data")
    if answer == UNCERTAIN and not uncertain:
        reasons.append("p0 is UNCERTAIN, too close to even odds: let a person decide, or send allow_uncertain=true")
    old = serving.out_of_date(champion)
    if old and not outdated:
        limit = serving.settings.model_max_age_days
        reasons.append(
            f"out of date, as {' and '.join(old)}, over {limit} days ago (QC_MODEL_MAX_AGE_DAYS): "
            "backfill and train, or send allow_outdated=true"
        )
    return "; ".join(reasons)


def _the_same(payout_id: str, request: dict[str, Any], earlier: dict[str, Any]) -> PayoutAnswer:
    if earlier["request"] != request:
        raise ConflictError(f"payout_id {payout_id!r} was used for another request: give each payout an id of its own")
    return PayoutAnswer(**{name: earlier[name] for name in _FIELDS if name in earlier})
