"""GitHub itself as a source: whole pull requests and issues, by repository and day of their last update.

A batch of repositories is looked at in one request; those in which nothing changed are done with that. The others'
items are counted, divided into packages that are fetched and committed as one, and read page by page, each answer
being remembered on disk until the warehouse has it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from qc_assets.clock import Clock, SystemClock
from qc_assets.progress import Note, Reporter
from qc_assets.settings import Settings
from qc_assets.sources.github.client import Client
from qc_assets.sources.github.identities import Pool, identities
from qc_assets.sources.github.plan import Wish, plan_key
from qc_assets.sources.github.reporting import Meter
from qc_assets.sources.github.stage import Stage
from qc_assets.sources.github.state import State
from qc_assets.sources.source import Batch

_VERSION = 1  # raise it when more is read of an item, so that what is held is fetched again


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

    def watch(self, progress: Reporter) -> None:
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
        progress: Reporter,
        held: Mapping[str, frozenset[date]],
    ) -> Iterator[Batch]:
        wishes = {name: tuple(day for day in days if day not in held.get(name, ())) for name in repos}
        meter = Meter(self.clock, progress, self.client, total=sum(map(bool, wishes.values())))
        self.client.pool.waiting = meter.waiting
        stage = Stage(self.client, self.state, self.clock, page=self.page, tables=tables, folder=folder, meter=meter)
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

    def _once_more(self, failed: Sequence[Wish], stage: Stage, meter: Meter) -> Iterator[Batch]:
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
