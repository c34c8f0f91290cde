"""Rows of a feature table as the arrays that models work on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qc_assets.errors import TrainingError
from qc_assets.learning.metrics.units import units_of
from qc_assets.learning.spec import ModelSpec


def matrix(frame: pl.DataFrame, features: Sequence[str], categories: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Feature columns as one array.

    Numbers: booleans 0/1, ordered levels their rank, NULL and unseen levels NaN. Texts: as they are, NULL empty.

    Returns:
        Array of shape (rows, features): objects if the features are texts, else float64.

    Raises:
        TrainingError: if a column is missing.
    """
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise TrainingError(f"the rows lack the feature columns {', '.join(missing)}: materialize the features anew")
    if all(frame.schema[name] == pl.String and name not in categories for name in features):
        return frame.select(pl.col(features).fill_null("")).to_numpy().astype(object)
    columns = [
        pl.col(name).replace_strict({level: rank for rank, level in enumerate(categories[name])}, default=None)
        if name in categories
        else pl.col(name)
        for name in features
    ]
    numbers = frame.select(column.cast(pl.Float64).alias(name) for column, name in zip(columns, features, strict=True))
    return numbers.fill_null(np.nan).to_numpy()


def matrix_of(
    rows: Sequence[Mapping[str, Any]], features: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> np.ndarray:
    """As `matrix`, of rows by name whose features are numbers and levels: a frame of one row costs milliseconds."""
    x = np.empty((len(rows), len(features)))
    for column, name in enumerate(features):
        values = [row.get(name) for row in rows]
        if name in categories:
            ranks: Mapping[Any, float] = {level: float(rank) for rank, level in enumerate(categories[name])}
            values = [ranks.get(value) for value in values]
        x[:, column] = values  # None becomes NaN
    return x


@dataclass(frozen=True)
class Dataset:
    """Labelled rows in order of opening; n rows, k features.

    Attributes:
        x: features, (n, k); see `matrix`.
        y: 0 or 1; hours, infinite while it lasts; or the index of the category; (n,) float64.
        opened_at, known_at: instants, (n,) datetime64[us], UTC.
        observed_until: end of the covered time of each row's repository, (n,) datetime64[us], UTC.
        frame: the rows that all this came from.
        left_hours: hours from the opening until the item left without its end, infinite while it has not, (n,); None
            where the spec has no `left_at`.
    """

    x: np.ndarray
    y: np.ndarray
    opened_at: np.ndarray
    known_at: np.ndarray
    observed_until: np.ndarray
    frame: pl.DataFrame
    left_hours: np.ndarray | None = None

    @classmethod
    def from_frame(
        cls, spec: ModelSpec, frame: pl.DataFrame, labels_of: Callable[[ModelSpec, pl.Series], np.ndarray]
    ) -> "Dataset":
        """Build from rows of a model; ties in time are ordered by key. See `qc_assets.learning.task.dataset_of`.

        Args:
            spec: the model.
            frame: its rows.
            labels_of: makes `y` of the target column.

        Raises:
            TrainingError: if a column is missing, or a label cannot be.
        """
        frame = frame.sort(spec.opened_at, *spec.key)
        return cls(
            x=matrix(frame, spec.features, spec.categories),
            y=labels_of(spec, frame[spec.target]),
            opened_at=frame[spec.opened_at].to_numpy(),
            known_at=frame[spec.known_at].to_numpy(),
            observed_until=frame["observed_until"].to_numpy(),
            frame=frame,
            left_hours=_left_hours(spec, frame) if spec.left_at else None,
        )

    def __len__(self) -> int:
        return len(self.y)

    def units(self, rows: np.ndarray) -> np.ndarray | None:
        """Whose some rows are, see `units_of`."""
        return units_of(self.frame[rows], self.opened_at[rows])


def _left_hours(spec: ModelSpec, frame: pl.DataFrame) -> np.ndarray:
    microseconds = (pl.col(spec.left_at) - pl.col(spec.opened_at)).dt.total_microseconds()
    return frame.select((microseconds / 3_600_000_000).cast(pl.Float64).fill_null(np.inf)).to_series().to_numpy()


def matured(spec: ModelSpec, frame: pl.DataFrame) -> np.ndarray:
    """1 for rows whose label is known and had time to mature, else 0, (rows,)."""
    old_enough = pl.col(spec.opened_at) < pl.col("observed_until") - spec.maturity
    labelled = old_enough & pl.col(spec.target).is_not_null()
    return frame.select(labelled.fill_null(False)).to_series().cast(pl.Float64).to_numpy()
