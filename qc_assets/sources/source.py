"""The small interface that every source of activity implements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, Protocol

from qc_assets.progress import Reporter
from qc_assets.store.dead_letters import DeadLetter


@dataclass
class Batch:
    """What a source found on some days, as staged files ready to be merged in one transaction.

    Attributes:
        days: the partitions that this batch replaces.
        tables: Parquet files by raw table; a column is named as in the table, missing ones stay NULL.
        repos: ids of the repositories that the batch is about, by the name they were asked for (None if not even
            that is known); None for what was asked of the source as a whole.
        status: ``partial`` where a known part is missing, ``failed`` where nothing was read (`error` says why).
        requests, points, waited_s: HTTP requests and API points spent, and seconds spent waiting for limits.
        lines, bad_lines: lines of input by day, and how many of them could not be read.
    """

    days: tuple[date, ...]
    tables: Mapping[str, Sequence[Path]]
    repos: Mapping[str, int | None] | None = None
    status: Literal["done", "partial", "failed"] = "done"
    error: str | None = None
    dead_letters: list[DeadLetter] = field(default_factory=list)
    requests: int = 0
    points: int = 0
    lines: int = 0
    bad_lines: int = 0
    waited_s: float = 0.0


class Source(Protocol):
    """A source of activity.

    Attributes:
        name: ``demo``, ``gharchive`` or ``github``; stored with every row.
        complete: whether a day holds everything that was active on it. Days of an incomplete source count as
            covered only as far as `ops.coverage` can measure.
        synthetic: whether the activity is made up. Other settings are then another world, and days of the old
            world are removed before the first day of the new one lands.
        states: whether it reads things as they are now, by repository, rather than what happened on a day. Then
            loading a day again adds a newer reading and takes nothing away; what a newer reading of an item does
            not show any more is marked as vanished.
    """

    name: str
    complete: bool
    synthetic: bool
    states: bool

    def fingerprint(self) -> str:
        """Identity of the settings that decide what a day holds; other settings mean fetching again."""
        ...

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
        """Read `days` (ascending), staging files under `folder`, which outlives the iteration.

        Args:
            days: the partitions to read.
            repos: only these repositories (owner/name); empty means all.
            tables: the raw tables that are wanted.
            folder: an empty folder for staged files.
            progress: called now and then.
            held: days that the checkpoint has of each repository; a source of states leaves them out.

        Raises:
            SourceError: if nothing can be read at all; what is merely damaged becomes a dead letter.
        """
        ...
