"""The endpoints for programs."""

from collections.abc import Sequence
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from qc_assets.serving import cashier, feedback
from qc_assets.serving.champions import SPECS
from qc_assets.serving.details import details
from qc_assets.serving.facts import CommentText, Facts, IssueFacts, PredictionBatch, PullRequestFacts
from qc_assets.serving.feedback import Feedback, FeedbackAnswer
from qc_assets.serving.payouts import PayoutAnswer, PayoutRequest
from qc_assets.serving.schemas import (
    BatchAnswer,
    CategoryAnswer,
    ClosingAnswer,
    DurationAnswer,
    P0Answer,
    bucket_of,
    p0_fields,
)
from qc_assets.serving.service import Said, Serving

router = APIRouter()
Wanted = Annotated[bool, Query(alias="details", description="Say what is behind it, with the three strongest reasons.")]


class Error(BaseModel):
    """Why there is no answer."""

    detail: Any


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": text}
    for status, text in (
        (400, "It could not be read."),
        (401, "The key is missing or wrong."),
        (403, "This machine only."),
        (413, "Too large."),
        (422, "Which field is wrong, and why."),
        (429, "Too many requests."),
        (503, "No champion yet, or the warehouse could not be read; says which command helps."),
    )
}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Error, "description": "Refused, and why."}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Error, "description": "The warehouse does not know it."}}


def _example(example: Any, kind: str = "application/json") -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {"example": example}}}}


def _serving(request: Request) -> Serving:
    return request.app.state.serving


def _count(request: Request, model: str, answers: Sequence[str | None]) -> None:
    for answer in answers:
        request.app.state.metrics.predictions.labels(model, answer or "number").inc()


async def _predict(request: Request, model: str, facts: Facts, wanted: bool) -> tuple[Said, dict[str, Any], Any]:
    serving = _serving(request)
    if serving.champions.of(model).bundle.texts is None:
        said, documents = serving.predict(model, [facts])  # two milliseconds: a thread would cost more
    else:
        said, documents = await run_in_threadpool(serving.predict, model, [facts])
    behind = await run_in_threadpool(details, serving, said, 0) if wanted else None
    return said, documents[0], behind


@router.post("/predict", responses=ERRORS, response_model_exclude_none=True)
async def predict(request: Request, facts: PullRequestFacts, wanted: Wanted = False) -> P0Answer:
    """Will this pull request pass its first review?"""
    _, document, behind = await _predict(request, "p0", facts, wanted)
    answer = p0_fields(document)
    _count(request, "p0", [answer["confidence_bucket"]])
    return P0Answer(**answer, details=behind)


@router.post("/predict/batch", responses=ERRORS, response_model=BatchAnswer, response_model_exclude_none=True)
def batch(request: Request, asked: PredictionBatch) -> Response:
    """The same for up to 10,000 pull requests, in their order."""
    _, documents = _serving(request).predict("p0", asked.rows)
    answers = [p0_fields(document) for document in documents]
    _count(request, "p0", [answer["confidence_bucket"] for answer in answers])
    return Response(to_json({"predictions": answers}), media_type="application/json")


@router.post("/predict/resolution-time", responses=ERRORS, response_model_exclude_none=True)
async def resolution_time(request: Request, facts: IssueFacts, wanted: Wanted = False) -> DurationAnswer:
    """How many hours until this issue is closed? With an 80 % interval."""
    said, document, behind = await _predict(request, "resolution_time", facts, wanted)
    _count(request, "resolution_time", [None])
    return DurationAnswer(
        task_id=facts.task_id,
        worker_id=facts.worker_id,
        hours=document["prediction"],
        lower=document["lower"],
        upper=document["upper"],
        horizon_hours=said.champion.bundle.context["horizon_hours"],
        model_version=str(said.champion.version),
        details=behind,
    )


@router.post("/predict/close-in-7-days", responses=ERRORS, response_model_exclude_none=True)
async def close_in_7_days(request: Request, facts: IssueFacts, wanted: Wanted = False) -> ClosingAnswer:
    """Will this issue be closed within seven days? UNCERTAIN near even odds."""
    said, document, behind = await _predict(request, "close_in_7_days", facts, wanted)
    _count(request, "close_in_7_days", [document["answer"]])
    return ClosingAnswer(
        task_id=facts.task_id,
        worker_id=facts.worker_id,
        probability=document["prediction"],
        answer=document["answer"],
        model_version=str(said.champion.version),
        details=behind,
    )


@router.post("/classify/comment", responses=ERRORS)
def classify(request: Request, comment: CommentText) -> CategoryAnswer:
    """What kind of feedback is this review comment? UNCERTAIN if the confidence is under 0.6."""
    version, document, probabilities = _serving(request).classify(comment)
    _count(request, "comment_category", [document["answer"]])
    return CategoryAnswer(
        category=document["answer"],
        confidence=document["prediction"],
        probabilities=probabilities,
        model_version=str(version),
    )


@router.post("/feedback", responses=ERRORS | CONFLICT | UNKNOWN)
def give_feedback(request: Request, given: Feedback) -> FeedbackAnswer:
    """A true category, a true outcome, or a decision that a person replaced. Kept apart from predictions."""
    return feedback.accept(_serving(request), given)


@router.post("/payout", responses=ERRORS | CONFLICT)
def pay(request: Request, asked: PayoutRequest) -> PayoutAnswer:
    """d1 = beta × p0 × value, in decimals, rounded to two, half to even. Refused if p0 is UNCERTAIN or out of date."""
    answer = cashier.pay(_serving(request), asked)
    _count(request, "p0", [bucket_of(float(answer.p0))[0]])
    return answer


@router.get("/model/info", responses=ERRORS | _example({"p0": {"version": "3", "candidate": "random_forest"}}))
async def info(request: Request) -> dict[str, Any]:
    """Version, training window, metrics and features of each champion."""
    return dict(_serving(request).info)


@router.get(
    "/health",
    responses=_example(
        {"status": "ok", "troubles": {}, "champions": {"p0": "3"}, "history_as_of": "2026-01-31T00:00:00+00:00"}
    ),
)
async def health(request: Request) -> dict[str, Any]:
    """ok, or degraded with what is wrong."""
    serving = _serving(request)
    troubles = dict(serving.champions.troubles)
    champions = {one.model: str(one.version) for one in serving.champions.all()}
    troubles |= {m: f"no champion: run `qc train {m}`" for m in SPECS if m not in champions and m not in troubles}
    if serving.why_no_knowledge:
        troubles["warehouse"] = serving.why_no_knowledge
    if serving.journal.trouble:
        troubles["journal"] = serving.journal.trouble
    as_of = serving.knowledge.as_of.replace(tzinfo=UTC).isoformat() if serving.knowledge else None
    status = "degraded" if troubles else "ok"
    return {"status": status, "troubles": troubles, "champions": champions, "history_as_of": as_of}


@router.get("/metrics", response_class=PlainTextResponse, responses=_example("qc_requests_total 7.0", "text/plain"))
async def metrics(request: Request) -> PlainTextResponse:
    """For Prometheus."""
    return PlainTextResponse(request.app.state.metrics.text())
