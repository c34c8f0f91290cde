"""Weights that make groups of rows count alike."""

import numpy as np
import polars as pl


def inverse_frequency(sizes: np.ndarray) -> np.ndarray:
    """Weight of the rows of each group, ``n / (k * n_g)``, for k groups of these sizes, (groups,); their mean is 1."""
    return sizes.sum() / (len(sizes) * sizes)


def group_weights(groups: pl.Series) -> np.ndarray:
    """Inverse-frequency weights of rows, (rows,); missing values are a group of their own."""
    names = groups.cast(pl.String).fill_null("unknown").to_numpy().astype(str)
    _, inverse, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return inverse_frequency(sizes)[inverse]
