"""Which classifier of texts a candidate is, and which one lies in a folder."""

from pathlib import Path
from typing import Any

import numpy as np

from qc_assets.errors import QcError
from qc_assets.learning.spec import Parameters
from qc_assets.learning.text.fine_tuning import FineTunedEstimator
from qc_assets.learning.text.text_estimators import LinearTextEstimator


def fit_text_classifier(
    kind: str,
    parameters: Parameters,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    seed: int,
    threads: int | None,
) -> Any:
    """Fit one classifier of texts.

    Args:
        kind: ``linear``, ``words`` or ``fine_tuned``.
        parameters: the estimator's parameters.
        x: body and path of each comment, (rows, 2) of str.
        y: index of the category, (rows,).
        weights: of the rows, (rows,).
        seed: the same seed, rows and threads give the same estimator.
        threads: None means all cores.
    """
    if kind == "linear":
        return LinearTextEstimator.fit(parameters, x, y, weights, seed=seed)
    if kind == "words":
        return LinearTextEstimator.fit(parameters, x, y, weights, seed=seed, only_words=True)
    if kind == "fine_tuned":
        return FineTunedEstimator.fit(parameters, x, y, weights, seed=seed, threads=threads)
    raise QcError(f"no classifier of texts called {kind}")


def load_text_classifier(folder: Path) -> Any:
    """Load whichever classifier of texts lies in `folder`.

    Raises:
        QcError: if there is none.
    """
    if (folder / FineTunedEstimator.file).exists():
        return FineTunedEstimator.load(folder)
    if (folder / LinearTextEstimator.file).exists():
        return LinearTextEstimator.load(folder)
    raise QcError(f"no classifier of texts in {folder}")
