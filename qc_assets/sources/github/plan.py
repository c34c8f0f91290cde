"""What to ask GitHub: which repositories changed, how many items lie in which window, and which share a search."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from qc_assets.clock import parse_instant
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.reader import Unit, updated

REPOSITORIES_PER_REQUEST = 60
_COUNTS_PER_REQUEST = 20
_SEARCH_LIMIT = 1000  # GitHub shows no more results of a search than this
_OVERLAP = timedelta(hours=48)
_NEVER = datetime(1970, 1, 1)  # noqa: DTZ001  instants are naive UTC here
# A package is fetched and committed as one; a busy repository is one of its own, a large one several of fewer days.
_PACKAGE_ITEMS = {"pr": 250, "issue": 500}
_PACKAGE_NAMES = 200  # characters; a search text may have 256
_LEAST_ON_A_PAGE = 25  # items that a request shows, where they are not too heavy


@dataclass(frozen=True)
class Wish:
    """Days of one repository, by the name it was asked for."""

    repo: str
    days: tuple[date, ...]


@dataclass(frozen=True)
class Package:
    """Repositories that are fetched and committed together.

    Attributes:
        repos: what GitHub says of each repository (fragment Repository), by the name it was asked for.
        days: the days wanted of each of them.
        units: the searches; none if nothing changed.
    """

    repos: Mapping[str, Mapping[str, Any]]
    days: tuple[date, ...]
    units: tuple[Unit, ...] = ()

    def of_repository(self, name: str) -> "Package":
        """The part that concerns one repository."""
        number = self.repos[name]["databaseId"]
        units = tuple(replace(u, repos={number: u.repos[number]}) for u in self.units if number in u.repos)
        return Package({name: self.repos[name]}, self.days, units)


def look(client: Client, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any] | None, str]]:
    """What GitHub says of each repository, in the given order; None and a reason for those it does not show."""
    width, queue = REPOSITORIES_PER_REQUEST, list(names)
    while queue:
        batch, queue = queue[:width], queue[width:]
        parts = []
        for name in batch:
            owner, _, rest = name.partition("/")
            parts.append(Part("repository", {"owner": owner, "name": rest}))
        try:
            reply = client.query(parts)
        except RequestError as error:
            if error.kind is not Kind.OVERLOADED or len(batch) == 1:
                raise
            width, queue = max(1, len(batch) // 2), batch + queue
            continue
        reasons = {path[0]: str(error.get("message")) for path, error in reply.errors}
        for n, (name, data) in enumerate(zip(batch, reply.data, strict=True)):
            yield name, data, reasons.get(n, "GitHub does not show it")


def packages(client: Client, wishes: Sequence[Wish], seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Package]:
    """Divide what is wanted into packages, the quiet repositories first.

    Args:
        client: asked for counts.
        wishes: what is wanted.
        seen: what GitHub says of each repository, by name.
    """
    by_days: dict[tuple[date, ...], list[Wish]] = {}
    for wish in wishes:
        by_days.setdefault(wish.days, []).append(wish)
    for days, group in by_days.items():
        since = datetime.combine(days[0], time()) - _OVERLAP
        quiet = [wish.repo for wish in group if _latest(seen[wish.repo]) < since]
        if quiet:
            yield Package({name: seen[name] for name in quiet}, days)
        busy = [wish.repo for wish in group if wish.repo not in quiet]
        yield from _busy(client, {name: seen[name] for name in busy}, days)


def _busy(client: Client, repos: Mapping[str, Mapping[str, Any]], days: tuple[date, ...]) -> Iterator[Package]:
    windows = list(_windows(days))
    numbers = _numbers(client, repos, windows)
    empty = [name for name in repos if not any(n for ask, n in numbers.items() if ask[0] == name)]
    # Nothing is found under a name that was given up a moment ago.
    renamed = {
        name: repo
        for name, repo, _ in look(client, [repos[name]["nameWithOwner"] for name in empty])
        if repo is not None and repo["nameWithOwner"] != name
    }
    if renamed:
        repos = {name: renamed.get(repo["nameWithOwner"], repo) for name, repo in repos.items()}
        numbers |= _numbers(client, {name: repos[name] for name in empty}, windows)
    totals = {
        name: {k: sum(n for ask, n in numbers.items() if ask[:2] == (name, k)) for k in ("pr", "issue")}
        for name in repos
    }
    large = [name for name in repos if len(days) > 1 and max(totals[name].values()) > _SEARCH_LIMIT]
    for name in large:
        for half in (days[: len(days) // 2], days[len(days) // 2 :]):
            yield from _busy(client, {name: repos[name]}, half)
    for names in _packed([name for name in repos if name not in large], totals):
        units: list[Unit] = []
        for kind in ("pr", "issue"):
            for start, end in sorted({ask[2:] for ask in numbers}):
                part = {name: numbers.get((name, kind, start, end), 0) for name in names}
                filled = {name: count for name, count in part.items() if count}
                if not filled:
                    continue
                ids = {repos[name]["databaseId"]: repos[name]["nameWithOwner"] for name in filled}
                whole = Unit("", kind, ids, start, end, sum(filled.values()))
                units += _fitting(client, whole)
        numbered = tuple(Unit(str(n), u.kind, u.repos, u.start, u.end, u.expected) for n, u in enumerate(units))
        yield Package({name: repos[name] for name in names}, days, numbered)


def _numbers(
    client: Client, repos: Mapping[str, Mapping[str, Any]], windows: Sequence[tuple[datetime, datetime]]
) -> dict[tuple[str, str, datetime, datetime], int]:
    """How many items to read, by repository, kind and window.

    A request for each of many windows would cost more than all that lies between the first and the last: then that is
    the only window. What lies in the gaps is read with it, and left out when rows are written.
    """
    whole = (windows[0][0], windows[-1][1])
    kinds = [(name, "pr") for name in repos] + [(name, "issue") for name in repos if repos[name]["hasIssuesEnabled"]]
    asks = [(*kind, *whole) for kind in kinds]
    numbers = dict(zip(asks, _count(client, repos, asks), strict=True))
    worth = [ask for ask, n in numbers.items() if len(windows) > 1 and n > _LEAST_ON_A_PAGE * len(windows)]
    parts = [(*ask[:2], *window) for ask in worth for window in windows]
    kept = {ask: n for ask, n in numbers.items() if ask not in worth}
    return kept | dict(zip(parts, _count(client, repos, parts), strict=True))


def _latest(repo: Mapping[str, Any]) -> datetime:
    """When a pull request or issue of the repository was last updated; long ago if there is none."""
    times = [node["updatedAt"] for name in ("pullRequests", "issues") for node in (repo[name] or {}).get("nodes") or ()]
    return max((parse_instant(text) for text in times), default=_NEVER)


def _windows(days: Sequence[date]) -> Iterator[tuple[datetime, datetime]]:
    """First and last second of each run of consecutive days."""
    start = days[0]
    for day, following in zip(days, [*days[1:], None], strict=True):
        if following != day + timedelta(days=1):
            yield datetime.combine(start, time()), datetime.combine(day, time(23, 59, 59))
            if following is not None:
                start = following


def _count(client: Client, repos: Mapping[str, Mapping[str, Any]], windows: Sequence[tuple]) -> list[int]:
    queries = [
        f"repo:{repos[name]['nameWithOwner']} is:{kind} {updated(start, end)}" for name, kind, start, end in windows
    ]
    return counts(client, queries)


def counts(client: Client, queries: Sequence[str]) -> list[int]:
    """How many items each search finds, many searches a request."""
    counted: list[int] = []
    width, queue = _COUNTS_PER_REQUEST, list(queries)
    while queue:
        batch, queue = queue[:width], queue[width:]
        try:
            reply = client.query([Part("count", {"query": query}) for query in batch])
        except RequestError as error:
            if error.kind is not Kind.OVERLOADED or len(batch) == 1:
                raise
            width, queue = max(1, len(batch) // 2), batch + queue
            continue
        # A count that is missing is asked for again by the search itself, page by page.
        counted += [data["issueCount"] if data else 1 for data in reply.data]
    return counted


def _packed(repos: Sequence[str], totals: Mapping[str, Mapping[str, int]]) -> Iterator[list[str]]:
    """Neighbouring repositories, as many as a package may hold."""
    names: list[str] = []
    for name in repos:
        together = [*names, name]
        over = any(sum(totals[n][kind] for n in together) > limit for kind, limit in _PACKAGE_ITEMS.items())
        if names and (over or sum(len(n) + 6 for n in together) > _PACKAGE_NAMES):
            yield names
            together = [name]
        names = together
    if names:
        yield names


def _fitting(client: Client, unit: Unit) -> list[Unit]:
    """The unit, or the halves, quarters, … of its window that a search can show whole."""
    if unit.expected <= _SEARCH_LIMIT or unit.end <= unit.start:
        return [unit] if unit.expected else []
    middle = unit.start + timedelta(seconds=int((unit.end - unit.start).total_seconds()) // 2)
    edges = [(unit.start, middle), (middle + timedelta(seconds=1), unit.end)]
    halves = [Unit("", unit.kind, unit.repos, start, end, 0) for start, end in edges]
    sizes = counts(client, [half.query() for half in halves])
    return [
        piece
        for half, count in zip(halves, sizes, strict=True)
        for piece in _fitting(client, Unit("", half.kind, half.repos, half.start, half.end, count))
    ]


def plan_key(*of: Any) -> str:
    """A name for the plan of some work; the same work has the same name in another process."""
    return hashlib.sha256(json.dumps(of, default=str).encode()).hexdigest()[:24]


def to_document(package: Package) -> dict[str, Any]:
    """A package as JSON."""
    return {
        "repos": package.repos,
        "days": [day.isoformat() for day in package.days],
        "units": [
            {
                "key": u.key,
                "kind": u.kind,
                "repos": list(u.repos.items()),
                "start": u.start.isoformat(),
                "end": u.end.isoformat(),
                "expected": u.expected,
            }
            for u in package.units
        ],
    }


def from_document(document: Mapping[str, Any]) -> Package:
    """The package that `to_document` wrote."""
    units = [
        Unit(
            u["key"],
            u["kind"],
            dict(u["repos"]),
            datetime.fromisoformat(u["start"]),
            datetime.fromisoformat(u["end"]),
            u["expected"],
        )
        for u in document["units"]
    ]
    return Package(document["repos"], tuple(date.fromisoformat(day) for day in document["days"]), tuple(units))
