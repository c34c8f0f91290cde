"""From wishes to staged files: one batch of repositories at a time, in packages that are committed as one."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from qc_assets.clock import Clock
from qc_assets.sources.github import raw_rows
from qc_assets.sources.github.answers import Answer, Kind
from qc_assets.sources.github.client import Client, RequestCost, RequestError, odd_answers
from qc_assets.sources.github.hidden import HiddenItems, hidden_items
from qc_assets.sources.github.plan import Package, Wish, look
from qc_assets.sources.github.planning import SETTLED, Planner, end_of
from qc_assets.sources.github.reader import Harvest, Reader, Unit
from qc_assets.sources.github.reporting import Meter
from qc_assets.sources.github.state import State
from qc_assets.sources.source import Batch
from qc_assets.store.dead_letters import DeadLetter


class Stage:
    """Turns wishes into batches of staged files.

    Args:
        client: who asks.
        state: what is remembered between processes.
        clock: tells the time.
        planner: divides what is wanted.
        page: pull requests a page to begin with.
        tables: the raw tables that are wanted.
        folder: for staged files.
        meter: told how far it is.
        ask_once: what else the server is asked once it has answered, so that it counts as part of what this costs.
        accepted_gaps: names (lower case) of repositories whose days are done though GitHub hides items of them.
        files: whether the files of openings are read, too.

    Attributes:
        last_failure: when a repository last failed.
        read: names of the repositories that were read, at least in part.
    """

    def __init__(
        self,
        client: Client,
        state: State,
        clock: Clock,
        planner: Planner,
        *,
        page: int,
        tables: Sequence[str],
        folder: Path,
        meter: Meter,
        ask_once: Callable[[], object] = lambda: None,
        accepted_gaps: Collection[str] = (),
        files: bool = False,
    ) -> None:
        self.client, self.state, self.clock, self.planner = client, state, clock, planner
        self.tables = set(tables)
        self.folder = folder
        self.meter = meter
        self.ask_once = ask_once
        self.accepted_gaps = set(accepted_gaps)
        self.reader = Reader(self.client, self.state, self.clock, page=page, read=meter.read, files=files)
        self.reasons: dict[str, DeadLetter] = {}
        self.read: set[str] = set()
        self.last_failure = self.clock.now()
        self._settled = RequestCost()

    def chunk(self, wishes: Sequence[Wish], key: str, fail: Callable[[Wish], None]) -> Iterator[Batch]:
        """Fetch what is wanted of one batch of repositories; what fails is handed to `fail`."""
        if not wishes:
            return
        try:
            with odd_answers("graphql plan"):
                plan = self.planner.plan(wishes, key)
                self.ask_once()
        except RequestError as error:
            for wish in wishes:
                if self._failed(wish, error):
                    yield self.failure(wish)
                else:
                    fail(wish)
            return
        wished = {wish.repo for wish in wishes}
        for wish in wishes:
            if wish.repo in plan.failed:
                self._failed(wish, plan.failed[wish.repo])
                fail(wish)
            if wish.repo in plan.gone:  # trying again would not help
                self._gone(wish.repo, plan.gone[wish.repo])
                yield self.failure(wish)
        if plan.held:
            self.read |= set(plan.held)
            yield Batch(days=(), tables={}, repos=plan.held)
        self.client.pool.stop.clear()
        work = [package for package in plan.packages if any(name in wished for name in package.repos)]
        left = Counter(name for package in work for name in package.repos)
        workers = max(1, len(self.client.pool.members))
        with ThreadPoolExecutor(workers, thread_name_prefix="github") as threads:
            jobs = {threads.submit(self._package, key, str(n), package): package for n, package in enumerate(work)}
            try:
                for job in as_completed(jobs):
                    for batch, lost in job.result():
                        yield batch
                        self.read |= set(batch.repos or ()) if batch.status != "failed" else set()
                        for path in (path for paths in batch.tables.values() for path in paths):
                            path.unlink()
                        for name in lost:
                            fail(Wish(name, jobs[job].days))
                    left.subtract(list(jobs[job].repos))
                    self.meter.done(sum(not left[name] for name in jobs[job].repos))
            finally:
                self.client.pool.stop.set()  # so that Ctrl-C need not wait until a limit is over
                threads.shutdown(wait=True, cancel_futures=True)
                self.client.pool.stop.clear()
        self.state.drop_plan(key)

    def failure(self, wish: Wish) -> Batch:
        """What is recorded of a repository that could not be read."""
        why = self.reasons[wish.repo]
        letters = [replace(why, partition_date=day, repo=wish.repo) for day in wish.days]
        return Batch(
            days=wish.days,
            tables={},
            status="failed",
            error=f"{wish.repo}: {why.reason}",
            repos={wish.repo: None},
            dead_letters=letters,
            **self._spent(),
        )

    def _package(self, plan: str, number: str, package: Package) -> list[tuple[Batch, list[str]]]:
        """Fetch a package; if it fails as one, its repositories one by one. Each batch comes with what failed."""
        try:
            with odd_answers(f"graphql {', '.join(package.repos)}"):
                units = [replace(unit, key=f"{number}/{unit.key}") for unit in package.units]
                return [(batch, []) for batch in self._batches(f"{plan}-{number}", package, self._read(plan, units))]
        except RequestError as error:
            if len(package.repos) == 1:
                (name,) = package.repos
                wish = Wish(name, package.days)
                if self._failed(wish, error):
                    return [(self.failure(wish), [])]
                return [(Batch(days=package.days, tables={}, repos={}, **self._spent()), [name])]
            parts = []
            for n, name in enumerate(package.repos):
                parts += self._package(plan, f"{number}.{n}", package.of_repository(name))
            return parts

    def _read(self, plan: str, units: Sequence[Unit]) -> list[tuple[Harvest, list[HiddenItems]]]:
        """What each search gave, and what it hides."""
        harvests = [(unit, self._harvest(plan, unit)) for unit in units]
        return [
            (harvest, hidden_items(self.client, unit, harvest) if harvest.short else []) for unit, harvest in harvests
        ]

    def _harvest(self, plan: str, unit: Unit) -> Harvest:
        """Read a unit. A search finds nothing under the old name of a repository that was renamed meanwhile."""
        harvest = self.reader.harvest(plan, unit)
        if len(harvest.items) + len(harvest.dead_letters) >= unit.expected:
            return harvest
        names = dict(unit.repos)
        for old, repo, reason in look(self.client, list(unit.repos.values())):
            if repo is None:
                raise RequestError(
                    Answer(Kind.REFUSED, 200, reason=f"{old} is gone: {reason}"), "graphql repository", 1
                )
            names[repo["databaseId"]] = repo["nameWithOwner"]
        if names == dict(unit.repos):
            return harvest  # fewer than counted, because some were updated since and belong to a later day
        self.meter.note(f"renamed: {', '.join(sorted(set(names.values()) - set(unit.repos.values())))}")
        return self.reader.harvest(plan, replace(unit, key=f"{unit.key}+", repos=names))

    def _batches(
        self, name: str, package: Package, readings: Sequence[tuple[Harvest, list[HiddenItems]]]
    ) -> Iterator[Batch]:
        """A package's batches: one, unless GitHub hides items, whose repositories and days are held back alone."""
        hidden = [items for _, of_search in readings for items in of_search]
        # Where counting does not tell whose they all are, all that share the search are to be read again.
        unknown = sum(max(0, harvest.short - sum(items.count for items in places)) for harvest, places in readings)
        harvests = [harvest for harvest, _ in readings]
        groups: dict[frozenset[date], list[str]] = {}
        for asked_for, repo in package.repos.items():
            accepted = {asked_for.lower(), repo["nameWithOwner"].lower()} & self.accepted_gaps
            gaps = {day for items in hidden if items.repo_id == repo["databaseId"] for day in items.days}
            groups.setdefault(frozenset() if accepted else frozenset(gaps & set(package.days)), []).append(asked_for)
        for n, (held, names) in enumerate(groups.items()):
            for part, days in enumerate((tuple(d for d in package.days if d not in held), tuple(sorted(held)))):
                if not days:
                    continue
                some = Package({asked_for: package.repos[asked_for] for asked_for in names}, days)
                letters: list[DeadLetter] = []
                for asked_for, repo in some.repos.items():
                    for items in hidden:
                        if items.repo_id == repo["databaseId"]:
                            letters += items.letters(asked_for, set(days), accepted=not part)
                problem = None
                if part:
                    problem = f"{', '.join(names)}: GitHub hides items; see ops.dead_letters"
                elif unknown:
                    problem = f"{', '.join(names)}: GitHub counts {unknown} items more than it shows"
                yield self._batch(f"{name}-{n}-{part}", some, harvests, letters, problem)

    def _batch(
        self, name: str, package: Package, harvests: Sequence[Harvest], letters: list[DeadLetter], problem: str | None
    ) -> Batch:
        days, now = set(package.days), self.clock.now()
        names = {repo["databaseId"]: asked_for for asked_for, repo in package.repos.items()}
        # What a search shows of another repository (an issue that was transferred) belongs to that one's reading.
        items = [pair for harvest in harvests for (repo_id, _), pair in harvest.items.items() if repo_id in names]
        rows, odd = raw_rows.rows(items)
        for table, records in rows.items():
            # An item that was updated while it was read belongs to a later day, and is read with that.
            rows[table] = [record for record in records if record["partition_date"] in days]
        # What the last item says of its repository is newer than the look taken before.
        newest = {item["repository"]["databaseId"]: item["repository"] for item, _ in sorted(items, key=lambda p: p[1])}
        rows["repositories"] = [
            raw_rows.repository_row(newest.get(repo["databaseId"], repo), now, day)
            for repo in package.repos.values()
            for day in package.days
        ]
        of_tables = {table: records for table, records in rows.items() if table in self.tables}
        files = raw_rows.write(of_tables, self.folder, name)
        unread = [letter for harvest in harvests for letter in harvest.dead_letters]
        letters += [
            replace(letter, repo=names[letter.repo_id])
            for letter in [*unread, *odd]
            if letter.repo_id in names and letter.partition_date in days
        ]
        if problem is None and any(letter.error_type == "no_id" for letter in letters):
            problem = f"{', '.join(names.values())}: the server gives no ids to some rows; see ops.dead_letters"
        if problem is None and any(end_of(day) + SETTLED > now for day in package.days):
            problem = f"{package.days[0]} to {package.days[-1]}: not ended when read; to be read again"
        return Batch(
            days=package.days,
            tables={table: (path,) for table, path in files.items()},
            repos={name_asked_for: repo["databaseId"] for name_asked_for, repo in package.repos.items()},
            status="partial" if problem else "done",
            error=problem,
            dead_letters=letters,
            **self._spent(),
        )

    def _spent(self) -> dict[str, Any]:
        """What was spent since this was last asked."""
        with self.meter.lock:
            now, before = replace(self.client.spent), self._settled
            self._settled = now
        return {
            "requests": now.requests - before.requests,
            "points": now.points - before.points,
            "waited_s": now.waited_s - before.waited_s,
        }

    def _failed(self, wish: Wish, error: RequestError) -> bool:
        """Note a failure; whether it is for good, so that trying again would not help."""
        self.last_failure = self.clock.now()
        self.reasons[wish.repo] = DeadLetter(
            wish.days[0],
            wish.repo,
            str(error.kind),
            str(error),
            endpoint=error.endpoint,
            status=error.status,
            tries=error.tries,
            action="skipped, as trying again would not help" if error.is_final else "skipped after a second try",
        )
        self.meter.note(f"{wish.repo} failed: {error}")
        return error.is_final

    def _gone(self, name: str, reason: str) -> None:
        self.reasons[name] = DeadLetter(
            date.min, name, "gone", reason, endpoint="graphql repository", status=200, tries=1, action="skipped"
        )
