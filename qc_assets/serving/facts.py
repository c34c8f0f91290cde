"""What is asked about: items at their opening. Which facts a caller may send follows from the feature tables' SQL."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from qc_assets.features.contract import Column, Contract, contract_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.first_response import SPEC as FIRST_RESPONSE
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.serving.schemas import Count, Day, Hour, Name, Strict, Text, printable

MOST_ROWS = 10_000
# How the first API called hour and weekday of the opening; the endpoints of that time still do.
_SUBMISSION = {"submission_hour": "hour", "submission_day": "weekday"}
_PYTHON: Mapping[str, Any] = {"INTEGER": int, "BIGINT": int, "DOUBLE": float, "BOOLEAN": bool, "VARCHAR": Text}
_MOST = 10**9
_WAITED = "waited_hours"
_NO_FEATURES = frozenset({"worker_id", "worker_account_id", "task_id", _WAITED})


class Facts(Strict):
    """An item at its opening.

    Attributes:
        table: its feature table, without the schema.
        renamed: columns of that table by the names that fields have instead.
    """

    table: ClassVar[str]
    renamed: ClassVar[Mapping[str, str]] = {}

    worker_id: Name = Field(description="Login of the author.", examples=["dev-00001"])
    worker_account_id: Annotated[int, Field(ge=-(2**62), le=2**62)] | None = Field(
        None,
        exclude_if=lambda account: account is None,  # what was asked before there was this field is asked the same
        description="The account as its forge numbers it: decides over the login, which may change hands.",
    )
    task_id: Name = Field(
        description="owner/name#number, before it HOST/ if its forge is not the server's own; an item that the "
        "warehouse knows is looked up, else its repository.",
        examples=["acme/atlas#7"],
    )

    def given(self) -> dict[str, Any]:
        """Features that the request says, by their names."""
        values = self.__dict__
        return {
            self.renamed.get(name, name): values[name]
            for name in self.model_fields_set
            if name not in _NO_FEATURES and values[name] is not None
        }

    def assumed(self) -> dict[str, Any]:
        """Features that are taken for granted if neither the request nor the warehouse says them."""
        return {}

    @property
    def waited(self) -> float | None:
        """Hours for which the item has waited so far; None if nobody says that."""
        return getattr(self, _WAITED, None)


class PullRequestFacts(Facts):
    """A pull request at its opening. What is left out is looked up for a known worker and task, else imputed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"worker_id": "dev-00001", "task_id": "acme/atlas#7", "lines_changed": 120, "files_changed": 4},
                **{"title_length": 48, "body_length": 300, "commits": 2, "is_bug_fix": True},
            }
        }
    )
    table: ClassVar[str] = "pull_requests"
    renamed: ClassVar[Mapping[str, str]] = _SUBMISSION | {
        "worker_pass_rate": "author_pass_rate",
        "worker_prior_tasks": "author_prior_prs",
        "worker_avg_cycles": "author_average_cycles",
    }

    lines_changed: Count = Field(description="Lines added and deleted.")
    files_changed: Annotated[int, Field(ge=1, le=10**6)]
    title_length: Count = Field(description="Characters of the title.")
    body_length: Count = 0
    commits: Annotated[int, Field(ge=1, le=10**6)] = 1
    is_bug_fix: bool = False
    is_documentation: bool = False
    is_feature: bool = False
    is_refactor: bool = False
    worker_pass_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    worker_prior_tasks: Count | None = None
    worker_avg_cycles: Annotated[float, Field(ge=0, le=1e6)] | None = None
    submission_hour: Hour | None = Field(None, description="UTC; default: now.")
    submission_day: Day | None = Field(None, description="0 Monday; default: today.")

    def assumed(self) -> dict[str, Any]:
        names = ("body_length", "commits", "is_bug_fix", "is_documentation", "is_feature", "is_refactor")
        return {name: getattr(self, name) for name in names}


class PredictionBatch(Strict):
    """Up to 10,000 pull requests."""

    rows: Annotated[list[PullRequestFacts], Field(min_length=1, max_length=MOST_ROWS)]


