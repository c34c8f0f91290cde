"""Features that an answer may only rise with, or only fall with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qc_assets.learning.monotony import measure_monotony, turn_signs
from qc_assets.learning.promotion import check_gates, gate_names
from qc_assets.learning.task import dataset_of
from qc_assets.learning.task.combined import fit_heads, fit_one_head, load_any_estimator
from qc_assets.learning.task.terms import Known
from qc_assets.learning.training import train
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.specs import SPECS
from tests.learning.test_models import OPTIONS, SMALL, rows

SMALL_TREES = {"n_estimators": 40, "num_leaves": 6, "min_child_samples": 10}
KINDS: dict[str, dict[str, Any]] = {
    "logistic": {"C": 1.0},
    "random_forest": {"n_estimators": 20, "min_samples_leaf": 5},
    "lightgbm": SMALL_TREES,
    "xgboost": {"n_estimators": 30, "max_depth": 4},
}
KINDS["blend"] = {name: KINDS[name] for name in ("logistic", "random_forest", "lightgbm")}
BOUND = replace(P0, features=("a", "b", "c"), monotone={"a": 1, "b": -1}, heads=None)


def against_sense(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A label that falls with the first feature, and goes up and down with the second; some of each are unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).round(1)
    y = rng.random(n) < 1 / (1 + np.exp(2 * x[:, 0] - 2 * np.sin(3 * x[:, 1]) - x[:, 2]))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y.astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_moves_the_wrong_way_whatever_the_rows_say(kind: str) -> None:
    x, y = against_sense()
    fits = {
        signs: fit_one_head(kind, KINDS[kind], x, y, np.ones(len(y)), seed=0, threads=1, signs=signs)
        for signs in ((), (1, -1, 0), (1, -1))
    }
    free, kept, shorter = (measure_monotony(BOUND, x, each.score) for each in fits.values())
    assert free and kept and shorter
    assert free.share > 0.3 and not free.holds and free.feature in ("a", "b") and "move the wrong way" in str(free)
    assert kept.most < 1e-9 and kept.holds and str(kept).startswith("no answer moves")
    assert shorter == kept, "columns beyond the signs are free"
    assert np.ptp(fits[1, -1, 0].score(x)) > 0.1, "it still learns from the others"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), signs=st.tuples(*[st.sampled_from([-1, 0, 1])] * 3), c=st.sampled_from([0.03, 1, 30])
)
def test_weights_of_a_line_have_their_signs_and_no_better_ones_have(
    seed: int, signs: tuple[int, ...], c: float
) -> None:
    x, y = against_sense(200, seed)
    x, weights = np.nan_to_num(x), np.random.default_rng(seed).uniform(0.5, 2, 200)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=1_000))
    pipeline.fit(x, y, logisticregression__sample_weight=weights)
    model, z = pipeline[-1], pipeline[:-1].transform(x)

    def loss(coefficients: np.ndarray, intercept: float) -> float:
        log_odds = z @ coefficients + intercept
        return float(c * weights @ (np.logaddexp(0, log_odds) - y * log_odds) + 0.5 * coefficients @ coefficients)

    free = loss(model.coef_[0], model.intercept_[0])
    was_right = (model.coef_[0] * np.array(signs) >= 0).all()
    turn_signs(pipeline, x, y, weights, signs)
    kept, intercept = model.coef_[0], model.intercept_[0]
    best = loss(kept, intercept)
    assert (kept * np.array(signs) >= 0).all() and (best == free if was_right else best > free - 1e-6)
    rng = np.random.default_rng(1)
    for step in rng.normal(0, 0.05, (50, 4)):
        other = kept + step[:3]
        other = np.where(other * np.array(signs) < 0, 0.0, other)
        assert loss(other, intercept + step[3]) >= best - 1e-4 * abs(best)


@pytest.mark.parametrize("kind", ["blend", "lightgbm"])
def test_heads_keep_to_signs_though_a_bound_feature_tells_which_way_is_taken(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 3))
    # Who has a long record is reviewed, and what is reviewed passes less often than what is landed without a word.
    way = rng.random(2_000) < 1 / (1 + np.exp(-3 * x[:, 0] - x[:, 2]))
    y = rng.random(2_000) < np.where(way, 0.3, 0.9)
    known = Known(y.astype(float), np.ones(2_000), way=way.astype(float))
    heads = fit_heads(kind, KINDS[kind], x, known, seed=0, threads=1, signs=(1, 0))
    heads.save(tmp_path)
    kept = load_any_estimator(tmp_path).score
    spec = replace(BOUND, monotone={"a": 1})
    assert np.array_equal(kept(x), heads.score(x))
    assert (measured := measure_monotony(spec, x, kept)) and measured.most < 1e-9
    free = fit_heads(kind, KINDS[kind], x, known, seed=0, threads=1)
    assert (bent := measure_monotony(spec, x, free.score)) and bent.share > 0.3, "as these rows would have it"
    reviewed = heads.all_scores(np.array([[0.0, 0.0, -2.0], [0.0, 0.0, 2.0]]))[:, 0]
    assert reviewed[1] > reviewed[0] + 0.2, "other features tell which way is taken"


def test_a_training_measures_it_and_only_a_spec_with_signs_is_asked() -> None:
    frame = rows(n=1_500)
    spec = replace(SMALL, monotone={"log_lines": 1})
    kept = train(spec, dataset_of(spec, frame), replace(OPTIONS, candidates=("lightgbm",)))
    (gate,) = [gate for gate in check_gates(kept) if gate.name == "monotone"]
    assert gate.passed and gate.detail == str(kept.monotony) and kept.monotony and kept.monotony.most == 0
    without = replace(SMALL, monotone={})
    free = train(without, dataset_of(without, frame), replace(OPTIONS, candidates=("lightgbm",)))
    asked = {gate.name for gate in check_gates(free)} | set(gate_names(without))
    assert free.monotony is None and "monotone" not in asked
    bent = measure_monotony(spec, free.data.x[free.split.test], free.best.estimator.score)
    assert bent and bent.share > 0.1, "in these rows larger changes pass less often"
    assert kept.rivals[1].evaluations == free.rivals[1].evaluations, "rivals keep to no sign"


def test_every_sign_is_of_a_feature() -> None:
    for spec in SPECS:
        assert spec.monotone.keys() <= set(spec.features), spec.name
        assert not spec.monotone or spec.task == "probability", spec.name
