"""One prediction of p0's kinds, as a server is asked for it: flat arrays against scikit-learn, the same answers."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import verdict
from qc_assets.learning.estimators import SklearnEstimator, fit_classifier
from qc_assets.models.p0 import SPEC


def _milliseconds(ask: Callable[[np.ndarray], object], x: np.ndarray) -> float:
    started = time.perf_counter()
    for row in x:
        ask(row[None, :])
    return (time.perf_counter() - started) / len(x) * 1e3


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5_000, len(SPEC.features)))
    y = (rng.random(5_000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    blend = {candidate.kind: candidate.defaults for candidate in SPEC.candidates}["blend"]
    for kind in ("random_forest", "logistic"):
        ours = fit_classifier(kind, blend[kind], x, y, np.ones(len(y)), seed=0, threads=None)
        assert isinstance(ours, SklearnEstimator)
        ours.score(x[:1])  # flattened once
        single = _milliseconds(ours.score, x[:200])
        theirs = _milliseconds(ours.model.predict_proba, x[:200])
        assert np.allclose(ours.score(x[:200]), ours.model.predict_proba(x[:200])[:, 1], rtol=0, atol=1e-12)
        print(f"{kind}, one row: {single:.3f} ms, scikit-learn {theirs:.2f} ms")
        print(verdict(single / theirs, 0.2, "flat arrays / scikit-learn"), flush=True)
