"""The small interface that every source of activity implements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from qc_assets.progress import Reporter
from qc_assets.source_traits import SourceTraits
from qc_assets.store.dead_letters import DeadLetter

if TYPE_CHECKING:
    import polars as pl

    from qc_assets.settings import Settings
    from qc_assets.store.warehouse import Warehouse


@dataclass
class Batch:
    """What a source found on some days, as staged files ready to be merged in one transaction.

    Attributes:
        days: the partitions that this batch replaces; none where a repository has merely another name.
        tables: Parquet files by raw table; a column is named as in the table, missing ones stay NULL.
        repos: the forge's own ids of the repositories that the batch is about, by the name they were asked for (None
            if not even that is known); None for what was asked of the source as a whole.
        status: ``partial`` where a known part is missing, ``failed`` where nothing was read (`error` says why).
        requests, points, waited_s: HTTP requests and API points spent, and seconds spent waiting for limits.
        lines, bad_lines: lines of input by day, and how many of them could not be read.
        inputs: what the days were read from, as of `Stamped`; None where nobody can tell.
        repo_ids: the forge's ids that the days were read for, by the name that was asked for, where a source follows
            repositories through their names.
        share_read: how much of the days' input there was, from 0 to 1.
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
    inputs: frozenset[str] | None = None
    repo_ids: Mapping[str, Sequence[int]] = field(default_factory=dict)
    share_read: float = 1.0


class Source(Protocol):
    """A source of activity.

    Attributes:
        name: that of its folder; stored with every row.
        traits: what it says of itself. Loading a day of a source of states again adds a newer reading and takes
            nothing away; what a newer reading of an item does not show any more is marked as vanished. Days of
            another world of a synthetic source are removed before the first day of the new one lands.
    """

    name: str
    traits: SourceTraits

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


class BuiltSource(Source, Protocol):
    """What `SOURCE` in a ``source.py`` is: a class of sources that the settings can build."""

    @classmethod
    def from_settings(cls, settings: "Settings") -> "Source":
        """The source of the settings.

        Raises:
            SourceError: if something that it needs is missing.
        """
        ...


@runtime_checkable
class Stamped(Protocol):
    """A source of files that may be replaced, and of repositories that change their names."""

    def inputs(self, day: date) -> frozenset[str] | None:
        """Name, size and time of change of each file that holds the day; None if they do not lie here."""
        ...

    def ids_of(self, repos: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """The forge's ids that have, or had, these names, as far as the warehouse knows."""
        ...


@runtime_checkable
class KeptUp(Protocol):
    """A source of states: it chooses what to read, and reads again what may have changed without a trace."""

    def discover(self, warehouse: "Warehouse", settings: "Settings", progress: Reporter) -> dict[str, int]:
        """Choose repositories and store them in `raw.repositories`; returns counts by what was done."""
        ...

    def selected(self, warehouse: "Warehouse") -> tuple[str, ...]:
        """Names of the repositories that were chosen last."""
        ...

    def revisit(self, warehouse: "Warehouse", settings: "Settings", progress: Reporter) -> dict[str, int]:
        """Read again what is due; returns counts by what was done."""
        ...


@runtime_checkable
class SelfDescribing(Protocol):
    """A source of a server that may be anybody's."""

    def is_made_up(self) -> bool:
        """Whether the server says that its activity is made up.

        Raises:
            QcError: if it cannot be asked.
        """
        ...


@runtime_checkable
class Credentialed(Protocol):
    """A source that needs a token."""

    def test_token(self) -> str:
        """Make one cheap request; returns a sentence on what came of it.

        Raises:
            QcError: if the token is refused, or nobody answers.
        """
        ...


@runtime_checkable
class Truthful(Protocol):
    """A source that made its activity up and knows the truth about it."""

    def truth(self, name: str) -> "pl.DataFrame":
        """What no model may see; ``truth_comments`` has comment_id and category, ``diffs`` has
        repo_id, number and diff."""
        ...
