"""What people know better: true categories, true outcomes, and decisions that they replaced."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.models.comment_category import CATEGORIES
from qc_assets.serving.predictions import WORDS, instant
from qc_assets.serving.schemas import BUCKETS, Instant, Name, Strict, Text, repository_and_number
from qc_assets.serving.service import Serving

Kind = Literal["category", "outcome", "override"]
_HOURS = "hours"
_LABELS: dict[tuple[str, str], tuple[str, ...] | str] = {
    ("comment_category", "category"): CATEGORIES,
    **{(model, "outcome"): words for model, words in WORDS.items()},
    ("resolution_time", "outcome"): _HOURS,
    ("p0", "override"): tuple(action for _, _, action in BUCKETS),
}
_MOST_HOURS = 24 * 366 * 30.0
_CLOCKS_DIFFER = timedelta(minutes=5)


class UnknownTaskError(QcError):
    """The warehouse does not know what feedback is about."""


class ConflictError(QcError):
    """The same identity was used for something else."""


class Feedback(Strict):
    """One thing that somebody knows. Newer feedback on the same item corrects older."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"feedback_id": "review-4711", "model": "p0", "kind": "outcome", "task_id": "acme/atlas#7"},
                **{"label": "passed", "given_by": "amy", "given_at": "2026-01-31T12:00:00Z"},
            }
        }
    )
    feedback_id: Name = Field(description="Identity: sent again, it counts once.")
    model: Literal["p0", "resolution_time", "close_in_7_days", "comment_category"]
    kind: Kind = Field(description="category or outcome: the truth, for training; override: a replaced decision.")
    task_id: Name = Field(description="owner/name#number, of a repository that the warehouse knows.")
    comment_id: Annotated[int, Field(ge=-(2**62), le=2**62)] = 0
    label: Name = Field(description="A category; passed or failed; closed or open; hours; or the action taken.")
    reason: Text | None = None
    given_by: Name
    given_at: Instant | None = Field(None, description="With a time zone, else UTC; default: now.")

    @field_validator("task_id")
    @classmethod
    def _an_item(cls, value: str) -> str:
        repo, number = repository_and_number(value)
        if repo is None or number == 0:
            raise ValueError("write it as owner/name#number")
        return value

    @field_validator("given_at")
    @classmethod
    def _not_in_the_future(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > now_utc() + _CLOCKS_DIFFER:
            raise ValueError("is in the future: newer feedback corrects older, so its time must be true")
        return value

    @model_validator(mode="after")
    def _a_label_of_its_kind(self) -> Self:
        allowed = _LABELS.get((self.model, self.kind))
        if allowed is None:
            pairs = ", ".join(f"{kind} of {model}" for model, kind in _LABELS)
            raise ValueError(f"there is no {self.kind} of {self.model}; there are: {pairs}")
        if allowed == _HOURS:
            self._refuse_bad_hours()
        elif self.label not in allowed:
            raise ValueError(f"label {self.label!r} is none of {', '.join(allowed)}")
        if (self.comment_id != 0) != (self.model == "comment_category"):
            need = "needs the" if self.model == "comment_category" else "has no"
            raise ValueError(f"feedback on {self.model} {need} comment_id")
        return self

    def _refuse_bad_hours(self) -> None:
        try:
            hours = float(self.label)
        except ValueError:
            hours = math.nan
        if not 0 <= hours <= _MOST_HOURS:
            raise ValueError(f"label {self.label!r} is no number of hours from 0 to {_MOST_HOURS:.0f}")


class FeedbackAnswer(BaseModel):
    """Whether it is new."""

    model_config = ConfigDict(json_schema_extra={"example": {"feedback_id": "review-4711", "status": "recorded"}})
    feedback_id: str
    status: Literal["recorded", "known"]


def accept(serving: Serving, given: Feedback) -> FeedbackAnswer:
    """Write feedback down.

    Raises:
        UnknownTaskError: if the warehouse does not know the repository.
        ConflictError: if the identity was used for other feedback.
    """
    repo, number = repository_and_number(given.task_id)
    repo_id = serving.ready().repo_id(repo)
    if repo_id is None:
        raise UnknownTaskError(f"the warehouse does not know the repository {repo}: backfill it first")
    said: dict[str, Any] = given.model_dump(mode="json")
    document = said | {"repo_id": repo_id, "number": number, "given_at": said["given_at"] or instant()}
    known = serving.journal.write("feedback", document, written_at=instant(), key=given.feedback_id)
    if known is None:
        return FeedbackAnswer(feedback_id=given.feedback_id, status="recorded")
    different = [name for name, value in said.items() if value != known[name] and (name, value) != ("given_at", None)]
    if different:
        raise ConflictError(
            f"feedback_id {given.feedback_id!r} is known with another {', '.join(different)}: "
            "to correct feedback, send it with a new feedback_id"
        )
    return FeedbackAnswer(feedback_id=given.feedback_id, status="known")
