"""What is missing of some repositories, by their ids, and in which packages it is to be fetched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from qc_assets.clock import Clock
from qc_assets.progress import Note, Reporter
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.plan import Package, Wish, from_document, look, packages, to_document
from qc_assets.sources.github.query import queries_fingerprint
from qc_assets.sources.github.state import State
from qc_assets.sources.held_days import HeldDays

SETTLED = timedelta(hours=1)
"""The search index lags behind; a day is not final before this much has passed."""
_PLAN_HOLDS = timedelta(hours=24)
# Where more repositories than these are each too much for GitHub, it is GitHub that is overloaded.
_MOST_TOO_MUCH = 3


@dataclass(frozen=True)
class Plan:
    """What is to be done for some repositories.

    Attributes:
        packages: what is to be fetched.
        gone: why GitHub does not show a repository, by the name it was asked for.
        held: ids of repositories of which nothing is missing, as they have been read under another name.
        failed: why GitHub would not say anything of a repository, though it did of others.
    """

    packages: Sequence[Package]
    gone: Mapping[str, str]
    held: Mapping[str, int]
    failed: Mapping[str, RequestError] = field(default_factory=dict)


class Planner:
    """Plans, and remembers plans, so that a run that goes on finds those of the one before.

    Args:
        client: who asks.
        state: what is remembered between processes.
        clock: tells the time.
        days: all that were asked for.
        held: those that the checkpoint has of each repository.
        progress: told of a name that another repository has now.
    """

    def __init__(
        self,
        client: Client,
        state: State,
        clock: Clock,
        *,
        days: Sequence[date],
        held: Mapping[str, frozenset[date]],
        progress: Reporter,
    ) -> None:
        self.client, self.state, self.clock = client, state, clock
        self.days = days
        self.held = held
        self.progress = progress

    def plan(self, wishes: Sequence[Wish], key: str) -> Plan:
        """The plan of a run that was broken off within the last day, or a new one.

        Raises:
            RequestError: if GitHub cannot be reached.
        """
        now, old, asks = self.clock.now(), self.state.plan(key), queries_fingerprint()
        if old and old.get("asks") == asks and datetime.fromisoformat(old["made_at"]) > now - _PLAN_HOLDS:
            known = [from_document(document) for document in old["packages"]]
            plan = Plan(known, old["gone"], old.get("held", {}))
            names = {name for package in known for name in package.repos}
            if {wish.repo for wish in wishes} <= names | set(plan.gone) | set(plan.held):
                return plan
        seen, gone, failed = self._look([wish.repo for wish in wishes])
        missing, held = self._by_id(wishes, seen)
        final, young = [], []
        for wish in missing:
            ended = tuple(day for day in wish.days if end_of(day) + SETTLED <= now)
            final += [Wish(wish.repo, ended)] if ended else []
            rest = tuple(day for day in wish.days if day not in ended)
            young += [Wish(wish.repo, rest)] if rest else []
        plan = Plan(list(packages(self.client, [*final, *young], seen)), gone, held, failed)
        packed = [to_document(package) for package in plan.packages]
        document = {"made_at": now.isoformat(), "asks": asks, "gone": gone, "held": held, "packages": packed}
        self.state.drop_plan(key)
        self.state.save_plan(key, document, now)
        return plan

    def _look(
        self, names: Sequence[str]
    ) -> tuple[dict[str, Mapping[str, Any]], dict[str, str], dict[str, RequestError]]:
        """What GitHub says of repositories; why it does not show some; and what is too much for it, even alone.

        Raises:
            RequestError: if GitHub says nothing of any, or of many.
        """
        seen: dict[str, Mapping[str, Any]] = {}
        gone: dict[str, str] = {}
        failed: dict[str, RequestError] = {}
        left = list(names)
        while left:
            try:
                for name, repo, reason in look(self.client, list(left)):
                    left.remove(name)
                    if repo is None:
                        gone[name] = reason
                    else:
                        seen[name] = repo
            except RequestError as error:
                # What is too much is divided, so what comes first now was asked about alone.
                failed[left.pop(0)] = error
                if error.kind is not Kind.OVERLOADED or len(failed) > _MOST_TOO_MUCH or not (left or seen):
                    raise
        return seen, gone, failed

    def _by_id(
        self, wishes: Sequence[Wish], seen: Mapping[str, Mapping[str, Any]]
    ) -> tuple[list[Wish], dict[str, int]]:
        """What is missing of each repository by its id, which decides; and the ids of those that lack nothing."""
        ids = {name: int(repo["databaseId"]) for name, repo in seen.items()}
        by_id: Mapping[int, frozenset[date]] = {}
        ids_of_name: Mapping[str, set[int]] = {}
        if isinstance(self.held, HeldDays):
            by_id, ids_of_name = self.held.of_ids(list(ids.values())), self.held.ids
        missing: list[Wish] = []
        held: dict[str, int] = {}
        for wish in wishes:
            if wish.repo not in ids:
                continue
            number, days = ids[wish.repo], wish.days
            if ids_of_name.get(wish.repo) and number not in ids_of_name[wish.repo]:
                self.progress(Note(f"{wish.repo} is another repository than before: its id is {number}"), 0, 1)
                days = tuple(self.days)
            days = tuple(day for day in days if day not in by_id.get(number, ()))
            if days and number not in {ids[other.repo] for other in missing}:
                missing.append(Wish(wish.repo, days))
            else:
                held[wish.repo] = number
        return missing, held


def end_of(day: date) -> datetime:
    """The first instant (naive UTC) after a day."""
    return datetime.combine(day + timedelta(days=1), time())
