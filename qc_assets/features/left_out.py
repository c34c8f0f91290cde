"""How far items that a model could not learn from would move what it learnt."""

from typing import Any

from qc_assets.learning.spec import ModelSpec
from qc_assets.store.warehouse import Warehouse

# Of the share that passed. What moves it by more than the first deserves a look; by more than the second, predictions
# are of other items than they are asked about.
MOST_MOVED, MOST_BORNE = 0.02, 0.05
# Of thirty items like one another, of which a fifth is left out, every fourth set would move it by so much.
_MOST_BY_CHANCE = 0.05


def left_out(store: Warehouse, table: str, section: str) -> dict[str, Any]:
    """Items of a feature table that only a lost fact keeps out of a training, as a section of its SQL tells.

    Returns:
        ``left_out``, how many; ``left_out_decided`` and ``kept_decided``, of how many it is known whether they passed;
        ``left_out_passed`` and ``kept_passed``, the shares that passed; ``moved``, by how much
        leaving them out raises the share; ``what`` they are and what to say ``if_none`` is, in words.
    """
    return store.sql_file(table.replace(".", "/"), section=section).row(0, named=True)


def stands_for_all(store: Warehouse, spec: ModelSpec) -> tuple[bool, str]:
    """Whether what a model with `ModelSpec.left_out` learnt from stands for what it is asked about, and a sentence."""
    items = left_out(store, spec.table, spec.left_out)
    if not items["left_out"]:
        return True, items["if_none"]
    sentence = (
        f"{items['left_out']:,} {items['what']} were left out, of which "
        f"{items['left_out_passed'] or 0:.1%} passed, against {items['kept_passed'] or 0:.1%} of the others: "
        f"with them the share would be {abs(items['moved']):.1%} "
        f"{'lower' if items['moved'] > 0 else 'higher'}, at most {MOST_BORNE:.0%} is borne"
    )
    if abs(items["moved"]) > MOST_BORNE and _may_be_chance(items):
        return True, f"{sentence}; of so few that may be chance"
    return abs(items["moved"]) <= MOST_BORNE, sentence


def _may_be_chance(items: dict[str, Any]) -> bool:
    """Whether as unlike shares come of like items more than once in twenty times (Fisher's exact test, 1935)."""
    from scipy.stats import fisher_exact

    table = []
    for part in ("left_out", "kept"):
        decided, passed = items[f"{part}_decided"], items[f"{part}_passed"] or 0.0
        table.append([round(decided * passed), decided - round(decided * passed)])
    return bool(fisher_exact(table).pvalue > _MOST_BY_CHANCE)
