"""What is read of GitHub's deliveries, in either of the two forms that GitHub sends; it sends much more."""

import json
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qs

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from qc_assets.forges import forge_at
from qc_assets.serving.schemas import Instant, TrueNumbers


class _Payload(TrueNumbers):
    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, document: Any) -> Any:
        if isinstance(document, dict):
            # NUL in a text is U+FFFD, as in what the sources tell (store/merge.py).
            return {
                name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
                for name, value in document.items()
                if value is not None
            }
        return document


class Account(_Payload):
    """Somebody; the id is theirs, the login may be somebody else's tomorrow."""

    id: int | None = Field(None, gt=0, lt=2**40)
    login: str = Field(min_length=1, max_length=300)
    type: str = "User"

    def is_same(self, other: "Account | None") -> bool:
        """Whether two are one: by their ids, and where one has none, by logins, whose letter case means nothing."""
        if other is None:
            return False
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return self.login.casefold() == other.login.casefold()


class _Named(_Payload):
    name: str = ""


class Repository(_Payload):
    """Where it happened."""

    id: int | None = Field(None, gt=0, lt=2**40)
    full_name: str = Field(min_length=3, max_length=300, pattern=r"^[^/\s#\x00-\x1f\x7f]+/[^/\s#\x00-\x1f\x7f]+$")
    html_url: str = Field("", max_length=1_000)

    @field_validator("html_url")
    @classmethod
    def _leads_somewhere(cls, value: str) -> str:
        if value.startswith("http"):  # of others no forge is read
            forge_at(value)
        return value

    def forge(self, other: str) -> str:
        """The forge that sent it, by its page; `other` if it does not say."""
        return forge_at(self.html_url) if self.html_url.startswith("http") else other

    def name_at(self, other: str) -> str:
        """Its name, after its forge's if it says that."""
        return f"{self.forge(other)}/{self.full_name}" if self.html_url else self.full_name


class _Numbered(_Payload):
    id: int | None = Field(None, gt=0, lt=2**40)


class Branch(_Payload):
    """A branch, its newest commit, and the repository that it is in, which is absent where a fork is gone."""

    ref: Annotated[str, Field(max_length=1_000)] = ""
    sha: Annotated[str, Field(max_length=64)] = ""
    repo: _Numbered | None = None


class PullRequest(_Payload):
    """A pull request as it is at the delivery."""

    number: int = Field(gt=0, lt=2**62)
    user: Account | None = None
    title: str = ""
    body: str = ""
    draft: bool = False
    additions: int | None = Field(None, ge=0, lt=2**62)
    deletions: int | None = Field(None, ge=0, lt=2**62)
    changed_files: int | None = Field(None, ge=0, lt=2**62)
    commits: int | None = Field(None, ge=0, lt=2**62)
    author_association: str | None = None
    labels: list[_Named] = Field(default_factory=list)
    requested_reviewers: list[Account] = Field(default_factory=list)
    requested_teams: list[_Named] = Field(default_factory=list)
    assignees: list[Account] = Field(default_factory=list)
    base: Branch = Branch()
    head: Branch = Branch()
    created_at: Instant
    updated_at: Instant
    closed_at: Instant | None = None
    merged_at: Instant | None = None

    def label_names(self) -> list[str]:
        """Names of its labels, each once."""
        return list(dict.fromkeys(label.name for label in self.labels if label.name))

    def base_ref(self) -> str | None:
        """The branch that it is to go into."""
        return self.base.ref or None

    def is_from_fork(self) -> bool | None:
        """Whether its branch is in another repository; None where one of the two is not shown."""
        ids = [end.repo.id if end.repo else None for end in (self.base, self.head)]
        return None if None in ids else ids[0] != ids[1]

    def reviewer_names(self) -> list[str]:
        """Logins of who is asked for a review, and names of teams."""
        people = [account.login for account in self.requested_reviewers]
        return [*people, *(f"team {team.name}" for team in self.requested_teams)]


class Review(_Payload):
    """A review, or what was done to it."""

    id: int
    state: str
    user: Account | None = None
    submitted_at: Instant | None = None


class Issue(_Payload):
    """An issue as it was closed."""

    number: int = Field(gt=0, lt=2**62)
    closed_at: Instant | None = None
    state_reason: str | None = None


class Event(_Payload):
    """What is read of a delivery; GitHub sends much more."""

    action: str = ""
    repository: Repository | None = None
    pull_request: PullRequest | None = None
    review: Review | None = None
    issue: Issue | None = None
    sender: Account | None = None

    def happened_at(self) -> datetime | None:
        """When, as far as the payload says."""
        if self.review is not None and self.review.submitted_at is not None:
            return self.review.submitted_at
        if self.issue is not None:
            return self.issue.closed_at
        if self.pull_request is None:
            return None
        return max(self.pull_request.updated_at, self.pull_request.created_at)


def payload_of(content_type: str, body: bytes) -> bytes:
    """The JSON of a delivery: the body itself, or the field ``payload`` of a form, GitHub's default.

    Raises:
        ValueError: if a form has no such field, or several.
    """
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return body
    values = parse_qs(body.decode("ascii", "replace"), max_num_fields=100).get("payload", [])
    if len(values) != 1:
        raise ValueError("a form-encoded delivery has one field payload, which is its JSON")
    return values[0].encode("utf-8", "replace")


def read_event(payload: bytes) -> Event:
    """The event that a delivery is about.

    Half characters, which JSON may hold and no database, become question marks; a byte-order mark is no part of it.

    Raises:
        ValidationError: if it is no such event.
    """
    try:
        return Event.model_validate_json(payload)
    except ValidationError:
        try:
            text = json.dumps(json.loads(payload), ensure_ascii=False)
        except (ValueError, RecursionError):
            text = ""
        if not text:
            raise
        return Event.model_validate_json(text.encode("utf-8", "replace"))
