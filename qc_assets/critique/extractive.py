"""Summaries without a language model: the sentences that say most of what a discussion says."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qc_assets.critique.masks import masked
from qc_assets.critique.prose import parts
from qc_assets.critique.threads import Thread

_BOUNDARY = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z0-9`\"'(])|\n+")
_DAMPING = 0.85
_STEPS = 50


def sentences(text: str) -> list[str]:
    """Sentences of at least three words, in their order."""
    stripped = (sentence.strip() for sentence in _BOUNDARY.split(text))
    return [sentence for sentence in stripped if len(sentence.split()) >= 3]


def lexrank(vectors: np.ndarray) -> np.ndarray:
    """Centrality of sentences: the stationary distribution of a walk between like sentences (Erkan and Radev, 2004).

    Cosines of embeddings take the place of those of word counts, negative ones count as none.

    Args:
        vectors: unit vectors, (n, dimension).

    Returns:
        Shares, (n,), which add up to 1.
    """
    n = len(vectors)
    likeness = np.maximum(vectors @ vectors.T, 0.0)
    walk = likeness / likeness.sum(axis=1, keepdims=True)
    rank = np.full(n, 1.0 / n)
    for _ in range(_STEPS):
        rank = (1 - _DAMPING) / n + _DAMPING * (rank @ walk)
    return rank / rank.sum()


@dataclass(frozen=True)
class Extractive:
    """Picks the most central sentences of a discussion.

    Attributes:
        encode: texts to unit vectors; the shared cached encoder.
        most_sentences: of a summary.
        most_characters: of a summary.
        encoder: name of the encoder, for the version.
    """

    encode: Callable[[Sequence[str]], np.ndarray]
    most_sentences: int = 2
    most_characters: int = 400
    encoder: str = ""

    @property
    def version(self) -> str:
        """Changes with what it would pick."""
        return f"lexrank:{self.most_sentences}:{self.most_characters}:{self.encoder}".rstrip(":")

    def summarize(self, threads: Sequence[Thread]) -> list[str]:
        """A summary of each discussion, in their order; all sentences are embedded at once."""
        by_thread = [
            [s for remark in thread.remarks for s in sentences(masked(parts(remark.body).prose))] for thread in threads
        ]
        unique = list(dict.fromkeys(sentence for of_thread in by_thread for sentence in of_thread))
        place = {sentence: row for row, sentence in enumerate(unique)}
        vectors = self.encode(unique) if unique else np.empty((0, 1))
        return [
            self._pick(of_thread, vectors[[place[s] for s in of_thread]]) if of_thread else thread.transcript(200)
            for thread, of_thread in zip(threads, by_thread, strict=True)
        ]

    def _pick(self, of_thread: list[str], vectors: np.ndarray) -> str:
        order = np.argsort(-lexrank(vectors), kind="stable")[: self.most_sentences]
        return " ".join(of_thread[row] for row in sorted(order.tolist()))[: self.most_characters]
