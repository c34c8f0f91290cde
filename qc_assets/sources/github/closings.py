"""Who closed a pull request or an issue last, and with what, from its timeline."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_WITH = {"Commit": "commit", "PullRequest": "pull_request", "ProjectV2": "project"}
BY_MACHINE = "CASE WHEN closed_with IS NOT NULL THEN is_bot(closed_by_login, closed_by_type) END"


def closing(
    item: Mapping[str, Any], events: Sequence[Mapping[str, Any]], account: Callable[[Any], Mapping[str, Any]]
) -> dict[str, Any]:
    """Columns of the last closing; NULL while the item is open, or where its timeline does not show the closing.

    Args:
        item: of the fragments PullRequest and Issue.
        events: its timeline, by time.
        account: columns of an author, of an actor.
    """
    closings = [event for event in events if event["__typename"] == "ClosedEvent"]
    if item["closedAt"] is None or not closings:
        return dict.fromkeys(("closed_by_id", "closed_by_login", "closed_by_type", "closed_with"))
    by = account(closings[-1]["actor"])
    return {
        "closed_by_id": by["author_id"],
        "closed_by_login": by["author_login"],
        "closed_by_type": by["author_type"],
        "closed_with": None
        if "ClosedEvent.closer" in item.get("lost", ())
        else _WITH.get(str((closings[-1]["closer"] or {}).get("__typename")), "nothing"),
    }


def title_at_closing(item: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str | None:
    """The title that an item had when it was last closed; None while it is open, or where the timeline was lost."""
    if item["closedAt"] is None or {"timelineItems", "RenamedTitleEvent", "ClosedEvent"} & set(item.get("lost", ())):
        return None
    # By its place in the timeline: a merge bot renames and closes within the second that instants are told in.
    last = max((place for place, event in enumerate(events) if event["__typename"] == "ClosedEvent"), default=None)
    renamed = [event for event in events[(last or 0) :] if event["__typename"] == "RenamedTitleEvent"]
    later = [event for event in renamed if last is not None or event["createdAt"] > item["closedAt"]]
    return str(later[0]["previousTitle"] if later else item["title"])
