"""How far a run against GitHub is: repositories, items a minute, points left, expected end."""

import threading
from datetime import timedelta

from qc_assets.clock import Clock
from qc_assets.progress import Note, Reporter
from qc_assets.sources.github.client import Client


class Meter:
    """Counts and tells.

    Args:
        clock: tells the time.
        progress: told after each answer and each wait.
        client: asked for the points that are left.
        total: repositories that are to be read.
    """

    def __init__(self, clock: Clock, progress: Reporter, client: Client, *, total: int) -> None:
        self.clock = clock
        self.progress = progress
        self.client = client
        self.total = total
        self.repos = 0
        self.items = 0
        self.started = clock.now()
        self.lock = threading.Lock()

    def read(self, items: int) -> None:
        """Some items have been read."""
        with self.lock:
            self.items += items
        self._tell()

    def done(self, repos: int) -> None:
        """Some repositories have been committed."""
        with self.lock:
            self.repos += repos
        self._tell()

    def note(self, sentence: str) -> None:
        """Something that a person should see."""
        self.progress(Note(sentence), self.repos, self.total)

    def waiting(self, sentence: str, seconds: float) -> None:
        """All identities are limited."""
        with self.lock:
            self.client.spent.waited_s += seconds
        self.note(sentence)

    def _tell(self) -> None:
        minutes = max((self.clock.now() - self.started).total_seconds() / 60, 1 / 60)
        left = self.client.pool.left()
        parts = [f"{self.repos}/{self.total} repositories", f"{self.items / minutes:,.0f} items/min"]
        parts += [f"{left:,} points left"] if left is not None else []
        if self.repos:
            rest = timedelta(minutes=minutes * (self.total - self.repos) / self.repos)
            parts.append(f"done about {self.clock.now() + rest:%m-%d %H:%M} UTC")
        self.progress(", ".join(parts), self.repos, self.total)
