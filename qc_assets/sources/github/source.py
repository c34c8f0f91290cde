"""GitHub itself as a source: whole pull requests and issues, by repository and day of their last update.

A batch of repositories is looked at in one request; those in which nothing changed are done with that. The others'
items are counted, divided into packages that are fetched and committed as one, and read page by page, each answer
being remembered on disk until the warehouse has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from qc_assets.errors import SourceError
from qc_assets.progress import Reporter
from qc_assets.settings import Settings
from qc_assets.sources.github import discovery, revisiting
from qc_assets.sources.github.access import GitHubAccess
from qc_assets.sources.github.client import odd_answers
from qc_assets.sources.github.plan import Wish, plan_key
from qc_assets.sources.github.planning import Planner
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.reporting import Meter
from qc_assets.sources.github.stage import Stage
from qc_assets.sources.source import Batch
from qc_assets.store.warehouse import Warehouse


class GitHubSource(GitHubAccess):
    """Reads GitHub's GraphQL API."""

    def discover(self, warehouse: Warehouse, settings: Settings, progress: Reporter) -> dict[str, int]:
        return discovery.discover(warehouse, self, settings, progress)

    def selected(self, warehouse: Warehouse) -> tuple[str, ...]:
        return discovery.selected(warehouse, self.traits.forge)

    def revisit(self, warehouse: Warehouse, settings: Settings, progress: Reporter) -> dict[str, int]:
        return revisiting.revisit(warehouse, self, settings, progress)

    def test_token(self) -> str:
        self.client.tries = 1
        with closing(self.client), odd_answers("graphql count"):
            self.client.query([Part("count", {"query": "is:pr repo:github/docs"})])
            points = self.client.pool.left()
        return f"{len(self.client.pool.members)} accepted by {self.client.rest_url}, {points or 0:,} points left"

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
        self.client.pool.waiting, self.client.note = meter.waiting, meter.note
        planner = Planner(self.client, self.state, self.clock, days=days, held=held, progress=progress)
        stage = Stage(
            self.client,
            self.state,
            self.clock,
            planner,
            page=self.page,
            tables=tables,
            folder=folder,
            meter=meter,
            ask_once=self.is_made_up,
            accepted_gaps=self.accepted_gaps,
            files=self.files,
        )
        again: list[Wish] = []
        unknown = [day for day in days if not all(day in held.get(name, ()) for name in repos)]
        is_any_known = any(not held.get(name, frozenset()).isdisjoint(unknown) for name in repos)
        try:
            # Batches are cut from the whole list, so that a run that goes on finds the plans of the one before.
            for start in range(0, len(repos), self.batch):
                chunk = [Wish(name, wishes[name]) for name in repos[start : start + self.batch] if wishes[name]]
                key = plan_key(repos[start : start + self.batch], days, self.fingerprint())
                yield from stage.chunk(chunk, key, again.append)
            yield from self._once_more(again, stage, meter)
        finally:
            self.client.close()
        if stage.reasons and not stage.read and not is_any_known:
            reason = next(iter(stage.reasons.values())).reason
            raise SourceError(f"none of {len(stage.reasons)} repositories could be read; the first: {reason}")

    def _once_more(self, failed: Sequence[Wish], stage: Stage, meter: Meter) -> Iterator[Batch]:
        """Try what failed a second time, `retry_s` seconds after its failure."""
        if not failed:
            return
        wait = (stage.last_failure + timedelta(seconds=self.retry_s) - self.clock.now()).total_seconds()
        wait = min(max(wait, 0), self.retry_s)  # whatever the machine's clock has done since
        meter.note(f"{len(failed)} repositories failed; trying them again in {wait:.0f} s")
        self.clock.sleep(wait)
        lost: list[Wish] = []
        for start in range(0, len(failed), self.batch):
            chunk = failed[start : start + self.batch]
            yield from stage.chunk(
                chunk, plan_key("again", self.fingerprint(), [wish.repo for wish in chunk]), lost.append
            )
        for wish in lost:
            yield stage.failure(wish)


SOURCE = GitHubSource
