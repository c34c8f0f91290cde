"""POST /predict/{model}: every model that there is, asked as its feature table and its spec describe it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.serving.champions import SPECS
from qc_assets.serving.details import details_of
from qc_assets.serving.facts import Facts, TextFacts, request_of
from qc_assets.serving.predictions import Predictions
from qc_assets.serving.rows import feature_frame
from qc_assets.serving.schemas import (
    CategoryAnswer,
    Details,
    DurationAnswer,
    ProbabilityAnswer,
    RemainingAnswer,
    WaitAnswer,
)
from qc_assets.serving.service import Serving

router = APIRouter()
WithDetails = Annotated[
    bool, Query(alias="details", description="Say what is behind it, with the three strongest reasons.")
]
_ANSWERS: tuple[type[BaseModel], ...] = (ProbabilityAnswer, DurationAnswer, CategoryAnswer)


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


@dataclass(frozen=True)
class Prediction:
    """What a champion says of one item.

    Attributes:
        request: what was asked.
        predictions: of this one.
        document: its journal entry.
        details: what is behind it, if that was asked for.
    """

    request: Facts | TextFacts
    predictions: Predictions
    document: Mapping[str, Any]
    details: Details | None


async def predict_one(
    request: Request, model: str, facts: Facts | TextFacts, *, with_details: bool = False
) -> Prediction:
    """Ask a champion about one item, and journal what it says."""
    serving: Serving = request.app.state.serving
    if isinstance(facts, TextFacts) or serving.champions.reads_texts(model):
        predictions, documents = await run_in_threadpool(serving.predict, model, [facts])
    else:
        predictions, documents = serving.predict(model, [facts])  # two milliseconds: a thread would cost more
    details = await run_in_threadpool(details_of, serving, predictions) if with_details else None
    return Prediction(facts, predictions, documents[0], details)


def count_answers(request: Request, model: str, answers: Sequence[str | None]) -> None:
    """Count answers for Prometheus; an answer without a word is a number."""
    for answer in answers:
        request.app.state.metrics.predictions.labels(model, answer or "number").inc()


def answer_fields(request: Request, prediction: Prediction) -> dict[str, Any]:
    """The fields of an answer of the model's task; counts it."""
    count_answers(request, prediction.predictions.champion.model, [prediction.document["answer"]])
    return told_fields(prediction)


def told_fields(prediction: Prediction) -> dict[str, Any]:
    """The fields of an answer of the model's task."""
    predictions, document = prediction.predictions, prediction.document
    champion = predictions.champion
    bundle = champion.bundle
    told = task_of(predictions.spec).answer(document, predictions.answers[0], bundle.classes, bundle.context)
    if isinstance(prediction.request, Facts) and prediction.request.waited is not None:
        told |= {"remaining": _remaining(predictions, prediction.request.waited)}
    return told | {
        **{"task_id": document["task_id"] or "", "worker_id": document["worker_id"] or ""},
        **{"model_version": str(champion.version), "details": prediction.details},
    }


def _remaining(predictions: Predictions, waited: float) -> RemainingAnswer | None:
    bundle = predictions.champion.bundle
    item = feature_frame(predictions.rows[:1], predictions.spec, bundle)
    (longer,) = bundle.how_much_longer(item, np.array([waited]))
    return None if longer is None else RemainingAnswer(**asdict(longer), words=longer.words)


def answer_type_of(spec: ModelSpec) -> type[BaseModel]:
    """The answer that has the fields of the model's task; of one that knows what has waited already, these, too."""
    if spec.left_at:
        return WaitAnswer
    fields = task_of(spec).answer_fields
    return next(answer_type for answer_type in _ANSWERS if answer_type.model_fields.keys() >= set(fields))


def _add_route(spec: ModelSpec) -> None:
    facts_type, answer_type = request_of(spec), answer_type_of(spec)

    async def predict_item(request: Request, facts: Any, with_details: WithDetails = False) -> BaseModel:
        return answer_type(
            **answer_fields(request, await predict_one(request, spec.name, facts, with_details=with_details))
        )

    async def predict_text(request: Request, facts: Any) -> BaseModel:
        return answer_type(**answer_fields(request, await predict_one(request, spec.name, facts)))

    endpoint = predict_item if issubclass(facts_type, Facts) else predict_text
    endpoint.__annotations__["facts"] = facts_type
    router.add_api_route(
        f"/predict/{spec.name}",
        endpoint,
        methods=["POST"],
        name=f"predict_{spec.name}",
        description=spec.question,
        responses=ERRORS,
        response_model=answer_type,
        response_model_exclude_none=True,
    )


for _spec in SPECS.values():
    _add_route(_spec)


@router.post("/predict/{model}", include_in_schema=False)
async def unknown_model(model: str) -> None:
    """Say which models there are."""
    raise HTTPException(404, f"there is no model {model[:100]!r}; there are {', '.join(SPECS)}")
