"""BiasAnalysis: what a comparison of groups says."""

from dataclasses import dataclass

import polars as pl

from qc_assets.fairness.comparison_kinds import ComparisonKind

FLAGGED, NO_GAP, TOO_SMALL, SHOWN = "flagged", "no gap seen", "too small to say", "not judged"


@dataclass(frozen=True)
class BiasAnalysis:
    """What a comparison found.

    Attributes:
        attribute: what the groups are groups of.
        kind: how the groups were compared.
        findings: one row a group and metric. `value` beside `expected` (what it would be if the group were treated
            as everybody is; the value over all rows for metrics that are not judged); `gap` between them with its
            95 % interval `lower` to `upper` (of the value, for metrics that are not judged); `relative_gap`;
            `detectable`, the relative gap that would be found four times in five; `p_value`; `q_value` after
            Benjamini and Hochberg; `status`.
        counts: one row a group: rows, share, weight (inverse frequency).
        threshold: relative gap above which a gap is large.
        significance: highest q value of a gap that is significant.
        min_support: fewest rows of a group that is judged.
        note: what a reader must know before the numbers; empty if nothing.
    """

    attribute: str
    kind: ComparisonKind
    findings: pl.DataFrame
    counts: pl.DataFrame
    threshold: float
    significance: float
    min_support: int
    note: str = ""

    @property
    def flags(self) -> pl.DataFrame:
        """The flagged findings, largest relative gap first."""
        return self.findings.filter(pl.col("status") == FLAGGED).sort(pl.col("relative_gap").abs(), descending=True)

    @property
    def telling(self) -> pl.DataFrame:
        """The findings without figures, shown but not judged, of groups that are too small to say anything of."""
        means_nothing = (pl.col("status") == SHOWN) & (pl.col("rows") < self.min_support)
        return self.findings.filter(~means_nothing)

    @property
    def too_small(self) -> list[str]:
        """Groups about which nothing can be said."""
        return self.counts.filter(pl.col("rows") < self.min_support)["group"].to_list()

    @property
    def imbalance_ratio(self) -> float:
        """Rows of the largest group for one of the smallest that has any."""
        rows = self.counts.filter(pl.col("rows") > 0)["rows"].to_numpy()
        return float(rows.max() / rows.min())
