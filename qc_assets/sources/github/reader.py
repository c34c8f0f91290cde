"""Reading one unit of work: all pull requests, or all issues, of some repositories last updated in some window."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from qc_assets.clock import Clock, parse_instant
from qc_assets.sources.github.answers import Answer, Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.complete import Item, complete
from qc_assets.sources.github.item_parts import is_sound
from qc_assets.sources.github.opened_branch import add_opened_branches
from qc_assets.sources.github.opened_files import add_opened_files
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.state import State, UnitSteps
from qc_assets.store.dead_letters import DeadLetter

CLEAN_PAGES_TO_GROW = 20
_OPERATIONS = {"pr": "pull_requests", "issue": "issues"}
_LISTING_PAGE = 100
_WHOLE_PER_REQUEST = 10
_ROUNDS = 3
_FINAL = ("FORBIDDEN", "NOT_FOUND", "INSUFFICIENT_SCOPES", "UNPROCESSABLE")


@dataclass(frozen=True)
class Unit:
    """One search.

    Attributes:
        key: names it within its plan.
        kind: ``pr`` or ``issue``.
        repos: canonical names by repository id.
        start, end: first and last second of the last update (naive UTC), both included.
        expected: how many items the count found.
    """

    key: str
    kind: str
    repos: Mapping[int, str]
    start: datetime
    end: datetime
    expected: int

    def query(self) -> str:
        names = " ".join(f"repo:{name}" for name in self.repos.values())
        return f"{names} is:{self.kind} {updated(self.start, self.end)} sort:created-asc"


def updated(start: datetime, end: datetime) -> str:
    """The search qualifier for a last update within [start, end]."""
    return f"updated:{start:%Y-%m-%dT%H:%M:%SZ}..{end:%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Harvest:
    """What a unit gave: whole items by repository id and number, each with the instant of its reading."""

    items: dict[tuple[int, int], tuple[Item, datetime]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    short: int = 0  # items that the search counts and that could neither be read nor named


class Reader:
    """Reads units, remembering every answer so that a reading that is killed goes on where it was.

    Args:
        client: who asks.
        state: where answers and page sizes are remembered.
        clock: tells the time of each reading.
        page: pull requests a page to begin with; issues, having less on them, come twice as many.
        read: called with the number of items of each answer.
        files: whether the files of openings are read, too.
    """

    def __init__(
        self,
        client: Client,
        state: State,
        clock: Clock,
        *,
        page: int,
        read: Callable[[int], None] = lambda n: None,
        files: bool = False,
    ) -> None:
        self.client = client
        self.state = state
        self.clock = clock
        self.page = page
        self.read = read
        self.files = files

    def harvest(self, plan: str, unit: Unit) -> Harvest:
        """Read a unit to the end.

        Raises:
            RequestError: if GitHub cannot be reached or refuses the search.
        """
        harvest = Harvest()
        memory = UnitSteps(self.state, plan, unit.key)
        position: dict[str, Any] = {"cursor": None, "count": unit.expected, "more": True, "moved": False}
        for step in memory.replay():
            self._take(harvest, step)
            position = step.get("position") or position
        while position["more"]:
            step = self._page(unit, position, len(harvest.items))
            step["position"]["moved"] |= position["cursor"] is not None and (
                position["moved"] or step["position"]["count"] != position["count"]
            )
            self._take(harvest, step)
            position = step["position"]
            memory.add(step)
        self._reconcile(unit, harvest, position["count"], position["moved"], memory)
        self._complete([item for item, _ in harvest.items.values()], harvest, memory)
        return harvest

    def whole(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Item | None]]:
        """Read single items whole, several in a request; None for one that cannot be read even in parts."""
        width, queue = _WHOLE_PER_REQUEST, list(parts)
        while queue:
            batch, queue = queue[:width], queue[width:]
            try:
                reply = self.client.query(batch)
            except RequestError as error:
                if error.kind is not Kind.OVERLOADED:
                    raise
                if len(batch) > 1:
                    width, queue = max(1, len(batch) // 2), batch + queue
                else:
                    yield batch[0], self._facts(batch[0])[0]
                continue
            hurt = {path[0] for path, _ in reply.errors}
            for n, (part, data) in enumerate(zip(batch, reply.data, strict=True)):
                item = data.get("issueOrPullRequest") if data and "issueOrPullRequest" in data else data
                yield part, self._facts(part)[0] if n in hurt and "id" in part.variables else item

    def _facts(self, part: Part) -> tuple[Item | None, RequestError | None]:
        """An item without what hangs on it, which is then fetched connection by connection."""
        if "id" not in part.variables:
            return None, None
        try:
            return self.client.query([Part("facts", {"id": part.variables["id"]})]).data[0], None
        except RequestError as error:
            if error.kind in (Kind.OVERLOADED, Kind.REFUSED):
                return None, error
            raise

    def _page(self, unit: Unit, position: Mapping[str, Any], have: int) -> dict[str, Any]:
        operation = _OPERATIONS[unit.kind]
        full = self.page * (1 if unit.kind == "pr" else 2)
        size, clean = self._page_size(unit, operation, full)
        while True:
            # What is asked for is paid for, so the last page asks for no more than is left.
            first = max(1, min(size, position["count"] - have))
            try:
                page, errors = self._search(operation, unit, first, position["cursor"])
            except RequestError as error:
                if error.kind is not Kind.OVERLOADED:
                    raise
                if first == 1:
                    return self._one_in_parts(unit, position, error)
                size, clean = first // 2, 0
                self._save_page_size(unit, operation, size, clean)
                continue
            break
        if size < full:
            grow = clean + 1 >= CLEAN_PAGES_TO_GROW
            self._save_page_size(unit, operation, min(full, size * 2) if grow else size, 0 if grow else clean + 1)
        # A node under which something failed may lack more than it shows; reading it again by its id tells.
        hurt = {path[2] for path, _ in errors if len(path) > 2 and path[1] == "nodes"}
        nodes = [node for n, node in enumerate(page["nodes"]) if is_sound(node) and n not in hurt]
        is_hurt = bool(hurt) or any(node and not is_sound(node) for node in page["nodes"])
        return {"items": nodes, "at": self._at(), "position": _after(page, position["cursor"], is_hurt)}

    def _page_size(self, unit: Unit, operation: str, full: int) -> tuple[int, int]:
        """The smallest page that any repository of the unit needs, and the clean pages since."""
        known = [self.state.page_size(name, operation) for name in unit.repos.values()]
        return min([(min(size, full), clean) for size, clean in filter(None, known)], default=(full, 0))

    def _save_page_size(self, unit: Unit, operation: str, size: int, clean: int) -> None:
        for name in unit.repos.values():
            self.state.save_page_size(name, operation, size, clean)

    def _search(self, operation: str, unit: Unit, first: int, after: str | None) -> tuple[Any, list]:
        reply = self.client.query([Part(operation, {"query": unit.query(), "first": first, "after": after})])
        if reply.data[0] is None or reply.data[0].get("nodes") is None:
            reason = "; ".join(str(error.get("message")) for _, error in reply.errors) or "no answer to the search"
            is_final = any(error.get("type") in _FINAL for _, error in reply.errors)
            kind = Kind.REFUSED if is_final else Kind.TRANSIENT
            raise RequestError(Answer(kind, 200, reason=reason), f"graphql {operation}", 1)
        return reply.data[0], reply.errors

    def _one_in_parts(self, unit: Unit, position: Mapping[str, Any], error: RequestError) -> dict[str, Any]:
        """The next item of a search that cannot stand even a page of one: named first, then read in parts."""
        page, _ = self._search("listing", unit, 1, position["cursor"])
        items, poison = [], []
        for node in page["nodes"]:
            item, why = self._facts(Part("facts", {"id": node["id"]}))
            if item is None or not is_sound(item):
                poison.append(_poison(node, why or error))
            else:
                items.append(item)
        return {"items": items, "poison": poison, "at": self._at(), "position": _after(page, position["cursor"])}

    def _take(self, harvest: Harvest, step: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(step["at"])
        fresh = [
            item for item in step["items"] if (item["repository"]["databaseId"], item["number"]) not in harvest.items
        ]
        for item in step["items"]:
            harvest.items[item["repository"]["databaseId"], item["number"]] = (item, at)
        for poison in step.get("poison", ()):
            harvest.dead_letters.append(_from_document(poison))
        self.read(len(fresh))

    def _reconcile(self, unit: Unit, harvest: Harvest, count: int, moved: bool, memory: UnitSteps) -> None:
        """Fetch what the pages lack: items slip between two pages when others leave the window meanwhile."""
        for _ in range(_ROUNDS):
            if not moved and len(harvest.items) + len(harvest.dead_letters) >= count:
                return
            listed, count, stable = self._list(unit)
            known = {item["id"] for item, _ in harvest.items.values()} | {
                letter.item for letter in harvest.dead_letters
            }
            missing = {node["id"]: node for node in listed.values() if node["id"] not in known}
            for part, item in self.whole([Part("whole", {"id": node}) for node in missing]):
                step: dict[str, Any] = {"items": [item] if is_sound(item) else [], "at": self._at()}
                if not step["items"]:
                    step["poison"] = [_poison(missing[part.variables["id"]], None)]
                self._take(harvest, step)
                memory.add(step)
            moved = not stable
        harvest.short = max(0, count - len(harvest.items) - len(harvest.dead_letters))

    def _list(self, unit: Unit) -> tuple[dict[str, Any], int, bool]:
        """Ids of what the search finds, how many it counts, and whether the two agree throughout."""
        listed: dict[str, Any] = {}
        counts: set[int] = set()
        position: dict[str, Any] = {"cursor": None, "more": True}
        while position["more"]:
            page, _ = self._search("listing", unit, _LISTING_PAGE, position["cursor"])
            listed |= {node["id"]: node for node in page["nodes"] if node and "id" in node}
            position = _after(page, position["cursor"])
            counts.add(position["count"])
        return listed, position["count"], counts == {len(listed)}

    def _complete(self, items: Sequence[Item], harvest: Harvest, memory: UnitSteps) -> None:
        def save(changed: Sequence[Item]) -> None:
            memory.add({"items": list(changed), "at": self._at()})

        harvest.dead_letters += complete(self.client, items, save)
        harvest.dead_letters += add_opened_branches(self.client, items, save)
        if self.files:
            harvest.dead_letters += add_opened_files(self.client, self.state, items, save)

    def _at(self) -> str:
        return self.clock.now().isoformat()


def _after(page: Mapping[str, Any], cursor: str | None, hurt: bool = False) -> dict[str, Any]:
    info = page["pageInfo"]
    # A cursor that stands still would have us read the same page for ever; what lies behind it is found by listing.
    stuck = info["hasNextPage"] and info["endCursor"] in (None, cursor)
    more = info["hasNextPage"] and not stuck
    return {"cursor": info["endCursor"], "count": page["issueCount"], "more": more, "moved": stuck or hurt}


def _poison(node: Mapping[str, Any], error: RequestError | None) -> dict[str, Any]:
    """An item that cannot be read, as the state keeps it."""
    return {
        "repo_id": node["repository"]["databaseId"],
        "day": parse_instant(node["updatedAt"]).date().isoformat(),
        "item": node["id"],
        "error_type": str(error.kind) if error else "unreadable",
        "reason": str(error) if error else f"GitHub lists number {node['number']} and does not show it",
        "action": "left out",
        "endpoint": error.endpoint if error else "graphql whole",
        "status": error.status if error else 200,
        "tries": error.tries if error else 1,
    }


def _from_document(poison: Mapping[str, Any]) -> DeadLetter:
    about = {name: value for name, value in poison.items() if name != "day"}
    return DeadLetter(partition_date=date.fromisoformat(poison["day"]), **about)
