"""From wishes to staged files: one batch of repositories at a time, in packages that are committed as one."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from qc_assets.clock import Clock
from qc_assets.sources.github import raw_rows
from qc_assets.sources.github.answers import Answer, Kind
from qc_assets.sources.github.client import Client, RequestCost, RequestError
from qc_assets.sources.github.plan import Package, Wish, from_document, look, packages, to_document
from qc_assets.sources.github.query import queries_fingerprint
from qc_assets.sources.github.reader import Harvest, Reader, Unit
from qc_assets.sources.github.reporting import Meter
from qc_assets.sources.github.state import State
from qc_assets.sources.source import Batch
from qc_assets.store.dead_letters import DeadLetter

_PLAN_HOLDS = timedelta(hours=24)
# The search index lags behind; a day is not final before this much has passed.
_SETTLED = timedelta(hours=1)


class Stage:
    """Turns wishes into batches of staged files.

    Args:
        client: who asks.
        state: what is remembered between processes.
        clock: tells the time.
        page: pull requests a page to begin with.
        tables: the raw tables that are wanted.
        folder: for staged files.
        meter: told how far it is.

    Attributes:
        last_failure: when a repository last failed.
    """

    def __init__(
        self,
        client: Client,
        state: State,
        clock: Clock,
        *,
        page: int,
        tables: Sequence[str],
        folder: Path,
        meter: Meter,
    ) -> None:
        self.client, self.state, self.clock = client, state, clock
        self.tables = set(tables)
        self.folder = folder
        self.meter = meter
        self.reader = Reader(self.client, self.state, self.clock, page=page, read=meter.read)
        self.reasons: dict[str, DeadLetter] = {}
        self.last_failure = self.clock.now()
        self._settled = RequestCost()

    def chunk(self, wishes: Sequence[Wish], key: str, fail: Callable[[Wish], None]) -> Iterator[Batch]:
        """Fetch what is wanted of one batch of repositories; what fails is handed to `fail`."""
        if not wishes:
            return
        try:
            plan = self._plan(wishes, key)
        except RequestError as error:
            for wish in wishes:
                self._failed(wish, error)
                fail(wish)
            return
        wished = {wish.repo for wish in wishes}
        planned = {name for package in plan for name in package.repos}
        for wish in wishes:
            if wish.repo not in planned:  # GitHub does not show it: trying again would not help
                yield self.failure(wish)
        self.client.pool.stop.clear()
        work = [package for package in plan if any(name in wished for name in package.repos)]
        left = Counter(name for package in work for name in package.repos)
        workers = max(1, len(self.client.pool.members))
        with ThreadPoolExecutor(workers, thread_name_prefix="github") as threads:
            jobs = {threads.submit(self._package, key, str(n), package): package for n, package in enumerate(work)}
            try:
                for job in as_completed(jobs):
                    for batch, lost in job.result():
                        yield batch
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

    def _plan(self, wishes: Sequence[Wish], key: str) -> list[Package]:
        """The packages of a batch: those of a run that was broken off within the last day, or new ones."""
        now = self.clock.now()
        old = self.state.plan(key)
        asks = queries_fingerprint()
        if old and old.get("asks") == asks and datetime.fromisoformat(old["made_at"]) > now - _PLAN_HOLDS:
            known = [from_document(document) for document in old["packages"]]
            for name, reason in old["gone"].items():
                self._gone(name, reason)
            names = {name for package in known for name in package.repos} | set(old["gone"])
            if {wish.repo for wish in wishes} <= names:
                return known
        seen, gone = {}, {}
        for name, repo, reason in look(self.client, [wish.repo for wish in wishes]):
            if repo is None:
                gone[name] = reason
                self._gone(name, reason)
            else:
                seen[name] = repo
        final, young = [], []
        for wish in wishes:
            if wish.repo in seen:
                ended = tuple(day for day in wish.days if _end(day) + _SETTLED <= now)
                final += [Wish(wish.repo, ended)] if ended else []
                rest = tuple(day for day in wish.days if day not in ended)
                young += [Wish(wish.repo, rest)] if rest else []
        plan = list(packages(self.client, [*final, *young], seen))
        packed = [to_document(package) for package in plan]
        document = {"made_at": now.isoformat(), "asks": asks, "gone": gone, "packages": packed}
        self.state.drop_plan(key)
        self.state.save_plan(key, document, now)
        return plan

    def _package(self, plan: str, number: str, package: Package) -> list[tuple[Batch, list[str]]]:
        """Fetch a package; if it fails as one, its repositories one by one. Each batch comes with what failed."""
        try:
            harvests = [self._harvest(plan, replace(u, key=f"{number}/{u.key}")) for u in package.units]
        except RequestError as error:
            if len(package.repos) == 1:
                (name,) = package.repos
                self._failed(Wish(name, package.days), error)
                return [(Batch(days=package.days, tables={}, repos={}, **self._spent()), [name])]
            parts = []
            for n, name in enumerate(package.repos):
                parts += self._package(plan, f"{number}.{n}", _only(package, name))
            return parts
        return [(self._batch(f"{plan}-{number}", package, harvests), [])]

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

    def _batch(self, name: str, package: Package, harvests: Sequence[Harvest]) -> Batch:
        days, now = set(package.days), self.clock.now()
        items = [pair for harvest in harvests for pair in harvest.items.values()]
        rows = raw_rows.rows(items)
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
        names = {repo["databaseId"]: name_asked_for for name_asked_for, repo in package.repos.items()}
        letters = [
            replace(letter, repo=names[letter.repo_id])
            for harvest in harvests
            for letter in harvest.dead_letters
            if letter.repo_id is not None and letter.partition_date in days
        ]
        short = sum(harvest.short for harvest in harvests)
        young = any(_end(day) + _SETTLED > now for day in package.days)
        problem = None
        if short:
            problem = f"{', '.join(names.values())}: GitHub counts {short} items more than it shows"
        elif young:
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

    def _failed(self, wish: Wish, error: RequestError) -> None:
        self.last_failure = self.clock.now()
        self.reasons[wish.repo] = DeadLetter(
            wish.days[0],
            wish.repo,
            str(error.kind),
            str(error),
            endpoint=error.endpoint,
            status=error.status,
            tries=error.tries,
            action="skipped after a second try",
        )
        self.meter.note(f"{wish.repo} failed: {error}")

    def _gone(self, name: str, reason: str) -> None:
        self.reasons[name] = DeadLetter(
            date.min, name, "gone", reason, endpoint="graphql repository", status=200, tries=1, action="skipped"
        )


def _only(package: Package, name: str) -> Package:
    """A package's part that concerns one repository."""
    repo = package.repos[name]
    number = repo["databaseId"]
    units = tuple(replace(u, repos={number: u.repos[number]}) for u in package.units if number in u.repos)
    return Package({name: repo}, package.days, units)


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time())
