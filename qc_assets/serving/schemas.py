"""Requests and answers of the API, as OpenAPI shows them."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from qc_assets.clock import naive_utc
from qc_assets.models.comment_category import CATEGORIES

Bucket = Literal["high", "medium", "low", "very_low"]
Action = Literal["auto_approve_eligible", "standard_review", "careful_review", "priority_review"]
# From which p0 on, in falling order.
BUCKETS: tuple[tuple[float, Bucket, Action], ...] = (
    (0.9, "high", "auto_approve_eligible"),
    (0.7, "medium", "standard_review"),
    (0.5, "low", "careful_review"),
    (0.0, "very_low", "priority_review"),
)
_TASK = re.compile(r"^((?:[^/\s#]+/)?[^/\s#]+/[^/\s#]+)#([0-9]{1,15})$")


def printable(text: str) -> str:
    """The text.

    Raises:
        ValueError: if it has a character that no database takes.
    """
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


Instant = Annotated[datetime, AfterValidator(naive_utc)]
Name = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(printable)]
Text = Annotated[str, Field(min_length=1, max_length=65_536), AfterValidator(printable)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Hour = Annotated[int, Field(ge=0, le=23)]
Day = Annotated[int, Field(ge=0, le=6)]


def repository_and_number(task_id: str) -> tuple[str | None, int]:
    """Name and number of ``owner/name#number`` or ``HOST/owner/name#number``; None and 0 of anything else."""
    parts = _TASK.match(task_id)
    return (parts[1], int(parts[2])) if parts else (None, 0)


def bucket_of(p0: float) -> tuple[Bucket, Action]:
    """Confidence bucket and recommended action of a probability."""
    return next((bucket, action) for least, bucket, action in BUCKETS if p0 >= least)


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))


class TrueNumbers(BaseModel):
    """Refuses a boolean where a number is due.

    To pydantic true is the number 1, and a change of one line is another than one of a thousand.
    """

    numbers: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.numbers = frozenset(name for name, field in cls.model_fields.items() if _is_number(field.annotation))

    @model_validator(mode="before")
    @classmethod
    def _a_boolean_is_no_number(cls, told: Any) -> Any:
        if not isinstance(told, dict):
            return told
        booleans = [name for name, value in told.items() if (value is True or value is False) and name in cls.numbers]
        return told | {name: str(told[name]) for name in booleans} if booleans else told  # a word is refused, too


class Strict(TrueNumbers):
    """Refuses fields that it does not know: a misspelt one would be imputed without a word."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Reason(BaseModel):
    """A feature that moved a prediction."""

    feature: str
    value: str = Field(description="As the model saw it; empty if nobody knows it.")
    contribution: float = Field(description="Log-odds, log hours, or a share of the score; see `explain`.")
    words: str = Field(description="The same in words, with the direction.")


class Difference(BaseModel):
    """What the answer would be if the author had done one thing as is usual: of the model, and no advice."""

    change: str = Field(description="The item as it would be, all else equal.", examples=["a change of 60 lines"])
    prediction: float = Field(description="What the champion answers then: a probability, or median hours.")
    words: str = Field(description="How much more or less that is.", examples=["a change of 60 lines: +0.03"])


class Details(BaseModel):
    """What is behind a prediction, on request (`?details=true`)."""

    answer: str | None = Field(None, description="UNCERTAIN below the model's least confidence.")
    confidence: float | None = None
    lower: float | None = Field(
        None,
        description="Lower end of the answer's interval: 80 % of durations; of a probability, what it would be with "
        "one more failure among the calibration rows like it. Missing where a version has no intervals.",
    )
    upper: float | None = Field(None, description="Upper end of it; of a probability, with one more success.")
    raised: str | None = Field(None, description="Which other model's answer a duration was raised by, so as to agree.")
    heads: dict[str, float] | None = Field(
        None,
        description="The questions that a probability is made of, before its calibration: of p0, whether a reviewer "
        "decides (verdict), and how it ends if one does and if none does.",
    )
    is_known_task: bool = Field(description="The warehouse or a delivery has the item itself: it was looked up.")
    worker_known_by: Literal["id", "login"] | None = Field(
        None, description="login: only a name is known, and the history is that of whoever had it last."
    )
    history_as_of: datetime = Field(description="Up to when the warehouse knows authors and repositories (UTC).")
    unknown_features: list[str] = Field(description="What nobody knows, imputed as in training.")
    reasons: list[Reason] = Field(description="The three features that moved it most.")
    differences: list[Difference] = Field(description="Up to three, the largest first, of what its author decides on.")


class P0Answer(BaseModel):
    """p0 and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#7", "worker_id": "dev-00001", "p0": 0.8123, "confidence_bucket": "medium"},
                **{"recommended_action": "standard_review", "model_version": "3"},
            }
        }
    )
    task_id: str
    worker_id: str
    p0: float
    confidence_bucket: Bucket
    recommended_action: Action
    model_version: str
    details: Details | None = None


