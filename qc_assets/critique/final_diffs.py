"""The last change of a pull request, where a source can tell it: from the demo's world, or asked of GitHub once."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, SourceError
from qc_assets.forges import forge_number, number_of
from qc_assets.settings import Settings
from qc_assets.sources.github.access import GitHubAccess
from qc_assets.sources.github.client import Client
from qc_assets.sources.registry import open_source
from qc_assets.sources.source import Truthful
from qc_assets.sqlite_files import sqlite_transaction
from qc_assets.store.dead_letters import DeadLetter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS diffs (
    repo_id INTEGER, number INTEGER, updated_at TEXT, diff BLOB, PRIMARY KEY (repo_id, number)
);
"""


@dataclass(frozen=True)
class Pull:
    """A pull request as last observed."""

    repo_id: int
    repo: str | None
    number: int
    updated_at: datetime | None


def unread(pull: Pull, error_type: str, reason: str, *, is_final: bool = True, **request: Any) -> DeadLetter:
    """What to write down of a pull request whose last change is not known.

    Args:
        pull: of which.
        error_type, reason, is_final: as in `DeadLetter`.
        request: endpoint, status and tries, if somebody was asked.
    """
    action = "kept; whether the line changed is not known" + ("" if is_final else "; it will be asked again")
    item = f"diff of {pull.repo}#{pull.number}"
    request = {"tries": 1} | request
    return DeadLetter(
        now_utc().date(), item, error_type, reason, action=action, is_final=is_final, repo=pull.repo, **request
    )


class FinalDiffError(QcError):
    """A change that could not be read; `failure` is what to write down."""

    def __init__(self, failure: DeadLetter) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class FinalDiffs(Protocol):
    """Where last changes come from."""

    def __call__(self, pull: Pull) -> str | None:
        """The last unified diff of a pull request; None if the source does not tell.

        Raises:
            FinalDiffError: if it should, and could not be read.
        """
        ...


class NoDiffs:
    """Of a source that has none, such as GH Archive."""

    def __call__(self, pull: Pull) -> str | None:
        return None


class KnownDiffs:
    """Those of a made-up world.

    Args:
        frame: repo_id, number and diff.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._known = {(repo_id, number): diff for repo_id, number, diff in frame.iter_rows()}

    def __call__(self, pull: Pull) -> str | None:
        return self._known.get((pull.repo_id, pull.number))


class GitHubDiffs:
    """Asked of GitHub, one request a pull request, and kept until it is updated.

    Args:
        client: who asks.
        cache: SQLite file; what it has is not asked again, so a run that was stopped goes on where it was.
        limit: bytes of the longest diff to read.
        forge: which the client asks; those of another are not known here. None: every pull request is the client's.
    """

    def __init__(self, client: Client, cache: Path, limit: int, forge: str | None = None) -> None:
        self.client = client
        self.cache = cache
        self.limit = limit
        self._numbers = forge and {forge_number(forge, is_synthetic=made_up) for made_up in (False, True)}

    def __call__(self, pull: Pull) -> str | None:
        from qc_assets.sources.github.answers import Kind
        from qc_assets.sources.github.changes import DiffTooLongError, read_diff
        from qc_assets.sources.github.client import RequestError

        if pull.repo is None or (self._numbers and number_of(pull.repo_id) not in self._numbers):
            return None
        key = [pull.repo_id, pull.number, str(pull.updated_at)]
        with sqlite_transaction(self.cache, [_SCHEMA], is_cache=True) as cache:
            cached = cache.execute(
                "SELECT diff FROM diffs WHERE repo_id = ? AND number = ? AND updated_at = ?", key
            ).fetchone()
        if cached:
            return zlib.decompress(cached[0]).decode()
        try:
            text = read_diff(self.client, pull.repo, pull.number, limit=self.limit)
        except DiffTooLongError as error:
            raise FinalDiffError(unread(pull, "too_long", str(error))) from error
        except RequestError as error:
            if error.kind is Kind.UNAUTHORIZED:
                raise  # no identity is left: nothing else could be read either
            request = {"endpoint": error.endpoint, "status": error.status, "tries": error.tries}
            final = error.kind is Kind.REFUSED
            raise FinalDiffError(unread(pull, str(error.kind), str(error), is_final=final, **request)) from error
        with sqlite_transaction(self.cache, [_SCHEMA], is_cache=True) as cache:
            row = [*key, zlib.compress(text.encode(), 1)]
            cache.execute("INSERT OR REPLACE INTO diffs VALUES (?, ?, ?, ?)", row)
        return text


@contextmanager
def final_diffs(settings: Settings) -> Iterator[FinalDiffs]:
    """Last changes from the source of the settings."""
    if not settings.traits.shows_diffs:
        yield NoDiffs()
        return
    source = open_source(settings)
    if isinstance(source, Truthful):
        yield KnownDiffs(source.truth("diffs"))
    elif isinstance(source, GitHubAccess):
        try:
            cache = settings.home / "critique" / "diffs.db"
            yield GitHubDiffs(source.client, cache, settings.max_diff_bytes, settings.forge)
        finally:
            source.client.close()
    else:
        raise SourceError(f"the {settings.source} source says that it shows diffs, and has no way to ask for one")
