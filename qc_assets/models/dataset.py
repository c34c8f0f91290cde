"""Rows of a feature table as the arrays that models work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.errors import TrainingError
from qc_assets.models.spec import ModelSpec


def matrix(frame: pl.DataFrame, features: Sequence[str], categories: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Feature columns as numbers: booleans 0/1, ordered categories their rank, NULL and unseen levels NaN.

    Returns:
        float64 array of shape (rows, features).

    Raises:
        TrainingError: if a column is missing.
    """
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise TrainingError(f"the rows lack the feature columns {', '.join(missing)}: materialize the features anew")
    columns = [
        pl.col(name).replace_strict({level: rank for rank, level in enumerate(categories[name])}, default=None)
        if name in categories
        else pl.col(name)
        for name in features
    ]
    numbers = frame.select(column.cast(pl.Float64).alias(name) for column, name in zip(columns, features, strict=True))
    return numbers.fill_null(np.nan).to_numpy()


@dataclass(frozen=True)
class Dataset:
    """Labelled rows in order of opening; n rows, k features.

    Attributes:
        keys: repo_id and number, (n, 2) integers.
        x: features, (n, k) float64 with NaN for unknown.
        y: labels 0 or 1, (n,) float64.
        opened_at, known_at: instants, (n,) datetime64[us], UTC.
        observed_until: end of the covered time of each row's repository, (n,) datetime64[us], UTC.
        frame: the rows that all this came from.
    """

    keys: np.ndarray
    x: np.ndarray
    y: np.ndarray
    opened_at: np.ndarray
    known_at: np.ndarray
    observed_until: np.ndarray
    frame: pl.DataFrame

    @classmethod
    def from_frame(cls, spec: ModelSpec, frame: pl.DataFrame) -> "Dataset":
        """Build from rows of `spec.table` that have a label; ties in time are ordered by key."""
        frame = frame.sort(spec.opened_at, "repo_id", "number")
        return cls(
            keys=frame.select("repo_id", "number").to_numpy(),
            x=matrix(frame, spec.features, spec.categories),
            y=frame[spec.target].cast(pl.Float64).to_numpy(),
            opened_at=frame[spec.opened_at].to_numpy(),
            known_at=frame[spec.known_at].to_numpy(),
            observed_until=frame["observed_until"].to_numpy(),
            frame=frame,
        )

    def __len__(self) -> int:
        return len(self.y)
