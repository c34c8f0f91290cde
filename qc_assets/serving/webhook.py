"""GitHub's webhook: p0 of a pull request when it is opened, and how it and issues end when they do."""

import threading
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qc_assets.features.contract import contract_of
from qc_assets.forges import forge_at, id_beside, qualified
from qc_assets.serving.predictions import ask_champion, instant, journal_documents
from qc_assets.serving.rows import Row
from qc_assets.serving.schemas import Instant, P0Answer, p0_fields
from qc_assets.serving.service import Serving
from qc_assets.store.migrations import bring_up_to_date
from qc_assets.store.schema import allowed_values, sql_sections

_SQL = "features/webhook"
EVENTS = ("pull_request", "pull_request_review", "issues")
_OPENING = {"additions", "deletions", "changed_files", "commits", "author_association"}
_STATES = {"approved": True, "changes_requested": False}
_REASONS = allowed_values("ml.closings", "state_reason")


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Account(_Payload):
    id: int | None = Field(None, gt=0, lt=2**40)
    login: str = Field(min_length=1, max_length=300)
    type: str = "User"


class _Label(_Payload):
    name: str


class _Repository(_Payload):
    id: int | None = Field(None, gt=0, lt=2**40)
    full_name: str = Field(min_length=3, max_length=300)
    html_url: str = ""

    def forge(self, other: str) -> str:
        """The forge that sent it, by its page; `other` if it does not say."""
        return forge_at(self.html_url) if self.html_url.startswith("http") else other

    def name_at(self, other: str) -> str:
        """Its name, after its forge's if it says that."""
        return f"{self.forge(other)}/{self.full_name}" if self.html_url else self.full_name


class _PullRequest(_Payload):
    number: int = Field(gt=0, lt=2**62)
    user: _Account | None
    title: str = ""
    body: str | None = None
    draft: bool = False
    additions: int | None = Field(None, ge=0, lt=2**62)
    deletions: int | None = Field(None, ge=0, lt=2**62)
    changed_files: int | None = Field(None, ge=0, lt=2**62)
    commits: int | None = Field(None, ge=0, lt=2**62)
    author_association: str | None = None
    labels: list[_Label] = []
    created_at: Instant
    updated_at: Instant
    closed_at: Instant | None = None
    merged_at: Instant | None = None


class _Review(_Payload):
    id: int
    state: str
    user: _Account | None
    submitted_at: Instant | None = None


class _Issue(_Payload):
    number: int = Field(gt=0, lt=2**62)
    closed_at: Instant | None = None
    state_reason: str | None = None


class Event(_Payload):
    """What is read of a delivery; GitHub sends much more."""

    action: str = ""
    repository: _Repository | None = None
    pull_request: _PullRequest | None = None
    review: _Review | None = None
    issue: _Issue | None = None
    sender: _Account | None = None


