"""What a linear classifier of texts makes of rare categories, and of texts from elsewhere."""

from typing import Any

import numpy as np
import pytest

from qc_assets.learning.text import text_estimators
from qc_assets.learning.text.text_estimators import LinearTextEstimator


def fitted(texts: list[str], y: list[float], **options: Any) -> LinearTextEstimator:
    x = np.array([[text, ""] for text in texts], dtype=object)
    return LinearTextEstimator.fit({"C": 2.0}, x, np.array(y), np.ones(len(y)), seed=0, **options)


def test_a_rare_category_counts_half_of_the_way_to_an_equal_share() -> None:
    estimator = fitted(["the same words"] * 100, [0.0] * 90 + [1.0] * 10, only_words=True)
    (shares,) = estimator.score(np.array([["the same words", ""]], dtype=object))
    assert shares[1] == pytest.approx(np.sqrt(0.1) / (np.sqrt(0.1) + np.sqrt(0.9)), abs=0.02)
    gap = fitted(["the same words"] * 4, [0.0, 0.0, 2.0, 2.0], only_words=True)
    assert gap.score(np.array([["words", ""]], dtype=object))[0].tolist() == pytest.approx([0.5, 0, 0.5])


def test_marks_that_the_labelled_project_never_used_do_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        name = "blind"

        def encode(self, texts: list[str]) -> np.ndarray:
            return np.zeros((len(texts), 4))

    monkeypatch.setattr(text_estimators, "cached_encoder", lambda name=None: Blind())
    texts = [f"please rename {n}" if n % 2 else f"why is {n} read twice here?" for n in range(40)]
    estimator = fitted(texts, [float(n % 2) for n in range(40)])
    many, more = (estimator.score(np.array([["`" * count, ""]], dtype=object)) for count in (1_000, 100_000))
    assert np.allclose(many, more), "beyond what was seen, more of it says no more"
    assert many.max() < 0.99
