"""`qc check` and `POST /check`: what would be shown on a pull request, and having it shown."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qc_assets.errors import QcError
from qc_assets.features.contract import Owner, contract_of
from qc_assets.serving.callers import require
from qc_assets.serving.champions import SPECS
from qc_assets.serving.facts import request_of
from qc_assets.serving.github_payloads import PullRequest
from qc_assets.serving.model_routes import CONFLICT, ERRORS, UNKNOWN
from qc_assets.serving.notes import Notes, NotShownError
from qc_assets.serving.outbox import OutgoingNote
from qc_assets.serving.rows import Row, item_row
from qc_assets.serving.schemas import Name, Strict, repository_and_number
from qc_assets.serving.service import Serving
from qc_assets.serving.webhook import Webhook
from qc_assets.sources.github.posting import PostingError

router = APIRouter()


class CheckRequest(Strict):
    """A pull request of a listed repository."""

    model_config = ConfigDict(json_schema_extra={"example": {"task_id": "acme/atlas#7", "post": False}})
    task_id: Name
    post: bool = Field(False, description="Show it, soon; else only say what would be shown.")


class CheckAnswer(BaseModel):
    """What is shown, or would be."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"task_id": "acme/atlas#7", "status": "dry_run", "p0": 0.8123, "title": "p0 = 0.81 (0.67 to 0.90)"},
                **{"text": "**p0 = 0.81 (0.67 to 0.90)**: …", "model_version": "3"},
            }
        }
    )
    task_id: str
    status: Literal["dry_run", "queued"]
    p0: float
    title: str
    text: Annotated[str, Field(description="Markdown.")]
    model_version: str


@dataclass(frozen=True)
class CheckedPullRequest:
    """What p0 says of a pull request, and the note that would say so there.

    Attributes:
        document: journal entry of the answer.
        is_known: whether the warehouse or a delivery has it; else it was read from GitHub as it is now.
    """

    note: OutgoingNote
    document: dict[str, Any]
    is_known: bool


class Checker:
    """Checks pull requests.

    Args:
        serving: who answers.
        webhook: measures what GitHub shows.
        notes: shows it.
    """

    def __init__(self, serving: Serving, webhook: Webhook, notes: Notes) -> None:
        self.serving, self.webhook, self.notes = serving, webhook, notes

    def check(self, task_id: str, *, is_posting: bool) -> CheckedPullRequest:
        """What p0 says of a pull request; nothing is shown yet.

        Args:
            task_id: ``owner/name#number``, or with ``HOST/`` before it.
            is_posting: whether it is to be shown: then its repository is listed, and it is open and a person's.

        Raises:
            NotShownError: if nothing may be shown there.
            PostingError: if GitHub must be asked and does not answer.
        """
        repo, number = repository_and_number(task_id)
        if repo is None or number == 0:
            raise QcError(f"{task_id[:100]}: write it as owner/name#number")
        name = self.notes.listed(repo) if is_posting else "/".join(repo.split("/")[-2:])
        row = self._known_row(repo, number)
        is_known, sha = row is not None, ""
        if row is None or is_posting:
            shown = self._shown(name, number)
            sha = shown.head.sha
            self._refuse(shown, is_posting=is_posting)
            row = row or self.webhook.row_of(repo, shown)
        if row.features.get("origin") == "automation":
            raise NotShownError("p0 is about what people and agents make, not automations")
        request = {"task_id": f"{repo}#{number}", "event": "check"}
        predictions, (document,) = self.serving.answer("p0", [row], [request])
        if is_posting:
            self.notes.refuse_made_up(predictions)
        note = self.notes.written(self.serving, predictions, name, number, sha)
        return CheckedPullRequest(note, document, is_known)

    def _known_row(self, repo: str, number: int) -> Row | None:
        """The pull request at its opening, if the warehouse or a delivery has it."""
        knowledge = self.serving.ready()
        place = knowledge.place(repo, number)
        known = knowledge.task("pull_requests", repo, number, None)
        if known is not None:
            contract_of("pull_requests").complete(known, Owner.ITEM)
            row = Row(known, *place, known["opened_at"], knowledge.as_of, "id")
            return row if known["author_id"] is not None else replace(row, author_known_by="login")
        item = self.serving.delivered.of(*place)
        if item is None or not item.author:
            return None
        facts = request_of(SPECS["p0"])(
            task_id=f"{repo}#{number}", worker_id=item.author, worker_account_id=item.author_id
        )
        return item_row(facts, knowledge, item.opened_at, self.serving.delivered)  # type: ignore[arg-type]

    def _shown(self, name: str, number: int) -> PullRequest:
        document = self.notes.board().pull_request(name, number)
        try:
            return PullRequest.model_validate(document)
        except ValidationError as error:
            fields = sorted({str(wrong["loc"][0]) for wrong in error.errors() if wrong["loc"]})
            raise PostingError(
                f"{name}#{number}: GitHub's answer is no pull request (wrong: {', '.join(fields)[:200]})", is_final=True
            ) from error

    def _refuse(self, shown: PullRequest, *, is_posting: bool) -> None:
        if shown.user is None:
            raise NotShownError("p0 is about what somebody made whose account is not gone")
        if is_posting and shown.closed_at is not None:
            raise NotShownError("it is closed: p0 is shown on open pull requests")
        if is_posting and shown.draft:
            raise NotShownError("it is a draft: p0 is shown when it is ready for review")


@router.post("/check", responses=ERRORS | CONFLICT | UNKNOWN)
def check_pull_request(request: Request, wish: CheckRequest) -> CheckAnswer:
    """What p0 shows on a pull request of a listed repository (QC_CHECK_REPOS), and on request shows it."""
    checker: Checker = request.app.state.checker
    checker.notes.listed(repository_and_number(wish.task_id)[0] or wish.task_id)
    if wish.post:
        require("post", "showing something on a pull request")
    checked = checker.check(wish.task_id, is_posting=wish.post)
    if wish.post:
        checker.notes.want(checked.note)
    return CheckAnswer(
        task_id=wish.task_id,
        status="queued" if wish.post else "dry_run",
        p0=checked.document["prediction"],
        title=checked.note.title,
        text=checked.note.text,
        model_version=str(checked.document["version"]),
    )
