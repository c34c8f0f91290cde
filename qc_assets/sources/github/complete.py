"""Completing what hangs on pull requests and issues: connections that did not fit on the first page.

Each continuation has its own cursor, so many go into one request under aliases. Nothing is taken for whole before the
distinct nodes fetched equal the count that GitHub gives; what stays short is named in the item's ``lost``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from qc_assets.clock import parse_instant
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.item_parts import CONNECTIONS
from qc_assets.sources.github.query import Part
from qc_assets.store.dead_letters import DeadLetter

_PER_REQUEST = 20
_PAGE = 100
# A thread brings a page of comments of its own.
_PAGE_OF = {"reviewThreads": 60}

Item = dict[str, Any]


@dataclass
class _Task:
    """The next page of one connection. `holder` is the item, or the thread whose comments are wanted."""

    item: Item
    holder: dict[str, Any]
    connection: str
    operation: str
    first: int = 0
    again: bool = False
    tries: int = 0
    error: RequestError | None = field(default=None, repr=False)

    def part(self) -> Part:
        connection = self.holder.get(self.connection) or {}
        nodes = connection.get("nodes")
        after = (connection.get("pageInfo") or {}).get("endCursor") if nodes else None
        total = connection.get("totalCount")
        missing = total - len(nodes) if total is not None and nodes is not None else _PAGE
        first = min(self.first or _PAGE_OF.get(self.operation, _PAGE), max(missing, 1))
        return Part(self.operation, {"id": self.holder["id"], "first": first, "after": after})

    def take(self, page: dict[str, Any]) -> bool:
        """Append a page; whether it brought anything new."""
        connection = self.holder.get(self.connection)
        if not connection or connection.get("nodes") is None:
            self.holder[self.connection] = page
            return True
        before = len(connection["nodes"])
        known = {node["id"] for node in connection["nodes"] if node}
        connection["nodes"] += [node for node in page["nodes"] or () if node and node["id"] not in known]
        connection["totalCount"] = page["totalCount"]
        moved = page["pageInfo"]["endCursor"] != connection["pageInfo"]["endCursor"]
        connection["pageInfo"] = page["pageInfo"]
        return moved or len(connection["nodes"]) > before


def complete(client: Client, items: Sequence[Item], save: Callable[[Sequence[Item]], None]) -> list[DeadLetter]:
    """Fetch all that `items` lack, into them.

    Args:
        client: who asks.
        items: items of the fragments PullRequest and Issue.
        save: called after each request with the items that it completed further.

    Returns:
        What could not be completed. The item's ``lost`` names the connections.
    """
    letters: list[DeadLetter] = []
    scheduled: set[str] = set()  # threads whose comments are on their way
    tasks = [task for item in items for task in _tasks(item, scheduled)]
    width = _PER_REQUEST
    while tasks:
        batch, tasks = tasks[:width], tasks[width:]
        try:
            reply = client.query([task.part() for task in batch])
        except RequestError as error:
            if error.kind is not Kind.OVERLOADED and error.kind is not Kind.REFUSED:
                raise
            if len(batch) > 1:
                width = max(1, len(batch) // 2)
                tasks = batch + tasks
            else:
                tasks = _smaller(batch[0], error, letters) + tasks
            continue
        width = min(_PER_REQUEST, width + 1)
        for task, data in zip(batch, reply.data, strict=True):
            page = (data or {}).get(task.connection)
            task.tries += 1
            if page is None or not task.take(page):
                _lose(task, letters, "GitHub gives no further page of it")
            else:
                tasks += _next(task, letters, scheduled)
        save(list({id(task.item): task.item for task in batch}.values()))
    return letters


def _tasks(item: Item, scheduled: set[str]) -> Iterator[_Task]:
    for connection in CONNECTIONS[item["__typename"]]:
        if connection in item.get("lost", ()):
            continue
        if _is_short(item, connection):
            yield _Task(item, item, connection, connection)
        if connection == "reviewThreads":
            yield from _thread_tasks(item, (item.get(connection) or {}).get("nodes") or (), scheduled)


def _thread_tasks(item: Item, threads: Sequence[dict[str, Any]], scheduled: set[str]) -> Iterator[_Task]:
    for thread in threads:
        if thread and thread["id"] not in scheduled and _is_short(thread, "comments"):
            scheduled.add(thread["id"])
            yield _Task(item, thread, "comments", "threadComments")


def _is_short(holder: dict[str, Any], connection: str) -> bool:
    page = holder.get(connection)
    if page is None or page.get("nodes") is None:
        return True
    if page["pageInfo"]["hasNextPage"]:
        return True
    return len({node["id"] for node in page["nodes"] if node and "id" in node}) < _expected(page, connection)


def _expected(page: dict[str, Any], connection: str) -> int:
    # A timeline's count is documented to be of all events; the filtered one is of those that were asked for.
    counts = [page["totalCount"]] + ([page["filteredCount"]] if page.get("filteredCount") is not None else [])
    return min(counts) if connection == "timelineItems" else int(counts[0])


def _next(task: _Task, letters: list[DeadLetter], scheduled: set[str]) -> list[_Task]:
    """What is still to be done for the task's connection."""
    connection = task.holder[task.connection]
    more: list[_Task] = []
    if task.operation == "reviewThreads":
        more = list(_thread_tasks(task.item, connection["nodes"], scheduled))
    if not _is_short(task.holder, task.connection):
        return more
    if connection["pageInfo"]["hasNextPage"]:
        return [task, *more]
    if not task.again:  # something was added or removed between two pages: read the connection anew, once
        if task.operation == "reviewThreads":
            scheduled -= {thread["id"] for thread in connection["nodes"] if thread}
        task.holder[task.connection] = None
        task.again = True
        return [task, *more]
    have = len(connection["nodes"])
    _lose(task, letters, f"GitHub counts {connection['totalCount']}, and gives {have}")
    return more


def _smaller(task: _Task, error: RequestError, letters: list[DeadLetter]) -> list[_Task]:
    first = int(task.part().variables["first"])
    task.error = error
    task.tries += 1
    if error.kind is Kind.REFUSED or first <= 1:
        _lose(task, letters, str(error))
        return []
    task.first = max(1, first // 2)
    return [task]


def _lose(task: _Task, letters: list[DeadLetter], reason: str) -> None:
    lost = task.item.setdefault("lost", [])
    if task.operation not in lost:
        lost.append(task.operation)
    if task.holder.get(task.connection) is None:
        task.holder[task.connection] = {"totalCount": None, "nodes": [], "pageInfo": {"hasNextPage": False}}
    letters.append(_letter(task, reason))


def _letter(task: _Task, reason: str) -> DeadLetter:
    """A connection that could not be read to its end."""
    item, error = task.item, task.error
    return DeadLetter(
        partition_date=parse_instant(item["updatedAt"]).date(),
        item=f"{item['repository']['nameWithOwner']}#{item['number']} {task.operation}",
        error_type=str(error.kind) if error else "incomplete",
        reason=reason,
        action="kept without it",
        endpoint=error.endpoint if error else None,
        status=error.status if error else None,
        tries=error.tries if error else None,
        repo_id=item["repository"]["databaseId"],
    )