class TextFacts(Strict):
    """A text that is judged by itself.

    Attributes:
        task_id, comment_id: where it stands, for the journal.
    """

    task_id: Name | None = Field(None, description="owner/name#number of the pull request, for the journal.")
    comment_id: Annotated[int, Field(ge=-(2**62), le=2**62)] = Field(0, description="For the journal.")


class CommentText(TextFacts):
    """A review comment."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"body": "This leaks the handle if read() throws.", "path": "src/io.py"}}
    )
    body: Text
    path: Annotated[str, Field(max_length=4096), AfterValidator(printable)] | None = None


def askable(spec: ModelSpec) -> tuple[str, ...]:
    """What a caller may say of a model's items: its features of the item, and what others of them follow from."""
    contract = contract_of(spec.table.removeprefix("features."))
    formulas = (contract.columns[name].formula for name in spec.features)
    inputs = {name for formula in formulas if formula is not None for name in formula.inputs}
    return tuple(name for name in contract.askable if name in spec.features or name in inputs)


def request_of(spec: ModelSpec, renamed: Mapping[str, str] | None = None) -> type[BaseModel]:
    """The request that asks a model about one item, as its feature table's SQL and its spec describe it.

    Args:
        spec: the model.
        renamed: columns by the names that fields have instead.
    """
    contract = contract_of(spec.table.removeprefix("features."))
    renamed = renamed or {}
    names = {column: field for field, column in renamed.items()}
    base: type[BaseModel] = Facts if contract.history else TextFacts
    fields: dict[str, Any] = {
        # What can be looked up need not be said.
        names.get(name, name): _field(contract.columns[name], spec, is_required=base is TextFacts)
        for name in askable(spec)
    }
    if spec.left_at:
        fields[_WAITED] = (
            Annotated[float, Field(ge=0, le=_MOST)] | None,
            Field(None, description="Hours for which it has waited so far: how much longer it takes is answered, too."),
        )
    words = "".join(word.capitalize() for word in spec.name.split("_"))
    request = create_model(f"{words}Facts", __base__=base, __doc__=f"{_ABOUT[base]} {spec.question}", **fields)
    request.model_config["json_schema_extra"] = {"example": _example(base, contract, spec)}
    if issubclass(request, Facts):
        request.table, request.renamed = contract.table, renamed
    return request


_ABOUT: Mapping[type[BaseModel], str] = {
    Facts: "An item at its opening; what is left out is looked up for a known worker and task, else imputed.",
    TextFacts: "A text that is judged by itself.",
}


def _field(column: Column, spec: ModelSpec, *, is_required: bool) -> tuple[Any, Any]:
    kind = _PYTHON[column.type]
    limits: dict[str, Any] = {}
    if column.name in spec.categories:
        kind = Literal[spec.categories[column.name]]
    elif kind in (int, float):
        least, most = column.bounds or (0, _MOST)
        limits = {"ge": kind(least), "le": kind(most)}
    if is_required and column.is_required:
        return kind, Field(description=column.comment, **limits)
    return Annotated[kind, Field(**limits)] | None, Field(None, description=column.comment)


def _example(base: type[BaseModel], contract: Contract, spec: ModelSpec) -> dict[str, Any]:
    if base is TextFacts:
        return {name: "This leaks the handle." for name in askable(spec) if contract.columns[name].is_required}
    return {"worker_id": "dev-00001", "task_id": "acme/atlas#8"}


class ResponseFacts(request_of(FIRST_RESPONSE, _SUBMISSION)):  # type: ignore[misc]
    """A pull request that waits for its first response. What is left out is looked up, else imputed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"worker_id": "dev-00001", "task_id": "acme/atlas#7", "lines_changed": 120, "files_changed": 4},
                **{"waited_hours": 20.0},
            }
        }
    )


class IssueFacts(request_of(RESOLUTION_TIME, _SUBMISSION)):  # type: ignore[misc]
    """An issue at its opening. What is left out is looked up for a known worker and task, else imputed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"worker_id": "dev-00001", "task_id": "acme/atlas#8", "title_length": 40, "body_length": 900},
                **{"is_bug": True, "label_count": 1},
            }
        }
    )
