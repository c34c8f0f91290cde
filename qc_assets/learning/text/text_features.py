"""A few numbers for each text: principal components of its embeddings, fitted on the train window only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning.text.embeddings import cached_encoder, trusted_encoder

N_COMPONENTS = 6
# MiniLM reads 256 tokens; the start of a description says what it is about.
_MAX_CHARACTERS = 1_000


@dataclass(frozen=True)
class TextReducer:
    """Text columns as principal components.

    Attributes:
        columns: text columns.
        encoder: name of the encoder.
        means: mean embedding of each column, (columns, dimension).
        components: directions of each column, (columns, components, dimension).
    """

    columns: tuple[str, ...]
    encoder: str
    means: np.ndarray
    components: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers, in order."""
        count = self.components.shape[1]
        return tuple(f"{column}_text_{n}" for column in self.columns for n in range(1, count + 1))

    @classmethod
    def fit(cls, frame: pl.DataFrame, columns: Sequence[str], encoder: str | None = None) -> "TextReducer":
        """Fit on the rows of a train window, which have the text columns; unknown texts are left out."""
        from sklearn.decomposition import PCA

        name = cached_encoder(encoder).name
        means, directions = [], []
        for column in columns:
            vectors = embed(frame[column].drop_nulls().to_list(), name)
            analysis = PCA(N_COMPONENTS, svd_solver="full").fit(vectors)
            means.append(analysis.mean_)
            directions.append(analysis.components_)
        return cls(tuple(columns), name, np.array(means), np.array(directions))

    def __call__(self, frame: pl.DataFrame) -> np.ndarray:
        """The numbers, (rows, columns * components); NaN where a text, or a whole column, is not known."""
        count = self.components.shape[1]
        numbers = np.full((len(frame), len(self.columns) * count), np.nan)
        for index, column in enumerate(self.columns):
            if column not in frame.columns:
                continue
            known = frame[column].is_not_null().to_numpy()
            vectors = embed(frame[column].drop_nulls().to_list(), self.encoder)
            part = slice(index * count, (index + 1) * count)
            numbers[known, part] = (vectors - self.means[index]) @ self.components[index].T
        return numbers

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": list(self.columns),
            "encoder": self.encoder,
            "means": self.means.tolist(),
            "components": self.components.tolist(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TextReducer":
        means, components = np.array(document["means"]), np.array(document["components"])
        return cls(tuple(document["columns"]), trusted_encoder(document["encoder"]), means, components)


def has_enough_texts(frame: pl.DataFrame, columns: Sequence[str]) -> bool:
    """Whether components can be fitted on rows: each column is there, and is known in enough of them."""
    known = [len(frame) - frame[column].null_count() for column in columns if column in frame.columns]
    return len(known) == len(columns) and min(known) >= N_COMPONENTS


def embed(texts: Sequence[str], encoder: str) -> np.ndarray:
    """Embeddings of the beginnings of texts, (len(texts), dimension) float64."""
    starts = [text[:_MAX_CHARACTERS] for text in texts]
    unique = list(dict.fromkeys(starts))
    place = {text: row for row, text in enumerate(unique)}
    return cached_encoder(encoder).encode(unique)[[place[text] for text in starts]].astype(np.float64)
