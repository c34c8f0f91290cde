"""How long and how well an author has been known in a repository, as of one instant."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

LEVELS = ("newcomer", "junior", "mid", "senior")


@dataclass(frozen=True)
class Seniority:
    """Thresholds of the levels; `warehouse/macros.sql` has the same rule as a macro.

    A level needs both: so many pull requests merged in the repository before, and so many days since the author's
    first pull request or issue there. History that began before the warehouse's is missing, so what the platform
    itself says of the author's standing is believed as well, and so are rights that the author has used: a contributor,
    or who gave verdicts on others' work, is at least junior, and a member of the project, or who merged it, at least
    mid.

    Attributes:
        merged: pull requests merged before, for junior, mid and senior.
        days: days of tenure, for junior, mid and senior.
    """

    merged: Sequence[int] = (1, 5, 20)
    days: Sequence[int] = (0, 30, 180)

    def of(
        self,
        merged: pl.Series,
        days: pl.Series,
        association: pl.Series | None,
        reviews: pl.Series | None = None,
        merges: pl.Series | None = None,
    ) -> pl.Series:
        """The level of each author; ``unknown`` where nothing is known of the author.

        Args:
            merged, days: what each level needs.
            association: the platform's word.
            reviews, merges: verdicts on others' work and merges of it, given before in the repository.
        """
        frame = pl.DataFrame({"merged": merged.cast(pl.Float64), "days": days.cast(pl.Float64)}).with_columns(
            association=association if association is not None else pl.lit(None, dtype=pl.String),
            reviews=0 if reviews is None else reviews.cast(pl.Float64),
            merges=0 if merges is None else merges.cast(pl.Float64),
        )
        level: pl.Expr = pl.lit(0)
        for rank, (least_merged, least_days) in enumerate(zip(self.merged, self.days, strict=True), start=1):
            reached = (pl.col("merged") >= least_merged) & (pl.col("days") >= least_days)
            level = pl.when(reached).then(rank).otherwise(level)
        standing = (
            pl.when(pl.col("association").is_in(["OWNER", "MEMBER", "COLLABORATOR"]) | (pl.col("merges") > 0))
            .then(2)
            .when((pl.col("association") == "CONTRIBUTOR") | (pl.col("reviews") > 0))
            .then(1)
            .otherwise(0)
        )
        highest = pl.when(pl.col("merged").is_null()).then(None).otherwise(pl.max_horizontal(level, standing))
        names = dict(enumerate(LEVELS))
        return frame.select(highest.replace_strict(names, default="unknown", return_dtype=pl.String)).to_series()
