"""How GitHub is reached: who asks, what is remembered, and how much at a time."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from typing import Self

import duckdb

from qc_assets.clock import Clock, SystemClock
from qc_assets.forges import GITHUB, SAYS_MADE_UP, forge_at
from qc_assets.progress import Note, Reporter
from qc_assets.settings import Settings
from qc_assets.sources.github import TRAITS
from qc_assets.sources.github.answers import Kind
from qc_assets.sources.github.client import Client, RequestError
from qc_assets.sources.github.identities import Pool, identities
from qc_assets.sources.github.state import State
from qc_assets.store.forge_records import register

_LONGEST_META = 2**20  # bytes
_VERSION = 2  # raise it when more is read of an item, so that what is held is fetched again


class GitHubAccess:
    """What everything that reads GitHub needs.

    Args:
        client: who asks.
        state: what is remembered between processes.
        clock: tells the time and waits.
        page: pull requests a page to begin with.
        batch: repositories that are looked at together.
        retry_s: seconds after which what failed is tried once more.
        accepted_gaps: names (lower case) of repositories of which GitHub may hide items.
        files: whether the files of openings are read, too.

    Attributes:
        traits: with the forge that the client asks.
    """

    name = "github"

    def __init__(
        self,
        client: Client,
        state: State,
        clock: Clock,
        *,
        page: int = 25,
        batch: int = 40,
        retry_s: float = 3600,
        accepted_gaps: Collection[str] = (),
        files: bool = False,
    ) -> None:
        self.client = client
        self.state = state
        self.clock = clock
        self.page = page
        self.batch = batch
        self.retry_s = retry_s
        self.accepted_gaps = accepted_gaps
        self.files = files
        self._is_made_up: bool | None = None
        self.traits = replace(TRAITS, forge=forge_at(client.rest_url))

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """The access of the settings.

        Raises:
            SourceError: if there is no token.
        """
        clock = clock or SystemClock()
        state = State(settings.home / "github" / "state.db", settings.shared)
        pool = Pool(identities(settings, settings.home / "github"), state, clock, lambda sentence, seconds: None)
        client = Client(
            pool,
            clock,
            url=settings.github_url,
            tries=settings.github_tries,
            first_wait_s=settings.github_first_wait_s,
            deadline_s=settings.github_deadline_s,
            max_bytes=settings.github_max_answer_bytes,
        )
        return cls(
            client,
            state,
            clock,
            page=settings.github_page_size,
            batch=settings.batch_size,
            retry_s=settings.batch_retry_s,
            accepted_gaps=[name.lower() for name in settings.github_accepted_gaps],
            files=settings.github_files,
        )

    def is_made_up(self) -> bool:
        """Whether the server says of itself that it makes its activity up, as `qc fake-github` does; asked once.

        Raises:
            RequestError: if it cannot be asked.
        """
        if self._is_made_up is None:
            self._is_made_up = self.traits.forge != GITHUB and self._says_made_up()
        return self._is_made_up

    def _says_made_up(self) -> bool:
        try:
            meta = json.loads(self.client.text("/meta", "application/json", _LONGEST_META) or "{}")
        except ValueError:
            return False
        except RequestError as error:
            if error.kind is not Kind.REFUSED:
                raise
            return False  # an Enterprise server may keep this to itself
        return isinstance(meta, dict) and bool(meta.get(SAYS_MADE_UP))

    def forge_number(self, connection: duckdb.DuckDBPyConnection) -> int:
        """The number of its forge in a warehouse, from `Warehouse.write`.

        Raises:
            QcError: if the server cannot be asked, or the warehouse knows it as another.
        """
        return register(connection, self.traits.forge, is_synthetic=self.is_made_up())

    def watch(self, progress: Reporter) -> None:
        """Have `progress` told of every wait for a limit."""

        def waiting(sentence: str, seconds: float) -> None:
            self.client.spent.waited_s += seconds
            progress(Note(sentence), 0, 1)

        self.client.pool.waiting = waiting
        self.client.note = lambda sentence: progress(Note(sentence), 0, 1)

    def fingerprint(self) -> str:
        """Identity of what is read of an item, and of whom."""
        return hashlib.sha256(f"{_VERSION} {self.client.rest_url}{' files' * self.files}".encode()).hexdigest()[:16]
