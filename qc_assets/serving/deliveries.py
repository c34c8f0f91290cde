"""What deliveries said of pull requests: facts of their openings for training, and their present state for serving."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qc_assets.serving.github_payloads import Event

RECORDED = {
    "pull_request": (
        *("opened", "ready_for_review", "converted_to_draft", "synchronize", "edited", "labeled", "unlabeled"),
        *("review_requested", "review_request_removed", "closed", "reopened"),
    ),
    "pull_request_review": ("submitted", "edited", "dismissed"),
}
"""Actions whose deliveries are facts, by event."""
_FACTS = {
    *("title", "body", "draft", "additions", "deletions", "changed_files", "commits", "author_association"),
    *("created_at", "updated_at", "closed_at", "merged_at"),
}
_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Delivered:
    """A pull request as the last delivery showed it.

    Attributes:
        author_id: the account's id in the warehouse; None if only the login is known.
        author: login, in lower case.
        opened_at: when it was opened, or became ready.
        features: of the item itself, measured by the feature table's SQL.
        is_draft, closed_at: its state.
        seen_at: when it was so; older deliveries change nothing.
    """

    author_id: int | None
    author: str
    opened_at: datetime
    features: Mapping[str, Any]
    is_draft: bool
    closed_at: datetime | None
    seen_at: datetime


class DeliveredItems:
    """The pull requests that deliveries were about, by repository and number; the oldest are forgotten."""

    def __init__(self) -> None:
        self._items: dict[tuple[int, int], Delivered] = {}

    def of(self, repo_id: int, number: int) -> Delivered | None:
        """What is known of one, or None."""
        return self._items.get((repo_id, number))

    def remember(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take note of journal entries of the kind delivery."""
        for document in documents:
            if document["features"] is None or not document["repo_id"]:
                continue
            key, facts = (document["repo_id"], document["number"]), document["facts"]
            known, seen_at = self._items.get(key), datetime.fromisoformat(facts["updated_at"])
            if known is not None and seen_at < known.seen_at:
                continue
            self._items.pop(key, None)
            self._items[key] = Delivered(
                author_id=document["author_id"],
                author=(document["author_login"] or "").lower(),
                opened_at=datetime.fromisoformat(document["opened_at"]),
                features=document["features"],
                is_draft=facts["draft"],
                closed_at=facts["closed_at"] and datetime.fromisoformat(facts["closed_at"]),
                seen_at=seen_at,
            )
        while len(self._items) > _MOST:
            del self._items[next(iter(self._items))]


def facts_of(event: Event) -> dict[str, Any]:
    """What a delivery shows of its pull request and of the review, as JSON has it."""
    assert event.pull_request is not None
    facts = event.pull_request.model_dump(mode="json", include=_FACTS)
    facts["labels"] = event.pull_request.label_names()
    facts["head_ref"] = event.pull_request.head.ref or None
    facts["assignees"] = [account.login for account in event.pull_request.assignees]
    facts["reviewers"] = event.pull_request.reviewer_names()
    facts["base_ref"], facts["is_from_fork"] = event.pull_request.base_ref(), event.pull_request.is_from_fork()
    if event.review is not None:
        facts["review"] = event.review.model_dump(mode="json")
    return facts
