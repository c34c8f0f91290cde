"""The endpoints for programs."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic_core import to_json

from qc_assets.serving import feedback
from qc_assets.serving.facts import CommentText, IssueFacts, PredictionBatch, PullRequestFacts, ResponseFacts
from qc_assets.serving.feedback import Feedback, FeedbackAnswer
from qc_assets.serving.model_routes import (
    CONFLICT,
    ERRORS,
    UNKNOWN,
    WithDetails,
    answer_fields,
    count_answers,
    predict_one,
)
from qc_assets.serving.schemas import (
    BatchAnswer,
    CategoryAnswer,
    ClosingAnswer,
    DurationAnswer,
    P0Answer,
    WaitAnswer,
    p0_fields,
)
from qc_assets.serving.service import Serving

router = APIRouter()


def _example(example: Any, kind: str = "application/json") -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {"example": example}}}}


def _serving(request: Request) -> Serving:
    return request.app.state.serving


@router.post("/predict", responses=ERRORS, response_model_exclude_none=True)
async def predict(request: Request, facts: PullRequestFacts, with_details: WithDetails = False) -> P0Answer:
    """Will this pull request pass its first review?"""
    prediction = await predict_one(request, "p0", facts, with_details=with_details)
    answer = p0_fields(prediction.document)
    count_answers(request, "p0", [answer["confidence_bucket"]])
    return P0Answer(**answer, details=prediction.details)


@router.post("/predict/batch", responses=ERRORS, response_model=BatchAnswer, response_model_exclude_none=True)
def batch(request: Request, facts: PredictionBatch) -> Response:
    """The same for up to 10,000 pull requests, in their order."""
    _, documents = _serving(request).predict("p0", facts.rows)
    answers = [p0_fields(document) for document in documents]
    count_answers(request, "p0", [answer["confidence_bucket"] for answer in answers])
    return Response(to_json({"predictions": answers}), media_type="application/json")


@router.post("/predict/resolution-time", responses=ERRORS, response_model_exclude_none=True)
async def resolution_time(request: Request, facts: IssueFacts, with_details: WithDetails = False) -> DurationAnswer:
    """How many hours until this issue is resolved? With an 80 % interval."""
    prediction = await predict_one(request, "resolution_time", facts, with_details=with_details)
    return DurationAnswer(**answer_fields(request, prediction))


@router.post("/predict/close-in-7-days", responses=ERRORS, response_model_exclude_none=True)
async def close_in_7_days(request: Request, facts: IssueFacts, with_details: WithDetails = False) -> ClosingAnswer:
    """Will this issue be closed within seven days? UNCERTAIN near even odds."""
    prediction = await predict_one(request, "close_in_7_days", facts, with_details=with_details)
    return ClosingAnswer(**answer_fields(request, prediction))


@router.post("/predict/first-response", responses=ERRORS, response_model_exclude_none=True)
async def first_response(request: Request, facts: ResponseFacts, with_details: WithDetails = False) -> WaitAnswer:
    """How many hours until somebody responds? With `waited_hours`, how much longer, such as within 31 h (80 %)."""
    prediction = await predict_one(request, "first_response", facts, with_details=with_details)
    return WaitAnswer(**answer_fields(request, prediction))


@router.post("/classify/comment", responses=ERRORS)
async def classify(request: Request, comment: CommentText) -> CategoryAnswer:
    """What kind of feedback is this review comment? UNCERTAIN if the confidence is under 0.6."""
    return CategoryAnswer(**answer_fields(request, await predict_one(request, "comment_category", comment)))


@router.post("/feedback", responses=ERRORS | CONFLICT | UNKNOWN)
def give_feedback(request: Request, statement: Feedback) -> FeedbackAnswer:
    """A true category, a true outcome, or a decision that a person replaced. Kept apart from predictions."""
    return feedback.accept(_serving(request), statement)


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
    champions = {champion.model: str(champion.version) for champion in serving.champions.all()}
    as_of = serving.knowledge.as_of.replace(tzinfo=UTC).isoformat() if serving.knowledge else None
    troubles = serving.troubles() | request.app.state.checker.notes.troubles()
    return {
        "status": "degraded" if troubles else "ok",
        "troubles": troubles,
        "champions": champions,
        "history_as_of": as_of,
    }


@router.get("/metrics", response_class=PlainTextResponse, responses=_example("qc_requests_total 7.0", "text/plain"))
async def metrics(request: Request) -> PlainTextResponse:
    """For Prometheus."""
    return PlainTextResponse(request.app.state.metrics.text())
