"""GitHub's webhook: p0 of a pull request when it is opened, and how it and issues end when they do."""

import threading
import time
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from qc_assets.clock import now_utc
from qc_assets.features.contract import Owner, contract_of
from qc_assets.forges import id_beside, qualified
from qc_assets.serving import journal_reader
from qc_assets.serving.deliveries import RECORDED, facts_of
from qc_assets.serving.github_payloads import Account, Event, Issue, PullRequest, Repository, Review
from qc_assets.serving.notes import Notes
from qc_assets.serving.predictions import ask_champion, instant, journal_documents
from qc_assets.serving.rows import Row
from qc_assets.serving.schemas import P0Answer, p0_fields
from qc_assets.serving.service import Serving
from qc_assets.store.migrations import bring_up_to_date
from qc_assets.store.schema import allowed_values, sql_sections

_SQL = "features/webhook"
EVENTS = ("pull_request", "pull_request_review", "issues")
_SIZES = {"additions", "deletions", "changed_files", "commits"}
_MEASURED, _OPENING = _SIZES | {"title", "body"}, _SIZES | {"author_association"}
_STATES = {"approved": True, "changes_requested": False}
_CLOCKS_DIFFER = timedelta(minutes=5)
_MOST_REMEMBERED = 10_000
_REASONS = allowed_values("ml.closings", "state_reason")


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
    why: Annotated[
        str | None, Field(description="Why a delivery was ignored, or what nobody knows of a predicted one.")
    ] = None
    prediction: P0Answer | None = None


def ignored(name: str) -> WebhookAnswer:
    """The answer to an event that says nothing of openings and outcomes."""
    return _passed_over(f"{name} is not about a pull request's opening, or how it or an issue ended")


def _passed_over(why: str) -> WebhookAnswer:
    return WebhookAnswer(status="ignored", why=why)


