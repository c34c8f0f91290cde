"""What people know better: true categories, true outcomes, and decisions that they replaced."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.forges import id_beside
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.serving.champions import SPECS
from qc_assets.serving.one_form import Identity
from qc_assets.serving.predictions import instant
from qc_assets.serving.schemas import Instant, Name, Strict, Text, repository_and_number
from qc_assets.serving.service import Serving

Kind = Literal["category", "outcome", "override"]
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
    feedback_id: Identity = Field(description="Identity: sent again, it counts once.")
    model: Annotated[str, Field(json_schema_extra={"enum": list(SPECS)})]
    kind: Kind = Field(description="category or outcome: the truth, for training; override: a replaced decision.")
    task_id: Name = Field(description="[HOST/]owner/name#number, of a repository that the warehouse knows.")
    comment_id: Annotated[int, Field(ge=-(2**62), le=2**62)] = Field(0, description="As its forge numbers it.")
    label: Name = Field(description="A category; one of the model's two words; hours; or the action taken.")
    reason: Text | None = None
    given_by: Identity
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

    @field_validator("model")
    @classmethod
    def _a_model_that_there_is(cls, value: str) -> str:
        if value not in SPECS:
            raise ValueError(f"there is no model {value!r}; there are {', '.join(SPECS)}")
        return value

    @model_validator(mode="after")
    def _a_label_of_its_kind(self) -> Self:
        spec = SPECS[self.model]
        if self.kind not in _kinds(spec):
            pairs = ", ".join(f"{kind} of {name}" for name, other in SPECS.items() for kind in _kinds(other))
            raise ValueError(f"there is no {self.kind} of {self.model}; there are: {pairs}")
        if self.kind == "override":
            if self.label not in spec.actions:
                raise ValueError(f"label {self.label!r} is none of {', '.join(spec.actions)}")
        elif why := task_of(spec).refused_label(spec, self.label):
            raise ValueError(why)
        has_comments = "comment_id" in spec.key
        if (self.comment_id != 0) != has_comments:
            raise ValueError(f"feedback on {self.model} {'needs the' if has_comments else 'has no'} comment_id")
        return self


def _kinds(spec: ModelSpec) -> tuple[str, ...]:
    return (spec.feedback_kind, *(("override",) if spec.actions else ()))


class FeedbackAnswer(BaseModel):
    """Whether it is new."""

    model_config = ConfigDict(json_schema_extra={"example": {"feedback_id": "review-4711", "status": "recorded"}})
    feedback_id: str
    status: Literal["recorded", "known"]


def accept(serving: Serving, statement: Feedback) -> FeedbackAnswer:
    """Write feedback down.

    Raises:
        UnknownTaskError: if the warehouse does not know the repository.
        ConflictError: if the identity was used for other feedback.
    """
    repo, number = repository_and_number(statement.task_id)
    repo_id = serving.ready().repo_id(repo)
    if repo_id is None:
        raise UnknownTaskError(f"the warehouse does not know the repository {repo}: backfill it first")
    fields: dict[str, Any] = statement.model_dump(mode="json")
    fields["comment_id"] = id_beside(repo_id, statement.comment_id)
    document = fields | {"repo_id": repo_id, "number": number, "given_at": fields["given_at"] or instant()}
    known = serving.journal.write("feedback", document, written_at=instant(), key=statement.feedback_id)
    if known is None:
        return FeedbackAnswer(feedback_id=statement.feedback_id, status="recorded")
    different = [name for name, value in fields.items() if value != known[name] and (name, value) != ("given_at", None)]
    if different:
        raise ConflictError(
            f"feedback_id {statement.feedback_id!r} is known with another {', '.join(different)}: "
            "to correct feedback, send it with a new feedback_id"
        )
    return FeedbackAnswer(feedback_id=statement.feedback_id, status="known")