def p0_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The six fields of a `P0Answer`, from the journal entry of the prediction."""
    bucket, action = bucket_of(entry["prediction"])
    return {
        "task_id": entry["task_id"],
        "worker_id": entry["worker_id"],
        "p0": entry["prediction"],
        "confidence_bucket": bucket,
        "recommended_action": action,
        "model_version": str(entry["version"]),
    }


class DurationAnswer(BaseModel):
    """Median hours until it is resolved, with an 80 % interval; raised where close_in_7_days leaves no room for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#8", "worker_id": "dev-00001", "hours": 61.5, "lower": 6.2, "upper": 700.1},
                **{"horizon_hours": 2160.0, "model_version": "2"},
            }
        }
    )
    task_id: str
    worker_id: str
    hours: float
    lower: float
    upper: float = Field(description="At the horizon it means: or longer.")
    horizon_hours: float
    model_version: str
    details: Details | None = None


class RemainingAnswer(BaseModel):
    """How much longer it takes, given that it has waited so long already; hours from now."""

    hours: float = Field(description="Median.")
    lower: float
    upper: float = Field(description="Of the interval of 80 %; at the horizon it means: or longer.")
    within: float = Field(description="80 % have ended by then.")
    horizon: float
    words: str = Field(description="The last but one in words.", examples=["within 31 h (80 %)"])


class WaitAnswer(DurationAnswer):
    """Median hours until somebody responds, with an 80 % interval, from the opening as long as it stays open."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#7", "worker_id": "dev-00001", "hours": 14.2, "lower": 0.6, "upper": 130.5},
                **{"horizon_hours": 1440.0, "model_version": "1"},
                "remaining": {
                    **{"hours": 9.3, "lower": 0.5, "upper": 120.2, "within": 31.0, "horizon": 1420.0},
                    "words": "within 31 h (80 %)",
                },
            }
        }
    )
    remaining: RemainingAnswer | None = Field(
        None, description="If the request has waited_hours, unless hardly any of those known waited so long."
    )


class ProbabilityAnswer(BaseModel):
    """A calibrated probability, and the word for what is likely."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#8", "worker_id": "dev-00001", "probability": 0.72, "answer": "passed"},
                **{"model_version": "2"},
            }
        }
    )
    task_id: str
    worker_id: str
    probability: float
    answer: str = Field(description="UNCERTAIN near even odds.")
    model_version: str
    details: Details | None = None


class ClosingAnswer(ProbabilityAnswer):
    """Will it be closed within seven days?"""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#8", "worker_id": "dev-00001", "probability": 0.72, "answer": "closed"},
                **{"model_version": "2"},
            }
        }
    )
    answer: Literal["closed", "open", "UNCERTAIN"]


class CategoryAnswer(BaseModel):
    """What kind of feedback it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"category": "functional", "confidence": 0.81, "model_version": "1"},
                "probabilities": dict(zip(CATEGORIES, (0.81, 0.09, 0.02, 0.06, 0.02), strict=True)),
            }
        }
    )
    category: str = Field(description="UNCERTAIN if the confidence is under 0.6.")
    confidence: float
    probabilities: dict[str, float]
    model_version: str


class BatchAnswer(BaseModel):
    """Answers in the order of the rows."""

    predictions: list[P0Answer]
