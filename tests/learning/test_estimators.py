"""Every candidate of every model: fitted, searched, saved, loaded, and the same each time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from qc_assets.assets.model_versions import SPECS
from qc_assets.errors import QcError
from qc_assets.learning import estimators
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.estimators import fit_classifier
from qc_assets.learning.fast_forest import FlatForest
from qc_assets.learning.spec import Candidate, ModelSpec
from qc_assets.learning.task import dataset_of, task_of
from tests import ROOT
from tests.learning.test_models import SMALL, rows

TABULAR = [(spec, candidate) for spec in SPECS if spec.task != "category" for candidate in spec.candidates]
each = pytest.mark.parametrize(
    ("spec", "candidate"), TABULAR, ids=[f"{spec.name}-{candidate.kind}" for spec, candidate in TABULAR]
)


def small(spec: ModelSpec) -> ModelSpec:
    """The spec's task on three features."""
    about = {"features": SMALL.features, "categories": SMALL.categories, "maturity": SMALL.maturity}
    target = "hours" if spec.task == "duration" else "passed"
    known = "opened_at" if spec.task == "duration" else "decided_at"
    return replace(spec, target=target, known_at=known, left_at="", **about)


def material(spec: ModelSpec, n: int = 600) -> tuple[Dataset, Any, dict[str, Any]]:
    frame = rows(n=n)
    hours = (frame["decided_at"] - frame["opened_at"]).dt.total_seconds() / 3600
    data = dataset_of(spec, frame.with_columns(hours=hours * frame["log_lines"]))
    context = {"horizon_hours": 480.0} if spec.task == "duration" else {}
    known = task_of(spec).known(data, np.arange(n), np.datetime64("2030-01-01", "us"), context)
    return data, known, context


@pytest.mark.slow
@each
def test_bundles_answer_the_same_after_loading(spec: ModelSpec, candidate: Candidate, tmp_path: Path) -> None:
    spec = small(spec)
    task = task_of(spec)
    data, known, context = material(spec)
    estimator = task.fit(candidate.kind, candidate.defaults, data.x, known, seed=0, threads=1)
    calibrator = task.calibrate(estimator.score(data.x), known, context)
    bundle = Bundle.of(spec, estimator, calibrator, trivial=(0.6,), context=context, is_synthetic=True)
    bundle.save(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pkl", ".pickle", ".joblib")]
    loaded = Bundle.load(tmp_path)
    assert np.array_equal(loaded.predict(data.frame), bundle.predict(data.frame))
    assert loaded.is_synthetic is True


@pytest.mark.slow
@each
def test_the_same_rows_and_seed_give_the_same_scores_to_the_last_digit(spec: ModelSpec, candidate: Candidate) -> None:
    spec = small(spec)
    data, known, _ = material(spec, n=3_000)
    first, second = (
        task_of(spec).fit(candidate.kind, candidate.defaults, data.x, known, seed=4, threads=2).score(data.x)
        for _ in range(2)
    )
    assert np.array_equal(first, second)


@each
def test_a_search_space_draws_parameters_that_fit(spec: ModelSpec, candidate: Candidate) -> None:
    import optuna

    spec = small(spec)
    data, known, _ = material(spec)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert candidate.space is not None
    parameters = candidate.space(trial)
    assert parameters.keys() <= candidate.defaults.keys()
    scores = task_of(spec).fit(candidate.kind, parameters, data.x, known, seed=0, threads=1).score(data.x)
    assert scores.shape == (600,)
    assert np.isfinite(scores).all() and scores.min() < scores.max()


@each
def test_a_row_with_a_large_weight_counts_for_many(spec: ModelSpec, candidate: Candidate) -> None:
    """Weights of fairness and of censoring must reach every candidate."""
    spec = small(spec)
    data, known, _ = material(spec)
    # Only among large changes: classes are balanced as a whole.
    large = data.x[:, 0] > 4
    raised = large & (known.y > np.median(known.y) if spec.task == "duration" else known.y == 1)
    heavy = replace(known, weights=np.where(raised, 20.0, 1.0))
    plain, weighted = (
        task_of(spec).fit(candidate.kind, candidate.defaults, data.x, one, seed=0, threads=1).score(data.x)
        for one in (known, heavy)
    )
    assert weighted[large].mean() > plain[large].mean()


def test_a_file_that_holds_anything_else_is_not_loaded(tmp_path: Path) -> None:
    import skops.io

    skops.io.dump({"run": Path("/etc/passwd")}, tmp_path / "model.skops")
    with pytest.raises(QcError, match="no model of ours has such a thing"):
        estimators.load_estimator(tmp_path)
    with pytest.raises(QcError, match="no estimator in"):
        estimators.load_estimator(tmp_path / "empty")


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), depth=st.integers(1, 9), rows=st.integers(1, 60))
def test_a_flat_forest_answers_as_scikit_learn_does_to_the_last_digit(
    kind: str, seed: int, depth: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 5)).round(1)
    x[rng.random(x.shape) < 0.2] = np.nan
    y = (rng.random(200) < 0.6).astype(int)
    forest_of = RandomForestClassifier if kind == "classifier" else RandomForestRegressor
    forest = forest_of(n_estimators=12, max_depth=depth, random_state=seed).fit(x, y)
    asked = rng.normal(size=(rows, 5)).round(1)
    asked[rng.random(asked.shape) < 0.3] = np.nan
    theirs = forest.predict_proba(asked)[:, 1] if kind == "classifier" else forest.predict(asked)
    assert np.array_equal(FlatForest(forest).score(asked), theirs)


def test_a_file_is_read_without_the_rest_of_scikit_learn_and_trusts_nothing_by_itself(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    y = (x[:, 0] > 0).astype(float)
    fitted = fit_classifier("logistic", {"C": 1.0}, x, y, np.ones(80), seed=0, threads=1)
    fitted.save(tmp_path)
    (tmp_path / "foreign.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from sklearn.naive_bayes import GaussianNB\n"
        "from qc_assets.learning.estimators import load_estimator\n"
        "from qc_assets.learning.safe_skops import skops_io\n"
        "estimator = load_estimator(Path(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules, 'skops walked through scikit-learn'\n"
        "file = Path(sys.argv[1]) / 'other.skops'\n"
        "skops_io().dump(GaussianNB().fit([[0.0], [1.0]], [0, 1]), file)\n"
        "print(*skops_io().get_untrusted_types(file=file))\n"
        "print(*estimator.score(np.zeros((1, 3))))\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "foreign.py", tmp_path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    untrusted, score = done.stdout.splitlines()
    assert "sklearn.naive_bayes.GaussianNB" in untrusted, "which skops would trust by itself"
    assert float(score) == fitted.score(np.zeros((1, 3)))[0]


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_how_many_threads_boost_changes_no_answer(kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(400, 5))
    y = (x[:, 0] + x[:, 1] > 0).astype(float)
    chosen, two = (fit_classifier(kind, {}, x, y, np.ones(400), seed=0, threads=n).score(x) for n in (None, 2))
    assert np.array_equal(chosen, two)
