"""Items that GitHub counts and never shows: whose they are, and when they were last updated.

An organisation that wants a sign-on, or an author who was banned, leaves such a hole in every search. It is told by
counting: where a search counts more than was read, so does one of its parts. Many counts go into one request.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from qc_assets.clock import parse_instant
from qc_assets.sources.github.client import Client
from qc_assets.sources.github.plan import counts
from qc_assets.sources.github.reader import Harvest, Unit
from qc_assets.store.dead_letters import DeadLetter

_PARTS = 20
_MOST = 40  # parts that are looked into further; beyond, whole parts are held back


@dataclass(frozen=True)
class HiddenItems:
    """Items of one repository that a search counts and does not show.

    Attributes:
        unit: the narrowest search that counts them, of one repository.
        count: how many they are.
    """

    unit: Unit
    count: int

    @property
    def repo_id(self) -> int:
        return next(iter(self.unit.repos))

    @property
    def days(self) -> set[date]:
        first = self.unit.start.date()
        return {first + timedelta(days=n) for n in range((self.unit.end.date() - first).days + 1)}

    def letters(self, repo: str, days: set[date], *, accepted: bool) -> Iterator[DeadLetter]:
        """What is written down of them, of those days that are asked for."""
        items = "pull requests" if self.unit.kind == "pr" else "issues"
        for day in sorted(self.days & days):
            yield DeadLetter(
                day,
                self.unit.query(),
                "hidden",
                f"GitHub counts {self.count} {items} that it does not show to this token: paste the search into "
                "GitHub to see whose they are. Authorise the token for that organisation, or accept the gap by "
                f"QC_GITHUB_ACCEPTED_GAPS={repo}",
                repo=repo,
                endpoint="graphql count",
                status=200,
                action="left out, as QC_GITHUB_ACCEPTED_GAPS says" if accepted else "the day is held back",
            )


def hidden_items(client: Client, unit: Unit, harvest: Harvest) -> list[HiddenItems]:
    """Where the items are that a unit's search counts and that were not read; none if they have come to light.

    Raises:
        RequestError: if GitHub cannot be reached.
    """
    read: dict[int, list[datetime]] = {}
    for (repo_id, _), (item, _) in harvest.items.items():
        read.setdefault(repo_id, []).append(parse_instant(item["updatedAt"]))
    unread = [(letter.repo_id, letter.partition_date) for letter in harvest.dead_letters]

    def short(parts: Sequence[Unit]) -> list[HiddenItems]:
        numbers = counts(client, [part.query() for part in parts])
        missing = [number - _accounted(part, read, unread) for part, number in zip(parts, numbers, strict=True)]
        return [HiddenItems(part, count) for part, count in zip(parts, missing, strict=True) if count > 0]

    of_repos = [Unit("", unit.kind, {repo_id: name}, unit.start, unit.end, 0) for repo_id, name in unit.repos.items()]
    pending, narrowest = short(of_repos), []
    while pending:
        divisible = [items for items in pending if items.unit.start < items.unit.end]
        narrowest += [items for items in pending if items not in divisible]
        if len(divisible) > _MOST:
            return narrowest + divisible
        inner = short([part for items in divisible for part in _divided(items.unit)])
        pending = []
        for items in divisible:
            inside = [part for part in inner if _holds(items.unit, part.unit)]
            # Parts that do not account for all: some moved meanwhile, or are known by their day only.
            if sum(part.count for part in inside) >= items.count:
                pending += inside
            else:
                narrowest.append(items)
    return narrowest


def _holds(unit: Unit, part: Unit) -> bool:
    return unit.repos == part.repos and unit.start <= part.start <= unit.end


def _accounted(unit: Unit, read: Mapping[int, list[datetime]], unread: list[tuple[int | None, date]]) -> int:
    """How many items of a part were read, or are named as dead letters."""
    (repo_id,) = unit.repos
    named = sum(number == repo_id and unit.start.date() <= day <= unit.end.date() for number, day in unread)
    return named + sum(unit.start <= moment <= unit.end for moment in read.get(repo_id, ()))


def _divided(unit: Unit) -> Iterator[Unit]:
    """Up to 20 parts of a window: of whole days, or of whole seconds within a day."""
    seconds = int((unit.end - unit.start).total_seconds()) + 1
    grain = 86_400 if seconds > 86_400 else 1
    step = timedelta(seconds=-(-seconds // (_PARTS * grain)) * grain)
    start = unit.start
    while start <= unit.end:
        yield Unit("", unit.kind, unit.repos, start, min(start + step - timedelta(seconds=1), unit.end), 0)
        start += step
