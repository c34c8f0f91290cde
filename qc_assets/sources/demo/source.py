"""A seeded, synthetic GitHub with known ground truth: the default source, which needs no network and no token.

The world is generated once per set of settings and cached under `QC_HOME/demo/<fingerprint>/`, one Parquet file a
raw table. `truth.parquet` beside them holds the true p0 of every pull request; nothing but tests and notebooks
reads it. All ids are negative, so that synthetic rows can never be taken for GitHub's.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from qc_assets.errors import SourceError
from qc_assets.progress import Reporter
from qc_assets.settings import Settings
from qc_assets.sources.demo import TRAITS
from qc_assets.sources.demo.generated import generate
from qc_assets.sources.kept_rows import kept_rows, stage_kept_rows
from qc_assets.sources.source import Batch

_VERSION = 7  # raise it when the generator changes, so that cached worlds are not mistaken for new ones


class DemoSource:
    """The synthetic source.

    Args:
        cache: folder of generated worlds.
        n_prs: pull requests in the world.
        days: days over which their openings are spread.
        first_day: first day of the world (UTC).
        seed: seed of everything random.
        bias: one to plant, as in ``newcomers:-0.8``; see `qc_assets.sources.demo.knobs.Bias`.
        broken_day: a day that cannot be read.
    """

    name = "demo"
    traits = TRAITS

    def __init__(
        self,
        cache: Path,
        *,
        n_prs: int,
        days: int,
        first_day: date,
        seed: int,
        bias: str = "",
        broken_day: date | None = None,
    ) -> None:
        self.cache = cache
        self.n_prs = n_prs
        self.days = days
        self.first_day = first_day
        self.seed = seed
        self.bias = bias
        self.broken_day = broken_day

    @classmethod
    def from_settings(cls, settings: Settings) -> "DemoSource":
        return cls(
            settings.home / "demo",
            n_prs=settings.demo_prs,
            days=settings.demo_days,
            first_day=settings.first_date,
            seed=settings.seed,
            bias=settings.demo_bias,
            broken_day=settings.demo_broken_day,
        )

    @property
    def last_day(self) -> date:
        return self.first_day + timedelta(days=self.days - 1)

    def fingerprint(self) -> str:
        world = [_VERSION, self.n_prs, self.days, self.first_day.isoformat(), self.seed, self.bias]
        return hashlib.sha256(json.dumps(world).encode()).hexdigest()[:16]

    def folder(self) -> Path:
        """The folder of this world's files, generating them if need be; safe under many processes at once."""

        def write_world(folder: Path) -> None:
            for name, frame in generate(self.n_prs, self.days, self.first_day, self.seed, self.bias).items():
                frame.write_parquet(folder / f"{name}.parquet", compression="lz4", row_group_size=20_000)

        return kept_rows(self.cache, self.fingerprint(), write_world)

    def truth(self, name: str = "truth") -> pl.DataFrame:
        """What no model may see: ``truth``, ``truth_issues`` or ``truth_comments`` as `generate` returns them."""
        return pl.read_parquet(self.folder() / f"{name}.parquet")

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
        outside = [day for day in days if not self.first_day <= day <= self.last_day]
        if outside:
            raise SourceError(
                f"the demo has no {outside[0]}: it runs from {self.first_day} to {self.last_day} "
                "(QC_START_DATE and QC_DEMO_DAYS)"
            )
        progress("generating the demo", 0, 1)
        world = self.folder()
        repositories = pl.read_parquet(world / "repositories.parquet", columns=["repo_id", "name"]).unique()
        unknown = sorted(set(repos) - set(repositories["name"]))
        if unknown:
            raise SourceError(
                f"the demo has no repository {unknown[0]}; it has {', '.join(sorted(repositories['name'])[:5])}, …"
            )
        ids = repositories.filter(pl.col("name").is_in(list(repos)))["repo_id"].to_list() if repos else None
        if self.broken_day is not None and self.broken_day in days:
            error = (
                f"the demo's {self.broken_day} cannot be read, as QC_DEMO_BROKEN_DAY asks: unset it, and load it again"
            )
            yield Batch(days=(self.broken_day,), tables={}, status="failed", error=error)
        sound = [day for day in days if day != self.broken_day]
        staged = stage_kept_rows(
            world, tables, folder, days=sound, repo_ids=ids, progress=progress, step="staging the demo"
        )
        yield Batch(days=tuple(sound), tables=staged)


SOURCE = DemoSource
