"""The branch of a pull request as it was before the first force push, which replaced the commits of the opening.

GitHub keeps the commit that a force push replaced, and shows its whole history. Which of that is the pull request's
own is what the base branch does not have. The base branch is read in windows by date, newest first, only as far as
telling the two apart needs it: one window does unless the branch was old.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qc_assets.clock import parse_instant
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.item_parts import timeline_of
from qc_assets.sources.github.query import Part
from qc_assets.store.dead_letters import DeadLetter

# A commit's lines are counted by GitHub when they are asked for.
_PER_REQUEST = 10
_WINDOWS = 8
_WINDOW = 100  # as in base_branch.graphql

Item = dict[str, Any]


@dataclass
class _Search:
    """Where the branch of an item ends and its base begins.

    Attributes:
        commits: the branch and what it stands on, newest first.
        base: commits of the base branch, as far as they were read.
        since: the base branch is read from here on (ISO, empty: from its beginning); None before it was read at all.
    """

    item: Item
    commits: Sequence[dict[str, Any]]
    base: set[str] = field(default_factory=set)
    since: str | None = None
    windows: int = 0

    def next_window(self) -> str | None:
        """Up to when the base branch must be read further (ISO), or None if that would tell nothing."""
        if self.since is None:
            return str(self.item["createdAt"])
        for commit in self.commits:
            if commit["oid"] in self.base:
                return None
            if commit["committedDate"] < self.since:
                return None if self.windows >= _WINDOWS else str(commit["committedDate"])
        return None

    def take(self, window: Sequence[dict[str, Any]]) -> None:
        self.windows += 1
        # What is still in the pull request is its own, even if the base has it by now.
        present = {node["commit"]["oid"] for node in self.item["commits"]["nodes"] or () if node}
        self.base |= {commit["oid"] for commit in window} - present
        self.since = str(window[-1]["committedDate"]) if len(window) == _WINDOW else ""

    def own(self) -> list[dict[str, Any]] | None:
        """The pull request's own commits, newest first; None if the base was not reached.

        Below the first commit of the base only a merge of it can have left some.
        """
        is_base = [commit["oid"] in self.base for commit in self.commits]
        if True not in is_base or self.since is None:
            return None
        first = is_base.index(True)
        return [
            commit
            for n, commit in enumerate(self.commits)
            if not is_base[n] and (n < first or commit["committedDate"] >= self.since)
        ]


def add_opened_branches(
    client: Client, items: Sequence[Item], save: Callable[[Sequence[Item]], None]
) -> list[DeadLetter]:
    """Give items that were force-pushed a list ``openedBranch`` of the commits of before; None where it is unknown.

    Args:
        client: who asks.
        items: completed items of the fragments PullRequest and Issue.
        save: called with the items that were given one.

    Returns:
        What GitHub would not answer.
    """
    letters: list[DeadLetter] = []
    due = {
        item["id"]: item
        for item in items
        if "openedBranch" not in item and timeline_of(item, "HeadRefForcePushedEvent")
    }
    searches = []
    for item, data in _ask(client, [(item, Part("head_branch", {"id": key})) for key, item in due.items()], letters):
        item["openedBranch"] = None
        commits = _replaced(data)
        if commits:
            searches.append(_Search(item, commits))
    waiting = {search.item["id"]: search for search in searches}
    while waiting:
        parts = [
            (search.item, Part("base_branch", {"id": key, "until": until}))
            for key, search in waiting.items()
            if (until := search.next_window()) is not None
        ]
        read = {item["id"]: _base(data) for item, data in _ask(client, parts, letters)}
        waiting = {key: search for key, search in waiting.items() if read.get(key)}
        for key, search in waiting.items():
            search.take(read[key])
    for search in searches:
        search.item["openedBranch"] = search.own()
    if due:
        save(list(due.values()))
    return letters


def _ask(client: Client, parts: Sequence[tuple[Item, Part]], letters: list[DeadLetter]) -> Iterator[tuple[Item, Any]]:
    """Ask for one part of each item, fewer at a time where GitHub gives up; None for what it will not answer."""
    width, queue = _PER_REQUEST, list(parts)
    while queue:
        batch, queue = queue[:width], queue[width:]
        try:
            answers = client.query([part for _, part in batch]).data
        except RequestError as error:
            if error.kind is not Kind.OVERLOADED and error.kind is not Kind.REFUSED:
                raise
            if len(batch) > 1:
                width, queue = max(1, len(batch) // 2), batch + queue
                continue
            letters.append(_letter(batch[0][0], error))
            answers = [None]
        yield from ((item, data) for (item, _), data in zip(batch, answers, strict=True))


def _replaced(data: Any) -> list[dict[str, Any]]:
    """The history of the commit that the first force push replaced, newest first."""
    (event, *_) = ((data or {}).get("timelineItems") or {}).get("nodes") or (None,)
    commit = (event or {}).get("beforeCommit") or {}
    return [node for node in (commit.get("history") or {}).get("nodes") or () if node]


def _base(data: Any) -> list[dict[str, Any]]:
    """A window of the base branch, newest first; nothing if the branch is gone."""
    target = (((data or {}).get("baseRef")) or {}).get("target") or {}
    return [node for node in (target.get("history") or {}).get("nodes") or () if node]


def _letter(item: Item, error: RequestError) -> DeadLetter:
    return DeadLetter(
        partition_date=parse_instant(item["updatedAt"]).date(),
        item=f"{item['repository']['nameWithOwner']}#{item['number']} opened branch",
        error_type=str(error.kind),
        reason=str(error),
        action="kept without it",
        endpoint=error.endpoint,
        status=error.status,
        tries=error.tries,
        repo_id=item["repository"]["databaseId"],
    )
