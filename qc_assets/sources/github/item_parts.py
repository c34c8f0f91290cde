"""What is read out of an item's answer: its connections' nodes, its timeline, its texts."""

from collections.abc import Mapping
from typing import Any

from qc_assets.clock import parse_instant

CONNECTIONS = {
    "PullRequest": ("labels", "commits", "reviews", "reviewThreads", "comments", "timelineItems"),
    "Issue": ("labels", "assignees", "comments", "timelineItems"),
}
"""What hangs on an item, by its kind."""

MERGES = ("Merge branch ", "Merge remote-tracking branch ", "Merge pull request ", "Merge commit ", "Merge tag ")
"""How the headlines of commits begin that merge other people's lines into a branch."""


def nodes_of(item: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The nodes of a connection, each once; a connection that could not be read has none."""
    nodes = (item.get(name) or {}).get("nodes") or ()
    return list({node["id"]: node for node in nodes if node}.values())


def timeline_of(item: Mapping[str, Any], *kinds: str) -> list[Mapping[str, Any]]:
    """The events of an item in order of time; with `kinds`, only those of these types."""
    events = [event for event in nodes_of(item, "timelineItems") if "createdAt" in event]
    chosen = [event for event in events if not kinds or event["__typename"] in kinds]
    return sorted(chosen, key=lambda event: event["createdAt"])


def is_sound(item: Any) -> bool:
    """Whether something is an item of the fragments PullRequest or Issue, as far as it is asked about further."""
    try:
        parse_instant(item["updatedAt"])
        repo = item["repository"]
        named = (item["__typename"], item["id"], repo["nameWithOwner"])
        connections = [item.get(name) for name in CONNECTIONS[item["__typename"]]]
        threads = (item.get("reviewThreads") or {}).get("nodes") or ()
        connections += [thread["comments"] for thread in threads if thread]
        return (
            all(isinstance(text, str) for text in named)
            and type(repo["databaseId"]) is int
            and type(item["number"]) is int
            and all(connection is None or _is_connection(connection) for connection in connections)
        )
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
        return False


def _is_connection(connection: Mapping[str, Any]) -> bool:
    nodes = connection["nodes"]
    return (
        type(connection["totalCount"]) is int
        and isinstance(connection["pageInfo"], Mapping)
        and (nodes is None or isinstance(nodes, list))
        and all(node is None or isinstance(node.get("id"), str | None) for node in nodes or () if node)
    )
