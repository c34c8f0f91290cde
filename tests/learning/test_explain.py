"""Shapley values: they add up, agree with each other, and read well."""

import numpy as np
import polars as pl
import pytest

from qc_assets.learning import training
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.explain import explain, sampled_contributions, tree_contributions
from qc_assets.learning.task import dataset_of
from tests.learning.test_models import OPTIONS, SMALL, rows


@pytest.fixture(scope="module")
def trained() -> training.Trained:
    return training.train(SMALL, dataset_of(SMALL, rows(n=2_000)), OPTIONS)


def test_contributions_of_trees_add_up_to_the_log_odds(trained: training.Trained) -> None:
    boosted = next(one.estimator for one in trained.candidates if one.kind == "lightgbm")
    x = trained.data.x[:300]
    found = tree_contributions(boosted, x)
    assert found is not None and found.shape == x.shape
    scores = boosted.score(x)
    rest = np.log(scores / (1 - scores)) - found.sum(axis=1)
    assert np.ptp(rest) < 1e-6, "what is left is the same for all rows: the expectation"


def test_sampled_contributions_add_up_and_find_the_signal(trained: training.Trained) -> None:
    forest = next(one.estimator for one in trained.candidates if one.kind == "random_forest")
    assert tree_contributions(forest, trained.data.x[:5]) is None
    row = trained.data.x[int(np.argmax(trained.data.x[:, 0]))]
    found = sampled_contributions(forest, row, trained.data.x)
    assert int(np.argmax(np.abs(found))) == 0
    expected = forest.score(row[None, :])[0] - forest.score(trained.data.x).mean()
    assert found.sum() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("kind", ["lightgbm", "random_forest"])
def test_an_explanation_reads_well(trained: training.Trained, kind: str) -> None:
    one = next(one for one in trained.candidates if one.kind == kind)
    bundle = Bundle.of(SMALL, one.estimator, one.calibrator, trivial=(), context={}, is_synthetic=True)
    item = trained.data.frame.sort("log_lines")[-1:].with_columns(author_prior_prs=pl.lit(None, dtype=pl.Int64))
    table = explain(bundle, item, trained.data.frame)
    assert table.columns == ["feature", "value", "contribution"]
    assert set(table["feature"]) == set(SMALL.features)
    assert table["feature"][0] == "log_lines" and table["contribution"][0] < 0, "large changes fail"
    assert table.filter(feature="author_prior_prs")["value"].item() == ""
