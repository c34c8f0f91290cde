"""Whose rows are: how many of them say something new, and how far a sum over them is scattered by chance.

What a model misjudges of one change of an author it misjudges of his next, so the rows of an author are one
observation (clustered standard errors: Liang and Zeger, 1986; Cameron and Miller, 2015). An author of more than a tenth
of the rows is not one of many who might have come but what the rows are about: of him it is his weeks. So what is said
holds for the same large authors and for others like the small ones.
"""

import numpy as np
import polars as pl

_LARGE_SHARE = 0.1


def units_of(frame: pl.DataFrame, opened_at: np.ndarray) -> np.ndarray | None:
    """Whose each row is: numbers of its author, and of its author in that week, (rows, 2); None if nobody knows.

    Args:
        frame: rows, with `author_id` where they have authors; one that is unknown is an author of its own.
        opened_at: when they were opened, (rows,) datetime64.
    """
    if "author_id" not in frame.columns:
        return None
    known, rows = frame["author_id"].is_not_null().to_numpy(), np.arange(len(frame))
    ids = frame["author_id"].fill_null(0).to_numpy()
    _, author = np.unique(np.stack([known, np.where(known, ids, rows)]), axis=1, return_inverse=True)
    week = opened_at.astype("datetime64[W]").astype(np.int64)
    _, in_a_week = np.unique(np.stack([author.ravel(), week]), axis=1, return_inverse=True)
    return np.stack([author.ravel(), in_a_week.ravel()], axis=1)


def independent(units: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A number for each row, from 0 on: rows of the same may be alike, others are not, (rows,).

    Args:
        units: see `units_of`, (rows, 2).
        weights: of the rows, (rows,); those of weight 0 do not count.
    """
    authors, in_a_week = (np.unique(column, return_inverse=True)[1] for column in units.T)
    rows = np.bincount(authors, weights=weights > 0)
    codes = np.where((rows > _LARGE_SHARE * rows.sum())[authors], len(rows) + in_a_week, authors)
    return np.unique(codes, return_inverse=True)[1]


def effective_units(weights: np.ndarray, codes: np.ndarray | None) -> float:
    """How many units of equal weight say as much as some rows (Kish, 1965).

    Args:
        weights: of the rows, (rows,).
        codes: see `independent`, (rows,); None: each row says something of its own.
    """
    mass = weights if codes is None else np.bincount(codes, weights=weights)
    return float(mass.sum() ** 2 / max((mass**2).sum(), 1e-300))


def scatter_of_sum(values: np.ndarray, weights: np.ndarray, units: np.ndarray | None) -> tuple[float, float]:
    """Variance of a weighted sum of values by chance, and the degrees of freedom of Student's t for it.

    Args:
        values, weights: (rows,).
        units: see `units_of`, (rows, 2); None: each row says something of its own.
    """
    codes = np.arange(len(values)) if units is None else independent(units, weights)
    parts = np.bincount(codes, weights=weights * (values - np.average(values, weights=weights)))
    # Infinite from one unit alone, which says nothing of chance.
    few = max(effective_units(weights, codes), 1.0)
    return float(parts @ parts * few / max(few - 1, 1e-9)), max(few - 1, 1e-3)
