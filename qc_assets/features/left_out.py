"""How far items that a model could not learn from would move what it learnt."""

from typing import Any

from qc_assets.store.warehouse import Warehouse

# Of the share that passed. What moves it by more than the first deserves a look; by more than the second, predictions
# are of other items than they are asked about.
MOST_MOVED, MOST_BORNE = 0.02, 0.05


def of_unknown_size(store: Warehouse) -> dict[str, Any]:
    """Pull requests that are fit for p0 but for their unknown size: counts, shares that passed, and ``moved``."""
    row = store.sql_file("features/pull_requests", section="unknown_sizes").row(0, named=True)
    return row | {"moved": row["moved"] or 0.0}


def stands_for_all(store: Warehouse) -> tuple[bool, str]:
    """Whether what a model learnt from stands for what it is asked about, and a sentence on what was left out.

    Of a model with `ModelSpec.leaves_out`; the items are pull requests.
    """
    unknown = of_unknown_size(store)
    if not unknown["left_out"]:
        return True, "no size is unknown where sizes decide"
    sentence = (
        f"{unknown['left_out']:,} pull requests of unknown size were left out, of which "
        f"{unknown['left_out_passed'] or 0:.1%} passed, against {unknown['kept_passed'] or 0:.1%} of the others: "
        f"with them the share would be {abs(unknown['moved']):.1%} "
        f"{'lower' if unknown['moved'] > 0 else 'higher'}, at most {MOST_BORNE:.0%} is borne"
    )
    return abs(unknown["moved"]) <= MOST_BORNE, sentence
