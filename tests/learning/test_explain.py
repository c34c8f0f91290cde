"""Shapley values: they add up, agree with each other, and read well."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc_assets.learning import training
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.explain import explain, sampled_contributions, tree_contributions
from qc_assets.learning.task import dataset_of
from qc_assets.learning.what_if import usual_changes
from qc_assets.models import author_choices
from tests.learning.test_models import OPTIONS, SMALL, rows

BOTH = ("body_length", "log_lines")


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
    forest = next(one.estimator for one in trained.candidates if one.kind == "blend")
    assert tree_contributions(forest, trained.data.x[:5]) is None
    row = trained.data.x[int(np.argmax(trained.data.x[:, 0]))]
    found = sampled_contributions(forest, row, trained.data.x)
    assert int(np.argmax(np.abs(found))) == 0
    expected = forest.score(row[None, :])[0] - forest.score(trained.data.x).mean()
    assert found.sum() == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("kind", ["lightgbm", "blend"])
def test_an_explanation_reads_well(trained: training.Trained, kind: str) -> None:
    one = next(one for one in trained.candidates if one.kind == kind)
    bundle = Bundle.of(SMALL, one.estimator, one.calibrator, trivial=(), context={}, is_synthetic=True)
    item = trained.data.frame.sort("log_lines")[-1:].with_columns(author_prior_prs=pl.lit(None, dtype=pl.Int64))
    table = explain(bundle, item, trained.data.frame)
    lines = round(np.expm1(item["log_lines"].item()))
    told = explain(bundle, item, trained.data.frame, top=1, changes=author_choices.PULL_REQUEST)
    assert told["words"].item() == f"a change of {lines:,} lines lowers it"
    assert table.columns == ["feature", "value", "contribution", "words"]
    assert set(table["feature"]) == set(SMALL.features)
    assert table["feature"][0] == "log_lines" and table["contribution"][0] < 0, "large changes fail"
    assert table["words"][0] == f"log lines of {table['value'][0]} lowers it"
    unknown = table.filter(feature="author_prior_prs").row(0, named=True)
    direction = "lowers it" if unknown["contribution"] < 0 else "raises it"
    assert unknown["value"] == "" and unknown["words"] == f"author prior prs, unknown, {direction}"


_VALUES = st.one_of(st.none(), st.floats(0, 1e6))


@given(own=_VALUES, others=st.lists(_VALUES, min_size=1, max_size=9))
def test_what_if_asks_for_what_is_usual_and_says_the_number_it_asks_for(
    own: float | None, others: list[float | None]
) -> None:
    background = pl.DataFrame({"body_length": others, "log_lines": others}, schema_overrides=dict.fromkeys(BOTH, float))
    logs = background.with_columns(pl.col("log_lines").log1p())
    item = {"body_length": own, "log_lines": None if own is None else float(np.log1p(own)), "commits": 3}
    usual = usual_changes(author_choices.PULL_REQUEST, item, logs)
    known = [value for value in others if value is not None]
    if own is None or not known:
        assert usual == []
        return
    assert {change.feature for change in usual} <= set(BOTH), "nothing is known of what others do about commits"
    for change in usual:
        plain = np.expm1(change.value) if change.feature == "log_lines" else change.value
        assert f"{round(plain):,}" in change.words and min(known) * 0.94 - 1 <= plain <= max(known) * 1.06 + 1
    kept = {change.feature: change.value for change in usual}
    assert usual_changes(author_choices.PULL_REQUEST, item | kept, logs) == [], "who does what is usual is told nothing"
