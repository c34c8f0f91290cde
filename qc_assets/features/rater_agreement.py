"""How far people who labelled the same comments agree, beyond what chance alone would give."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Agreement:
    """Two raters and what both labelled.

    Attributes:
        raters: who.
        comments: how many both labelled.
        same: how many of those they gave the same category.
        kappa: Cohen's; None where it does not exist, as both gave one and the same category to all.
    """

    raters: tuple[str, str]
    comments: int
    same: int
    kappa: float | None

    def __str__(self) -> str:
        kappa = "not to be told, as there is one category" if self.kappa is None else f"{self.kappa:.2f}"
        return f"{' and '.join(self.raters)} agree on {self.same} of {self.comments} comments; Cohen's kappa: {kappa}"


def agreement_of(votes: pl.DataFrame) -> tuple[Agreement, ...]:
    """Agreement of each pair of raters that labelled a comment in common, in the order of their names.

    Args:
        votes: ``about``, ``rater`` and ``category``, a row an opinion; of several of one rater the last counts.
    """
    if votes.is_empty():
        return ()
    from sklearn.metrics import cohen_kappa_score

    single = votes.unique(("about", "rater"), keep="last", maintain_order=True)
    pairs = single.join(single, on="about", suffix="_other").filter(pl.col("rater") < pl.col("rater_other"))
    agreements = []
    for raters, both in sorted(pairs.group_by("rater", "rater_other"), key=lambda group: str(group[0])):
        given, other = both["category"].to_list(), both["category_other"].to_list()
        same = sum(a == b for a, b in zip(given, other, strict=True))
        kappa = float(cohen_kappa_score(given, other)) if len({*given, *other}) > 1 else None
        agreements.append(Agreement((str(raters[0]), str(raters[1])), both.height, same, kappa))
    return tuple(agreements)
