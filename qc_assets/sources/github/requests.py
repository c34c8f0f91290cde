"""Who was asked to review a pull request, when and by whom, from its timeline."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from qc_assets.clock import parse_instant

_ACTIONS = {"ReviewRequestedEvent": "requested", "ReviewRequestRemovedEvent": "removed"}


def requests_of(
    events: Sequence[Mapping[str, Any]], account: Callable[[Any], Mapping[str, Any]], lost: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Rows of raw.review_requests.

    Args:
        events: of a pull request, by time.
        account: columns of an author, of an actor.
        lost: what the server does not tell.
    """
    requests = []
    for event in events:
        action = _ACTIONS.get(event["__typename"])
        if action is None:
            continue
        # What an older server does not tell of it is empty, not somebody's deleted account.
        reviewer, is_told = event["requestedReviewer"], f"{event['__typename']}.requestedReviewer" not in lost
        is_team = reviewer is not None and reviewer["__typename"] == "Team"
        person = {} if is_team else account(reviewer)
        by = account(event["actor"])
        requests.append(
            {
                "reviewer_login": reviewer["combinedSlug"] if is_team else person["author_login"] if is_told else "",
                "reviewer_id": person.get("author_id"),
                "is_team": is_team,
                "action": action,
                "requested_by_id": by["author_id"],
                "requested_by_login": by["author_login"],
                "created_at": parse_instant(event["createdAt"]),
            }
        )
    return requests
