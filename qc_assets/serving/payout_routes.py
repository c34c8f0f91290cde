"""The endpoints about money: payouts are made, looked up, contested and settled."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from qc_assets.serving import appeals, cashier, ledger
from qc_assets.serving.appeals import Appeal, AppealAnswer, Resumption, ResumptionAnswer, Settlement, State
from qc_assets.serving.imported_payouts import known_contests
from qc_assets.serving.model_routes import CONFLICT, ERRORS, UNKNOWN, count_answers
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest
from qc_assets.serving.schemas import Difference, Reason, bucket_of
from qc_assets.serving.service import Serving

router = APIRouter()
_NEWEST = 2**62
# The journal has instants without a zone, which OpenAPI does not call a date-time.
_Utc = Annotated[datetime, AfterValidator(lambda instant: instant.replace(tzinfo=UTC))]


class Contest(BaseModel):
    """An appeal, or how it was settled."""

    state: State
    told_by: str
    fact: str | None = None
    reason: str
    told_at: _Utc


class PayoutView(PayoutAnswer):
    """A payout or refusal with all that it was made of; what older versions did not write down is missing."""

    d1: Decimal | None = None  # type: ignore[assignment]
    refused: str | None = Field(None, description="Why nothing was paid.")
    asked_at: _Utc = Field(description="When (UTC).")
    received_key: str | None = Field(None, description="Name of the key that asked.")
    opened_at: _Utc | None = Field(None, description="When the pull request was opened (UTC).")
    as_of: _Utc | None = Field(None, description="End of the data in which facts were looked up (UTC).")
    features: dict[str, Any] = Field(description="The facts that p0 was made of; null is what nobody knew.")
    reasons: list[Reason] = Field([], description="The features that moved p0 most.")
    differences: list[Difference] = Field([], description="What would have been different; no advice.")
    run_id: str | None = Field(None, description="MLflow run of the version that answered.")
    model_hash: str | None = Field(None, description="SHA-256 over its files.")
    snapshot: str | None = Field(None, description="Identity of the data that it was trained on.")
    correction: str | None = None
    replaced_by: str | None = Field(None, description="The payout that corrects this one.")
    appeals: list[Contest] = Field([], description="Appeals and how they were settled, oldest first.")
    hash: str | None = Field(None, description="Of the entry, in the journal's chain; `qc audit payouts` proves it.")


class PayoutList(BaseModel):
    """Payouts and refusals, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"payouts": []}})
    payouts: list[PayoutView]
    next_before: int | None = Field(None, description="Send it as `before` for older ones; missing if there are none.")


def _serving(request: Request) -> Serving:
    return request.app.state.serving


def _view(serving: Serving, document: dict[str, Any]) -> PayoutView:
    own, is_paid = document["id"], document["refused"] is None
    corrections = ledger.corrections_of(serving.journals, own) if is_paid else []
    replaced_by = corrections[-1]["document"]["id"] if corrections else document.get("replaced_by")
    contests = [Contest(**contest) for contest in known_contests(serving, document)]
    shown = {name: value for name, value in document.items() if name in PayoutView.model_fields}
    return PayoutView(**shown | {"replaced_by": replaced_by, "appeals": contests})


@router.post("/payout", responses=ERRORS | CONFLICT, response_model_exclude_none=True)
def pay(request: Request, order: PayoutRequest) -> PayoutAnswer:
    """d1 = beta × p0 × value, in decimals, rounded to two, half to even; once a task, by what is known of it."""
    answer = cashier.make_payout(_serving(request), order)
    count_answers(request, "p0", [bucket_of(float(answer.p0))[0]])
    return answer


@router.get("/payouts", responses=ERRORS, response_model_exclude_none=True)
def list_payouts(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    before: Annotated[int, Query(ge=1, le=_NEWEST, description="`next_before` of the answer before.")] = _NEWEST,
) -> PayoutList:
    """What was paid and refused, newest first."""
    serving = _serving(request)
    entries = ledger.latest_payouts(serving.journal.place, before=before, limit=limit)
    shown = [_view(serving, entry["document"] | {"asked_at": entry["written_at"]}) for entry in entries]
    return PayoutList(payouts=shown, next_before=entries[-1]["number"] if len(entries) == limit else None)


@router.post("/payouts/resume", responses=ERRORS | CONFLICT)
def resume_payments(request: Request, statement: Resumption) -> ResumptionAnswer:
    """Let payments go on that were stopped, as some may be in neither journal nor warehouse; needs the right settle."""
    return appeals.resume(_serving(request), statement)


@router.get("/payouts/{identity:path}", responses=ERRORS | UNKNOWN, response_model_exclude_none=True)
def show_payout(request: Request, identity: str) -> PayoutView:
    """What was paid, why, by which facts, and whether somebody contests it."""
    serving = _serving(request)
    return _view(serving, appeals.payout_entry(serving, identity))


@router.post("/payouts/{identity:path}/appeal", responses=ERRORS | UNKNOWN | CONFLICT)
def contest(request: Request, identity: str, statement: Appeal) -> AppealAnswer:
    """Say which fact of a payout is wrong; it is open until a person with the right settles it."""
    return appeals.appeal(_serving(request), identity, statement)


@router.post("/payouts/{identity:path}/settle", responses=ERRORS | UNKNOWN | CONFLICT)
def end_contest(request: Request, identity: str, verdict: Settlement) -> AppealAnswer:
    """Uphold or reject the open appeal against a payout; needs the right settle."""
    return appeals.settle(_serving(request), identity, verdict)
