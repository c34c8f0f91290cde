"""The files that a pull request changed when it was opened, by comparing the commits of the opening with what they
stand on.

GraphQL tells the files of a pull request as it is now. Taking those where nothing was pushed later would be right, and
that they are known would tell a model that nothing was. So each is asked for in the same way, whatever came later: one
request of the REST API a pull request, and one of GraphQL for each twenty. That is why it is off unless wanted.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from qc_assets.clock import parse_instant
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.item_parts import MERGES
from qc_assets.sources.github.opening import opened_commits
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.state import State
from qc_assets.store.dead_letters import DeadLetter

MOST_FILES = 300
"""GitHub shows no more files of a comparison."""
LONGEST_PATH = 4096  # characters, as in serving
_PER_REQUEST = 20
_MOST_BYTES = 16 * 2**20  # with every patch
_CHANGES = ("added", "removed", "modified", "renamed", "copied", "changed")

Item = dict[str, Any]


def add_opened_files(
    client: Client, state: State, items: Sequence[Item], save: Callable[[Sequence[Item]], None]
) -> list[DeadLetter]:
    """Give pull requests a list ``openedFiles`` of path, change, additions and deletions; None where it is unknown.

    Args:
        client: who asks.
        state: remembers the files of those that were read before: an opening does not change.
        items: completed items with their opened branches.
        save: called after each request with the items that were given one.

    Returns:
        What GitHub would not answer.
    """
    letters: list[DeadLetter] = []
    due = [item for item in items if item["__typename"] == "PullRequest" and "openedFiles" not in item]
    ends: list[tuple[Item, str, str]] = []  # the first and the last commit of the opening
    for item in due:
        item["openedFiles"] = state.opened_files(item["id"])
        commits, _ = opened_commits(item)
        is_mixed = any((commit["messageHeadline"] or "").startswith(MERGES) for commit in commits)
        if item["openedFiles"] is None and commits and not is_mixed:
            ends.append((item, commits[0]["oid"], commits[-1]["oid"]))
    for start in range(0, len(ends), _PER_REQUEST):
        for (item, _, head), base in _below(client, ends[start : start + _PER_REQUEST], letters):
            item["openedFiles"] = _compared(client, item, base, head, letters)
            if item["openedFiles"] is not None:
                state.save_opened_files(item["id"], item["openedFiles"])
            save([item])
    return letters


def _below(
    client: Client, ends: Sequence[tuple[Item, str, str]], letters: list[DeadLetter]
) -> Iterator[tuple[tuple[Item, str, str], str]]:
    """Each with the commit that its first one stands on; those left out for which GitHub does not tell."""
    parts = []
    for item, first, _ in ends:
        owner, _, name = item["repository"]["nameWithOwner"].partition("/")
        parts.append(Part("parent", {"owner": owner, "name": name, "oid": first}))
    try:
        answers = client.query(parts).data
    except RequestError as error:
        if error.kind is not Kind.OVERLOADED and error.kind is not Kind.REFUSED:
            raise
        if len(ends) > 1:
            for end in ends:
                yield from _below(client, [end], letters)
            return
        letters.append(_letter(ends[0][0], str(error.kind), str(error), error))
        return
    for end, data in zip(ends, answers, strict=True):
        nodes = (((data or {}).get("object") or {}).get("parents") or {}).get("nodes") or ()
        if nodes and nodes[0]:
            yield end, str(nodes[0]["oid"])


def _compared(client: Client, item: Item, base: str, head: str, letters: list[DeadLetter]) -> list[Item] | None:
    path = f"/repos/{item['repository']['nameWithOwner']}/compare/{base}...{head}?per_page=1"
    try:
        text = client.text(path, "application/vnd.github+json", _MOST_BYTES)
    except RequestError as error:
        if error.kind is not Kind.OVERLOADED and error.kind is not Kind.REFUSED:
            raise
        letters.append(_letter(item, str(error.kind), str(error), error))
        return None
    if text is None:
        letters.append(_letter(item, "too_long", f"the comparison is longer than {_MOST_BYTES:,} bytes", None))
        return None
    try:
        return [_file(file) for file in json.loads(text)["files"][:MOST_FILES]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        letters.append(_letter(item, "odd_answer", f"the comparison makes no sense: {type(error).__name__}", None))
        return None


def _file(file: Mapping[str, Any]) -> Item:
    """A file as it is kept; a size that is no number is unknown."""
    sizes = {name: file.get(name) for name in ("additions", "deletions")}
    return {
        "path": str(file["filename"])[:LONGEST_PATH],
        "change": file.get("status") if file.get("status") in _CHANGES else "changed",
    } | {name: value if type(value) is int and 0 <= value < 2**63 else None for name, value in sizes.items()}


def _letter(item: Item, error_type: str, reason: str, error: RequestError | None) -> DeadLetter:
    return DeadLetter(
        partition_date=parse_instant(item["updatedAt"]).date(),
        item=f"{item['repository']['nameWithOwner']}#{item['number']} opened files",
        error_type=error_type,
        reason=reason,
        action="kept without them",
        endpoint=error.endpoint if error else "GET compare",
        status=error.status if error else 200,
        tries=error.tries if error else 1,
        repo_id=item["repository"]["databaseId"],
    )
