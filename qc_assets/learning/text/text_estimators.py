"""Classifiers of comments: a linear one over many views of the text, and a fine-tuned encoder beside it.

A row of `x` is (body, path). What helped is measured by `python -m benchmarks texts`.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from qc_assets.learning.safe_skops import load_skops, skops_io
from qc_assets.learning.spec import Parameters
from qc_assets.learning.text.embeddings import cached_encoder, trusted_encoder

_QUESTIONS = ("why", "what", "how", "is ", "do ", "should", "could", "can", "would")
_POLITE = ("nit", "thanks", "thank you", "done", "+1", "typo", "never mind")


class LinearTextEstimator:
    """Multinomial logistic regression over embeddings, words, characters, the path, and the shape of the text.

    Args:
        parts: fitted scikit-learn objects by name.
        classes: number of categories.
        encoder: name of the encoder; empty: only words are looked at.
    """

    file, meta = "text.skops", "text.json"

    def __init__(self, parts: dict[str, Any], classes: int, encoder: str) -> None:
        self.parts = parts
        self.classes = classes
        self.encoder = encoder

    @classmethod
    def fit(
        cls,
        parameters: Parameters,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        *,
        seed: int,
        only_words: bool = False,
    ) -> "LinearTextEstimator":
        """Fit on texts (rows, 2), labels (rows,) and weights (rows,); with `only_words` on no other view of them."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        few = 1 if len(y) < 200 else 2  # how often a word must occur
        bodies, paths = _columns(x)
        characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True, "min_df": few + 1}
        parts: dict[str, Any] = {
            "words": TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=few).fit(bodies)
        }
        if not only_words:
            parts["characters"] = TfidfVectorizer(**characters).fit(bodies)
            parts["shape"] = StandardScaler().fit(_shape(bodies))
        if any(paths) and not only_words:
            # A path that is hardly ever given has no pieces that occur often enough.
            parts["path"] = TfidfVectorizer(**characters | {"min_df": 1}).fit(paths)
        encoder = "" if only_words else cached_encoder(parameters.get("encoder")).name
        estimator = cls(parts, int(y.max()) + 1, encoder)
        logistic = LogisticRegression(C=parameters["C"], max_iter=2_000, random_state=seed)
        labels = y.astype(np.int64)
        # Half of the way to equal weight: rare categories are named more often, and the shares are still known.
        rarity = 1 / np.sqrt(np.bincount(labels)[labels])
        parts["logistic"] = logistic.fit(estimator._views(x), labels, sample_weight=weights * rarity / rarity.mean())
        return estimator

    def score(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of the categories, (rows, classes)."""
        logistic = self.parts["logistic"]
        probabilities = np.zeros((len(x), self.classes))
        probabilities[:, logistic.classes_] = logistic.predict_proba(self._views(x))
        return probabilities

    def _views(self, x: np.ndarray) -> Any:
        from scipy import sparse

        bodies, paths = _columns(x)
        views = [self.parts["words"].transform(bodies)]
        if self.encoder:
            embedded = cached_encoder(self.encoder).encode(bodies).astype(np.float64)
            views = [
                sparse.csr_matrix(embedded),
                *views,
                self.parts["characters"].transform(bodies),
                # Another project's marks, such as backticks, may be many deviations from what was seen.
                sparse.csr_matrix(0.1 * np.clip(self.parts["shape"].transform(_shape(bodies)), -2, 2)),
            ]
        if "path" in self.parts:
            views.append(0.5 * self.parts["path"].transform(paths))
        return sparse.hstack(views, format="csr")

    def save(self, folder: Path) -> None:
        skops_io().dump(self.parts, folder / self.file)
        (folder / self.meta).write_text(json.dumps({"classes": self.classes, "encoder": self.encoder}))

    @classmethod
    def load(cls, folder: Path) -> "LinearTextEstimator":
        parts = load_skops(folder / cls.file)
        document = json.loads((folder / cls.meta).read_text())
        encoder = document["encoder"] and trusted_encoder(document["encoder"])
        return cls(parts, document["classes"], encoder)


def _columns(x: np.ndarray) -> tuple[list[str], list[str]]:
    bodies = [str(body) for body in x[:, 0]]
    return bodies, [str(path) for path in x[:, 1]] if x.shape[1] > 1 else [""] * len(bodies)


def _shape(texts: list[str]) -> np.ndarray:
    """What a text looks like: some comments are a number, some are code, some ask."""
    return np.array([_shape_of(text, text.lower().strip()) for text in texts], dtype=np.float64)


def _shape_of(text: str, plain: str) -> list[float]:
    return [
        np.log1p(len(text)),
        np.log1p(len(text.split())),
        text.count("?"),
        plain.endswith("?"),
        plain.startswith(_QUESTIONS),
        "\n" in text,
        plain.isdigit(),
        len(re.findall(r"[(){}\[\]=_;]", text)) / max(1, len(text)),
        text.count("`"),
        *(word in plain for word in _POLITE),
    ]
