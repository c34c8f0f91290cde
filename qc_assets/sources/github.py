"""GitHub itself as a source: whole pull requests and issues, by repository and day of their last update.

A batch of repositories is looked at in one request; those in which nothing changed are done with that. The others'
items are counted, divided into packages that are fetched and committed as one, and read page by page, each answer
being remembered on disk until the warehouse has it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from qc_assets.clock import Clock, SystemClock
from qc_assets.settings import Settings
from qc_assets.sources import github_rows
from qc_assets.sources.github_answers import Answer, Kind
from qc_assets.sources.github_client import Client, RequestError, Spent
from qc_assets.sources.github_identities import Pool, identities
from qc_assets.sources.github_plan import Package, Wish, from_document, look, packages, plan_key, to_document
from qc_assets.sources.github_progress import Meter
from qc_assets.sources.github_reader import Harvest, Reader, Trouble, Unit
from qc_assets.sources.github_state import State
from qc_assets.sources.source import Batch, DeadLetter, Note, Progress

_VERSION = 1  # raise it when more is read of an item, so that what is held is fetched again
_PLAN_HOLDS = timedelta(hours=24)
# The search index lags behind; a day is not final before this much has passed.
_SETTLED = timedelta(hours=1)


class GitHubSource:
    """Reads GitHub's GraphQL API.

    Args:
        client: who asks.
        state: what is remembered between processes.
        clock: tells the time and waits.
        page: pull requests a page to begin with.
        batch: repositories that are looked at together.
        retry_s: seconds after which what failed is tried once more.
    """

    name = "github"
    complete = True
    synthetic = False
    states = True

    def __init__(
        self, client: Client, state: State, clock: Clock, *, page: int = 25, batch: int = 40, retry_s: float = 3600
    ) -> None:
        self.client = client
        self.state = state
        self.clock = clock
        self.page = page
        self.batch = batch
        self.retry_s = retry_s

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock | None = None) -> "GitHubSource":
        """The source of the settings.

        Raises:
            SourceError: if there is no token.
        """
        clock = clock or SystemClock()
        state = State(settings.home / "github" / "state.db")
        pool = Pool(identities(settings, settings.home / "github"), state, clock, lambda sentence, seconds: None)
        client = Client(
            pool,
            clock,
            url=settings.github_url,
            tries=settings.github_tries,
            first_wait_s=settings.github_first_wait_s,
        )
        return cls(
            client,
            state,
            clock,
            page=settings.github_page_size,
            batch=settings.batch_size,
            retry_s=settings.batch_retry_s,
        )

    def watch(self, progress: Progress) -> None:
        """Have `progress` told of every wait for a limit."""

        def waiting(sentence: str, seconds: float) -> None:
            self.client.spent.waited_s += seconds
            progress(Note(sentence), 0, 1)

        self.client.pool.waiting = waiting

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.client.rest_url}".encode()).hexdigest()[:16]

    def fetch(
        self,
        days: Sequence[date],
        *,
        repos: Sequence[str],
        tables: Sequence[str],
        folder: Path,
        progress: Progress,
        held: Mapping[str, frozenset[date]],
    ) -> Iterator[Batch]:
        wishes = {name: tuple(day for day in days if day not in held.get(name, ())) for name in repos}
        meter = Meter(self.clock, progress, self.client, total=sum(map(bool, wishes.values())))
        self.client.pool.waiting = meter.waiting
        stage = _Stage(self, tables, folder, meter)
        again: list[Wish] = []
        try:
            # Batches are cut from the whole list, so that a run that goes on finds the plans of the one before.
            for start in range(0, len(repos), self.batch):
                chunk = [Wish(name, wishes[name]) for name in repos[start : start + self.batch] if wishes[name]]
                key = plan_key(repos[start : start + self.batch], days, self.fingerprint())
                yield from stage.chunk(chunk, key, again.append)
            yield from self._once_more(again, stage, meter)
        finally:
            self.client.close()

    def _once_more(self, failed: Sequence[Wish], stage: "_Stage", meter: Meter) -> Iterator[Batch]:
        """Try what failed a second time, `retry_s` seconds after its failure."""
        if not failed:
            return
        wait = (stage.last_failure + timedelta(seconds=self.retry_s) - self.clock.now()).total_seconds()
        meter.note(f"{len(failed)} repositories failed; trying them again in {max(wait, 0):.0f} s")
        self.clock.sleep(max(wait, 0))
        lost: list[Wish] = []
        for start in range(0, len(failed), self.batch):
            chunk = failed[start : start + self.batch]
            yield from stage.chunk(chunk, plan_key("again", [wish.repo for wish in chunk]), lost.append)
        for wish in lost:
            yield stage.failure(wish)


class _Stage:
    """Turns chunks of wishes into batches of staged files."""

    def __init__(self, source: GitHubSource, tables: Sequence[str], folder: Path, meter: Meter) -> None:
        self.source = source
        self.client, self.state, self.clock = source.client, source.state, source.clock
        self.tables = set(tables)
        self.folder = folder
        self.meter = meter
        self.reader = Reader(self.client, self.state, self.clock, page=source.page, read=meter.read)
        self.reasons: dict[str, Trouble] = {}
        self.last_failure = self.clock.now()
        self._settled = Spent()

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
        wanted = {wish.repo: wish for wish in wishes}
        planned = {name for package in plan for name in package.repos}
        for wish in wishes:
            if wish.repo not in planned:  # GitHub does not show it: trying again would not help
                yield self.failure(wish)
        self.client.pool.stop.clear()
        work = [package for package in plan if any(name in wanted for name in package.repos)]
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
                            fail(wanted.get(name) or Wish(name, jobs[job].days))
                    self.meter.done(len(jobs[job].repos))
            finally:
                self.client.pool.stop.set()  # so that Ctrl-C need not wait until a limit is over
                threads.shutdown(wait=True, cancel_futures=True)
                self.client.pool.stop.clear()
        self.state.drop_plan(key)

    def failure(self, wish: Wish) -> Batch:
        """What is recorded of a repository that could not be read."""
        why = self.reasons[wish.repo]
        letters = [_letter(replace(why, day=day), wish.repo) for day in wish.days]
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
        if old is not None and datetime.fromisoformat(old["made_at"]) > now - _PLAN_HOLDS:
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
        document = {"made_at": now.isoformat(), "gone": gone, "packages": [to_document(package) for package in plan]}
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
            found = []
            for n, name in enumerate(package.repos):
                found += self._package(plan, f"{number}.{n}", _only(package, name))
            return found
        return [(self._batch(f"{plan}-{number}", package, harvests), [])]

    def _harvest(self, plan: str, unit: Unit) -> Harvest:
        """Read a unit. A search finds nothing under the old name of a repository that was renamed meanwhile."""
        found = self.reader.harvest(plan, unit)
        if len(found.items) + len(found.troubles) >= unit.expected:
            return found
        names = dict(unit.repos)
        for old, repo, reason in look(self.client, list(unit.repos.values())):
            if repo is None:
                raise RequestError(
                    Answer(Kind.REFUSED, 200, reason=f"{old} is gone: {reason}"), "graphql repository", 1
                )
            names[repo["databaseId"]] = repo["nameWithOwner"]
        if names == dict(unit.repos):
            return found  # fewer than counted, because some were updated since and belong to a later day
        self.meter.note(f"renamed: {', '.join(sorted(set(names.values()) - set(unit.repos.values())))}")
        return self.reader.harvest(plan, replace(unit, key=f"{unit.key}+", repos=names))

    def _batch(self, name: str, package: Package, harvests: Sequence[Harvest]) -> Batch:
        days, now = set(package.days), self.clock.now()
        items = [pair for harvest in harvests for pair in harvest.items.values()]
        rows = github_rows.rows(items)
        for table, records in rows.items():
            # An item that was updated while it was read belongs to a later day, and is read with that.
            rows[table] = [record for record in records if record["partition_date"] in days]
        # What the last item says of its repository is newer than the look taken before.
        newest = {item["repository"]["databaseId"]: item["repository"] for item, _ in sorted(items, key=lambda p: p[1])}
        rows["repositories"] = [
            github_rows.repository_row(newest.get(repo["databaseId"], repo), now, day)
            for repo in package.repos.values()
            for day in package.days
        ]
        wanted = {table: records for table, records in rows.items() if table in self.tables}
        files = github_rows.write(wanted, self.folder, name)
        names = {repo["databaseId"]: asked for asked, repo in package.repos.items()}
        letters = [_letter(t, names[t.repo_id]) for harvest in harvests for t in harvest.troubles if t.day in days]
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
            repos={asked: repo["databaseId"] for asked, repo in package.repos.items()},
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
        self.reasons[wish.repo] = Trouble(
            0,
            wish.days[0],
            wish.repo,
            str(error.kind),
            str(error),
            "skipped after a second try",
            error.endpoint,
            error.status,
            error.tries,
        )
        self.meter.note(f"{wish.repo} failed: {error}")

    def _gone(self, name: str, reason: str) -> None:
        self.reasons[name] = Trouble(0, date.min, name, "gone", reason, "skipped", "graphql repository", 200, 1)


def _only(package: Package, name: str) -> Package:
    """A package's part that concerns one repository."""
    repo = package.repos[name]
    number = repo["databaseId"]
    units = tuple(replace(u, repos={number: u.repos[number]}) for u in package.units if number in u.repos)
    return Package({name: repo}, package.days, units)


def _letter(trouble: Trouble, repo: str) -> DeadLetter:
    return DeadLetter(
        partition_date=trouble.day,
        item=trouble.item,
        error_type=trouble.error_type,
        reason=trouble.reason,
        repo=repo,
        endpoint=trouble.endpoint,
        status=trouble.status,
        tries=trouble.tries,
        action=trouble.action,
    )


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time())