class Webhook:
    """Reads deliveries; texts and sizes are measured by the very SQL that training rows come from.

    Args:
        serving: who answers and writes down.
        notes: shows p0 on the pull requests of listed repositories; None shows nothing.
    """

    def __init__(self, serving: Serving, notes: Notes | None = None) -> None:
        self.serving = serving
        self.notes = notes
        self._scratch: duckdb.DuckDBPyConnection | None = None
        self._one_at_a_time = threading.Lock()
        # Also of a server that is running, whose journal only it may write.
        journal = serving.settings.journal_place
        is_there = journal_reader.exists(journal)
        entries = journal_reader.latest(journal, ["delivery"], _MOST_REMEMBERED) if is_there else []
        serving.delivered.remember(entry["document"] for entry in reversed(entries))
        serving.delivered_up_to = entries[0]["number"] if entries else 0

    def close(self) -> None:
        """Close the scratch database, if anything was measured."""
        if self._scratch is not None:
            self._scratch.close()

    def handle(self, name: str, delivery: str, content: str, event: Event) -> WebhookAnswer:
        """Answer one delivery whose signature is right.

        Args:
            name: of the event, as in ``X-GitHub-Event``.
            delivery: its identity, which the signature does not cover.
            content: SHA-256 of its payload: the same content is one delivery, whatever identity it comes with, and
                another is another.
            event: its payload.
        """
        pull_request, repository, happened_at = event.pull_request, event.repository, event.happened_at()
        if repository is None:
            return ignored(name)
        if happened_at is not None and happened_at > now_utc() + _CLOCKS_DIFFER:
            return _passed_over(f"it says that it happened in the future: {happened_at}")
        forge = repository.forge(self.serving.settings.forge)
        if name == "issues" and event.issue is not None:
            return self._closing(forge, repository, event.action, event.issue, event.sender)
        if name not in RECORDED or pull_request is None:
            return ignored(name)
        if event.action not in RECORDED[name]:
            return _passed_over(f"nothing is done when a {name.replace('_', ' ')} is {event.action}")
        task_id = f"{qualified(forge, repository.full_name)}#{pull_request.number}"
        entry = self._delivery(name, delivery, content, task_id, event)
        known = self.serving.journal.write("delivery", entry, written_at=instant(), key=content)
        self.serving.delivered.remember([known or entry])
        recorded = WebhookAnswer(status="recorded" if known is None else "known")
        if name == "pull_request_review":
            if event.action != "submitted":  # that it was dismissed later does not change what it said
                return recorded
            return self._review(entry, pull_request, event.review)
        if event.action == "closed" and pull_request.closed_at is not None:
            passed = pull_request.merged_at is not None or self._is_landed(pull_request, event.sender)
            return self._outcome(entry, f"closed:{pull_request.closed_at.isoformat()}", passed, pull_request.closed_at)
        if event.action == "reopened":  # undoes the closing
            at = entry["happened_at"]
            return self._outcome(entry, f"reopened:{at}", None, datetime.fromisoformat(at))
        if event.action == "synchronize" and self.notes is not None:
            self.notes.follow(forge, event)
        if event.action not in ("opened", "ready_for_review"):
            return recorded
        if pull_request.draft:
            return _passed_over("drafts are asked about when they are ready for review")
        if pull_request.user is None or entry["features"]["origin"] == "automation":
            return _passed_over("p0 is about what people and agents make, not automations")
        return self._predict(entry, content, event)

    def _delivery(self, name: str, delivery: str, content: str, task_id: str, event: Event) -> dict[str, Any]:
        """The journal entry of a delivery: who, where, what it showed, and that measured as a feature row is."""
        pull_request, repository = event.pull_request, event.repository
        assert pull_request is not None and repository is not None
        knowledge, author = self.serving.ready(), pull_request.user
        repo = repository.name_at(self.serving.settings.forge)
        repo_id, number = knowledge.place(repo, pull_request.number, repository.id)
        # A review's payload does not say the sizes.
        is_whole = name == "pull_request" and author is not None
        opened_at = pull_request.updated_at if event.action == "ready_for_review" else pull_request.created_at
        return {
            "delivery_id": delivery,
            "content": content,
            "event": name,
            "action": event.action,
            "task_id": task_id,
            "repo_id": repo_id,
            "number": number or pull_request.number,
            "author_id": author and knowledge.account(repo, author.id),
            "author_login": author and author.login,
            "sender_id": event.sender and knowledge.account(repo, event.sender.id),
            "happened_at": (event.happened_at() or pull_request.updated_at).isoformat(),
            "opened_at": opened_at.isoformat(),
            "facts": facts_of(event),
            "features": self._measure(pull_request, author, opened_at) if is_whole and author else None,
        }

    def _predict(self, entry: dict[str, Any], content: str, event: Event) -> WebhookAnswer:
        started = time.perf_counter()
        pull_request, repository = event.pull_request, event.repository
        assert pull_request is not None and repository is not None
        login, author_id = entry["author_login"], entry["author_id"]
        repo = repository.name_at(self.serving.settings.forge)
        opened_at = datetime.fromisoformat(entry["opened_at"])
        row = self._row(repo, repository.id, pull_request, login, author_id, entry["features"], opened_at)
        champion = self.serving.champions.of("p0")
        predictions = ask_champion(champion, [row])
        request: dict[str, Any] = {
            "task_id": entry["task_id"],
            "worker_id": login,
            "worker_account_id": author_id,
            "event": f"pull_request.{event.action}",
        }
        if event.action == "opened":  # facts that nobody will show again; features/pull_requests.sql reads them
            request["opening"] = pull_request.model_dump(include=_OPENING)
        document = journal_documents(predictions, [request])[0] | {
            "latency_ms": round((time.perf_counter() - started) * 1000, 3),
        }
        known = self.serving.journal.write("prediction", document, written_at=instant(), key=f"delivery:{content}")
        if self.notes is not None:
            forge = repository.forge(self.serving.settings.forge)
            self.notes.show(self.serving, predictions, forge, event, is_repeated=known is not None)
        why = None if author_id else f"GitHub sent no id of {login}: the history is that of whoever had the login last"
        return WebhookAnswer(status="predicted", why=why, prediction=P0Answer(**p0_fields(known or document)))

    def row_of(self, repo: str, pull_request: PullRequest) -> Row:
        """A pull request as it is shown now as a row for p0.

        Args:
            repo: ``owner/name``, before it ``HOST/`` if its forge is not the server's own.
            pull_request: of somebody who has an account.
        """
        author = pull_request.user
        assert author is not None
        features = self._measure(pull_request, author, pull_request.created_at)
        author_id = self.serving.ready().account(repo, author.id)
        return self._row(repo, None, pull_request, author.login, author_id, features, pull_request.created_at)

    def _row(
        self,
        repo: str,
        own_repo_id: int | None,
        pull_request: PullRequest,
        login: str,
        author_id: int | None,
        features: dict[str, Any],
        opened_at: datetime,
    ) -> Row:
        """What was measured of an opening, its texts, and the history of its author and repository."""
        knowledge = self.serving.ready()
        place = knowledge.place(repo, pull_request.number, own_repo_id)
        history = knowledge.history("pull_requests", repo, login, place[0], author_id, origin=features["origin"])
        features = features | {name: history[name] for name in contract_of("pull_requests").history}
        features |= {"opened_title": pull_request.title, "opened_body": pull_request.body}
        return Row(features, *place, opened_at, knowledge.as_of, "login" if author_id is None else "id")

    def _measure(self, pull_request: PullRequest, author: Account, opened_at: datetime) -> dict[str, Any]:
        sections = sql_sections(_SQL)
        query, is_bot = sql_sections("features/pull_requests")["rows"], self.is_bot(author)
        with self._one_at_a_time:
            connection = self._connection()
            connection.execute(sections["forget"])
            labels = {"labels": pull_request.label_names(), "opened_at": opened_at}
            connection.execute(sections["labels"], labels)
            connection.execute(
                sections["opening"],
                {
                    "author": author.login,
                    "author_is_bot": is_bot,
                    "head_ref": pull_request.head.ref or None,
                    "opened_at": opened_at,
                    "association": pull_request.author_association,
                    "base_ref": pull_request.base_ref(),
                    "is_from_fork": pull_request.is_from_fork(),
                    "reviewers": len(pull_request.reviewer_names()),
                    **pull_request.model_dump(include=_MEASURED),
                },
            )
            parameters = self.serving.settings.feature_parameters("pull_requests")
            measured = connection.execute(query, parameters).pl().row(0, named=True)
        columns = contract_of("pull_requests").columns
        return {name: measured[name] for name in columns if columns[name].owner is Owner.ITEM}

    def _review(self, entry: dict[str, Any], pull_request: PullRequest, review: Review | None) -> WebhookAnswer:
        if review is None or review.submitted_at is None:
            return _passed_over("only submitted reviews decide")
        passed = _STATES.get(review.state.lower())
        if passed is None:
            return _passed_over(f"a review that is {review.state} does not decide")
        if review.user is None or review.user.is_same(pull_request.user) or self.is_bot(review.user):
            return _passed_over("only another person's review decides")
        return self._outcome(entry, f"review:{review.id}", passed, review.submitted_at)

    def _closing(
        self, forge: str, repository: Repository, action: str, issue: Issue, sender: Account | None
    ) -> WebhookAnswer:
        """Why an issue was closed and by whom: features/issues.sql reads it where the source does not say."""
        if action != "closed" or issue.closed_at is None:
            return _passed_over(f"nothing is done when an issue is {action}")
        repo_id, number = self.serving.ready().place(repository.name_at(forge), issue.number, repository.id)
        if not repo_id:
            return _passed_over(f"nobody knows the repository {repository.full_name} by its id")
        document = {
            "task_id": f"{qualified(forge, repository.full_name)}#{issue.number}",
            "repo_id": repo_id,
            "number": number,
            "closed_at": issue.closed_at.isoformat(),
            "state_reason": issue.state_reason if issue.state_reason in _REASONS else None,
            "closed_by_id": sender and sender.id and id_beside(repo_id, sender.id),
            "closed_by_login": sender and sender.login,
            "closed_by_is_bot": sender and self.is_bot(sender),
        }
        key = f"{repo_id}:{number}:{document['closed_at']}"
        known = self.serving.journal.write("closing", document, written_at=instant(), key=key)
        return WebhookAnswer(status="recorded" if known is None else "known")

    def _outcome(self, entry: dict[str, Any], event: str, passed: bool | None, decided_at: datetime) -> WebhookAnswer:
        task_id, repo_id, number = (entry[name] for name in ("task_id", "repo_id", "number"))
        document = {"task_id": task_id, "repo_id": repo_id, "number": number, "event": event, "passed": passed}
        document["decided_at"] = decided_at.isoformat()
        key = journal_reader.outcome_key(task_id, repo_id, number) + event
        known = self.serving.journal.write("outcome", document, written_at=instant(), key=key)
        return WebhookAnswer(status="recorded" if known is None else "known")

    def _is_landed(self, pull_request: PullRequest, sender: Account | None) -> bool:
        """Whether a closed pull request says that it landed, and somebody else than its author closed it."""
        if sender is None or sender.is_same(pull_request.user):
            return False
        return self._tells("is_landed", {"title": pull_request.title})

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The scratch database, an empty warehouse, which takes a third of a second to make: by whoever comes first."""
        if self._scratch is None:
            self._scratch = self.serving.store.scratch()
            bring_up_to_date(self._scratch, self.serving.store.place)
        return self._scratch

    def is_bot(self, account: Account) -> bool:
        """Whether an account is a program's."""
        machines = self.serving.settings.machine_parameters["machines"]
        return self._tells("is_bot", {"login": account.login, "account_type": account.type, "machines": machines})

    def _tells(self, section: str, parameters: dict[str, Any]) -> bool:
        with self._one_at_a_time:
            answer = self._connection().execute(sql_sections(_SQL)[section], parameters).fetchone()
        return bool(answer and answer[0])