class WebhookAnswer(BaseModel):
    """What was done with a delivery."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "predicted",
                "why": None,
                "prediction": P0Answer.model_config["json_schema_extra"]["example"],  # type: ignore[index,call-overload]
            }
        }
    )
    status: Literal["predicted", "recorded", "known", "ignored"]
    why: Annotated[str | None, Field(description="Why a delivery was ignored.")] = None
    prediction: P0Answer | None = None


def ignored(name: str) -> WebhookAnswer:
    """The answer to an event that says nothing of openings and outcomes."""
    return WebhookAnswer(
        status="ignored", why=f"{name} is not about a pull request's opening, or how it or an issue ended"
    )


class Webhook:
    """Reads deliveries; texts and sizes are measured by the very SQL that training rows come from.

    Args:
        serving: who answers and writes down.
    """

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self._connection = serving.store.scratch()
        bring_up_to_date(self._connection, serving.store.path)
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        """Close the scratch database."""
        self._connection.close()

    def handle(self, name: str, delivery: str, event: Event) -> WebhookAnswer:
        """Answer one delivery whose signature is right.

        Args:
            name: of the event, as in ``X-GitHub-Event``.
            delivery: its identity; sent again, it is answered as before.
            event: its payload.
        """
        pull_request, repository = event.pull_request, event.repository
        if repository is None:
            return ignored(name)
        forge = repository.forge(self.serving.settings.forge)
        if name == "issues" and event.issue is not None:
            return self._closing(forge, repository, event.action, event.issue, event.sender)
        if name not in ("pull_request", "pull_request_review") or pull_request is None:
            return ignored(name)
        task_id = f"{qualified(forge, repository.full_name)}#{pull_request.number}"
        if name == "pull_request_review":
            return self._review(task_id, event.action, pull_request, event.review)
        if event.action == "closed" and pull_request.closed_at is not None:
            passed = pull_request.merged_at is not None or self._is_landed(pull_request, event.sender)
            return self._outcome(
                task_id, f"closed:{pull_request.closed_at.isoformat()}", passed, pull_request.closed_at
            )
        if event.action not in ("opened", "ready_for_review"):
            return WebhookAnswer(status="ignored", why=f"nothing is done when a pull request is {event.action}")
        if pull_request.draft:
            return WebhookAnswer(status="ignored", why="drafts are asked about when they are ready for review")
        if pull_request.user is None or self._is_bot(pull_request.user):
            return WebhookAnswer(status="ignored", why="p0 is about people's pull requests")
        return self._predict(task_id, event.action, delivery, repository, pull_request, pull_request.user)

    def _predict(
        self,
        task_id: str,
        action: str,
        delivery: str,
        repository: _Repository,
        pull_request: _PullRequest,
        author: _Account,
    ) -> WebhookAnswer:
        started = time.perf_counter()
        opened_at = pull_request.created_at if action == "opened" else pull_request.updated_at
        knowledge = self.serving.ready()
        measured = self._measure(pull_request, author.login, opened_at)
        repo = repository.name_at(self.serving.settings.forge)
        place = knowledge.place(repo, pull_request.number, repository.id)
        history = knowledge.history("pull_requests", repo, author.login, place[0])
        features = measured | {name: history[name] for name in contract_of("pull_requests").history}
        features |= {"opened_title": pull_request.title, "opened_body": pull_request.body or ""}
        champion = self.serving.champions.of("p0")
        predictions = ask_champion(champion, [Row(features, *place, opened_at, knowledge.as_of)])
        request: dict[str, Any] = {
            "task_id": task_id, "worker_id": author.login, "event": f"pull_request.{action}",
        }  # fmt: skip
        if action == "opened":  # facts that nobody will show again; features/pull_requests.sql reads them
            request["opening"] = pull_request.model_dump(include=_OPENING)
        document = journal_documents(predictions, [request])[0] | {
            "latency_ms": round((time.perf_counter() - started) * 1000, 3),
        }
        known = self.serving.journal.write("prediction", document, written_at=instant(), key=delivery or None)
        return WebhookAnswer(status="predicted", prediction=P0Answer(**p0_fields(known or document)))

    def _measure(self, pull_request: _PullRequest, author: str, opened_at: datetime) -> dict[str, Any]:
        sections = sql_sections(_SQL)
        query = sql_sections("features/pull_requests")["rows"]
        with self._one_at_a_time:
            self._connection.execute(sections["forget"])
            labels = [label.name for label in pull_request.labels]
            self._connection.execute(sections["labels"], {"labels": labels, "opened_at": opened_at})
            self._connection.execute(
                sections["opening"],
                {
                    "author": author,
                    "opened_at": opened_at,
                    "title": pull_request.title,
                    "body": pull_request.body or "",
                    "association": pull_request.author_association,
                    "additions": pull_request.additions,
                    "deletions": pull_request.deletions,
                    "changed_files": pull_request.changed_files,
                    "commits": pull_request.commits,
                },
            )
            parameters = self.serving.settings.feature_parameters("pull_requests")
            return self._connection.execute(query, parameters).pl().row(0, named=True)

    def _review(self, task_id: str, action: str, pull_request: _PullRequest, review: _Review | None) -> WebhookAnswer:
        if action != "submitted" or review is None or review.submitted_at is None:
            return WebhookAnswer(status="ignored", why="only submitted reviews decide")
        passed = _STATES.get(review.state.lower())
        if passed is None:
            return WebhookAnswer(status="ignored", why=f"a review that is {review.state} does not decide")
        author = pull_request.user.login if pull_request.user else None
        if review.user is None or review.user.login == author or self._is_bot(review.user):
            return WebhookAnswer(status="ignored", why="only another person's review decides")
        return self._outcome(task_id, f"review:{review.id}", passed, review.submitted_at)

    def _closing(
        self, forge: str, repository: _Repository, action: str, issue: _Issue, sender: _Account | None
    ) -> WebhookAnswer:
        """Why an issue was closed and by whom: features/issues.sql reads it where the source does not say."""
        if action != "closed" or issue.closed_at is None:
            return WebhookAnswer(status="ignored", why=f"nothing is done when an issue is {action}")
        repo_id, number = self.serving.ready().place(repository.name_at(forge), issue.number, repository.id)
        if not repo_id:
            return WebhookAnswer(status="ignored", why=f"nobody knows the repository {repository.full_name} by its id")
        document = {
            "task_id": f"{qualified(forge, repository.full_name)}#{issue.number}",
            "repo_id": repo_id,
            "number": number,
            "closed_at": issue.closed_at.isoformat(),
            "state_reason": issue.state_reason if issue.state_reason in _REASONS else None,
            "closed_by_id": sender and sender.id and id_beside(repo_id, sender.id),
            "closed_by_login": sender and sender.login,
            "closed_by_is_bot": sender and self._is_bot(sender),
        }
        key = f"{repo_id}:{number}:{document['closed_at']}"
        known = self.serving.journal.write("closing", document, written_at=instant(), key=key)
        return WebhookAnswer(status="recorded" if known is None else "known")

    def _outcome(self, task_id: str, event: str, passed: bool, decided_at: datetime) -> WebhookAnswer:
        document = {
            "task_id": task_id,
            "event": event,
            "passed": passed,
            "decided_at": decided_at.isoformat(),
        }
        known = self.serving.journal.write("outcome", document, written_at=instant(), key=f"{task_id}:{event}")
        return WebhookAnswer(status="recorded" if known is None else "known")

    def _is_landed(self, pull_request: _PullRequest, sender: _Account | None) -> bool:
        """Whether a closed pull request says that it landed, and somebody else than its author closed it."""
        author = pull_request.user.login if pull_request.user else None
        if sender is None or sender.login == author:
            return False
        return self._tells("is_landed", {"title": pull_request.title})

    def _is_bot(self, account: _Account) -> bool:
        machines = self.serving.settings.machine_parameters["machines"]
        return self._tells("is_bot", {"login": account.login, "account_type": account.type, "machines": machines})

    def _tells(self, section: str, parameters: dict[str, Any]) -> bool:
        with self._one_at_a_time:
            answer = self._connection.execute(sql_sections(_SQL)[section], parameters).fetchone()
        return bool(answer and answer[0])
