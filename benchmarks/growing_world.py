"""The fake GitHub as it was at any moment: what was opened, said and decided until then, and nothing of what came."""

from datetime import datetime
from typing import Any

from qc_assets.sources.fake.fake_world import Node, World, stamp

_ITEM_LISTS = ("_pullRequests", "_issues")


def world_until(whole: World, moment: datetime) -> World:
    """A world cut off at `moment`; the pushes of a pull request are there from its opening on."""
    until = stamp(moment)
    world = World(nodes=dict(whole.nodes), _next=whole._next)
    copies: dict[int, Node] = {}
    for name, repo in whole.repos.items():
        if id(repo) not in copies:
            copies[id(repo)] = _repository_until(repo, until, world)
        world.repos[name] = copies[id(repo)]
    return world


def _repository_until(repo: Node, until: str, world: World) -> Node:
    history = [commit for commit in repo["_main"]["_history"] if commit["committedDate"] <= until]
    copy = repo | {"_main": repo["_main"] | {"_history": history}, "pushedAt": min(repo["pushedAt"], until)}
    for kind in _ITEM_LISTS:
        copy[kind] = []
        for item in repo[kind]:
            if item["createdAt"] > until:
                del world.nodes[item["id"]]
                continue
            shown = _item_until(item, until) | {"repository": copy}
            if "baseRef" in shown:
                shown["baseRef"] = shown["baseRef"] | {"target": copy["_main"]}
            copy[kind].append(shown)
            world.nodes[item["id"]] = shown
    return copy


def _item_until(item: Node, until: str) -> Node:
    later = [event for event in item["_timelineItems"] if event["createdAt"] > until]
    edits = [edit for edit in item["_userContentEdits"] if edit["editedAt"] <= until]
    shown: Node = item | {
        "_timelineItems": [event for event in item["_timelineItems"] if event["createdAt"] <= until],
        "_comments": [comment for comment in item["_comments"] if comment["createdAt"] <= until],
    }
    if item["_userContentEdits"]:
        shown["body"] = max(edits, key=lambda edit: edit["editedAt"])["diff"]
        shown["_userContentEdits"] = edits if len(edits) > 1 else []
        shown["lastEditedAt"] = max(edit["editedAt"] for edit in edits) if len(edits) > 1 else None
    if (item["closedAt"] or "") > until:
        shown |= {"closedAt": None, "state": "OPEN"}
        shown |= {name: None for name in ("mergedAt", "mergedBy", "stateReason") if name in item}
    for event in sorted(later, key=lambda event: event["createdAt"], reverse=True):
        _take_back(shown, event)
    if "_reviews" in item:
        shown["_reviews"] = [
            _review_until(review, later) for review in item["_reviews"] if review["submittedAt"] <= until
        ]
        threads = [_thread_until(thread, until) for thread in item["_reviewThreads"]]
        shown["_reviewThreads"] = [thread for thread in threads if thread["_comments"]]
    shown["updatedAt"] = _last_change(shown, until)
    return shown


def _take_back(item: Node, event: Node) -> None:
    """Undo what an event of later did to an item."""
    match event["__typename"]:
        case "RenamedTitleEvent":
            item["title"] = event["previousTitle"]
        case "ReadyForReviewEvent":
            item["isDraft"] = True
        case "LabeledEvent":
            item["_labels"] = [label for label in item["_labels"] if label is not event["label"]]


def _review_until(review: Node, later: list[Node]) -> Node:
    for event in later:
        if event["__typename"] == "ReviewDismissedEvent" and event["review"] is review:
            return review | {"state": event["previousReviewState"]}
    return review


def _thread_until(thread: Node, until: str) -> Node:
    return thread | {"_comments": [comment for comment in thread["_comments"] if comment["createdAt"] <= until]}


def _last_change(item: Node, until: str) -> str:
    if item["updatedAt"] <= until:
        return str(item["updatedAt"])
    moments: list[Any] = [item["createdAt"], item["closedAt"], item["lastEditedAt"]]
    moments += [event["createdAt"] for event in item["_timelineItems"]]
    moments += [comment["createdAt"] for comment in item["_comments"]]
    moments += [review["submittedAt"] for review in item.get("_reviews", ())]
    moments += [comment["createdAt"] for thread in item.get("_reviewThreads", ()) for comment in thread["_comments"]]
    return str(max(moment for moment in moments if moment))
