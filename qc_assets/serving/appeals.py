"""Appeals: who is paid too little or too much says which fact is wrong, and a person with the right settles it."""

import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qc_assets.serving.callers import require
from qc_assets.serving.feedback import ConflictError, UnknownTaskError
from qc_assets.serving.imported_payouts import known_contests, known_payout
from qc_assets.serving.one_form import Identity
from qc_assets.serving.predictions import instant
from qc_assets.serving.schemas import Strict, Text
from qc_assets.serving.service import Serving

State = Literal["open", "upheld", "rejected"]


class Appeal(Strict):
    """Why a payout is contested."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"told_by": "amy", "fact": "lines_changed", "reason": "The generated files do not count."}
        }
    )
    told_by: Identity = Field(description="Who appeals.")
    fact: Identity = Field(description="Which fact is wrong, by its name in the payout's facts or in words.")
    reason: Text


class Settlement(Strict):
    """How an appeal ends. One that is upheld is followed by a correction: POST /payout with `replaces`."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"state": "upheld", "told_by": "bob", "reason": "They are generated indeed."}}
    )
    state: Literal["upheld", "rejected"]
    told_by: Identity = Field(description="Who settles it.")
    reason: Text


class Resumption(Strict):
    """Why payments may go on, though some may be in neither journal nor warehouse."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"told_by": "bob", "reason": "Two were paid by hand since; their authors know."}}
    )
    told_by: Identity = Field(description="Who decides that.")
    reason: Text


class ResumptionAnswer(BaseModel):
    """What was in doubt, and is settled."""

    model_config = ConfigDict(json_schema_extra={"example": {"settled": "the journal is another one: entry 7 of …"}})
    settled: str


class AppealAnswer(BaseModel):
    """Where an appeal stands."""

    model_config = ConfigDict(json_schema_extra={"example": {"payout": "invoice-7", "state": "open"}})
    payout: str
    state: State


class UnknownPayoutError(UnknownTaskError):
    """There is no such payout."""


def payout_entry(serving: Serving, identity: str) -> dict[str, Any]:
    """The document of a payout, see `known_payout`.

    Raises:
        UnknownPayoutError: if there is none.
    """
    document = known_payout(serving, identity)
    if document is None:
        raise UnknownPayoutError(f"there is no payout {identity[:100]!r}: GET /payouts lists them")
    return document


def appeal(serving: Serving, identity: str, statement: Appeal) -> AppealAnswer:
    """Write an appeal down; it is open until somebody settles it.

    Raises:
        UnknownPayoutError: if there is no such payout.
        ConflictError: if an appeal against it is open.
    """
    return _write(serving, "appeal", identity, statement.model_dump() | {"state": "open"}, state=None)


def settle(serving: Serving, identity: str, verdict: Settlement) -> AppealAnswer:
    """End the open appeal against a payout.

    Raises:
        UnknownPayoutError: if there is no such payout.
        ConflictError: if no appeal against it is open.
        ForbiddenError: if the caller has not the right.
    """
    require("settle", "settling an appeal")
    return _write(serving, "settlement", identity, verdict.model_dump() | {"fact": None}, state="open")


def resume(serving: Serving, statement: Resumption) -> ResumptionAnswer:
    """Let payments go on that were stopped, as some may be in neither journal nor warehouse, see `Serving.payer`.

    Raises:
        ConflictError: if they are not stopped.
        ForbiddenError: if the caller has not the right.
    """
    require("settle", "letting payments go on")
    with serving.journal.paying():
        if serving.payments is None or not (doubt := serving.payments.look()):
            raise ConflictError("payments are not stopped")
        # No payout has this identity.
        document = statement.model_dump() | {"payout": "", "state": "resumed", "fact": doubt}
        serving.journal.write("settlement", document, written_at=instant(), key=uuid.uuid4().hex)
        serving.payments.resume()
    return ResumptionAnswer(settled=doubt)


def _write(
    serving: Serving, kind: str, identity: str, document: dict[str, Any], *, state: Literal["open"] | None
) -> AppealAnswer:
    with serving.journal.paying():
        payout = payout_entry(serving, identity)
        own, contests = payout["id"], known_contests(serving, payout)
        is_open = bool(contests) and contests[-1]["state"] == "open"
        if is_open != (state == "open"):
            why = "an appeal against it is open already" if is_open else "no appeal against it is open"
            raise ConflictError(f"payout {own!r}: {why}")
        serving.journal.write(kind, document | {"payout": own}, written_at=instant(), key=uuid.uuid4().hex)
    return AppealAnswer(payout=own, state=document["state"])
