"""Intervals of probabilities: by the definition, in order, around the answer, narrower with rows, and calibrated."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.promotion import answers_alike
from qc_assets.learning.task import dataset_of
from qc_assets.learning.training import Trained, train
from qc_assets.learning.venn_abers import VennAbers, with_bounds
from qc_assets.registry.card import how_sure
from qc_assets.registry.lifecycle import bundle_of_training
from qc_assets.serving.payouts import at_both_ends
from tests.learning.test_claims import QUICK
from tests.learning.test_models import SMALL, rows

windows = st.builds(
    lambda parts: tuple(np.array(column, dtype=float) for column in zip(*parts, strict=True)),
    st.lists(
        st.tuples(st.integers(1, 19).map(lambda n: n / 20), st.sampled_from([0, 1]), st.sampled_from([0.5, 1, 1, 3])),
        min_size=1,
        max_size=40,
    ),
)
GRID = np.arange(41) / 40  # on every calibration score, and between


@settings(max_examples=25, deadline=None)
@given(window=windows)
def test_the_ends_are_those_of_isotonic_regression_with_the_item_as_a_failure_and_as_a_success(window: tuple) -> None:
    scores, labels, weights = window
    bounds = VennAbers.fit(scores, labels, weights)
    grid = GRID[::3]
    lower, upper = bounds(grid)
    worth = weights * weights.sum() / (weights**2).sum()
    for score, low, high in zip(grid, lower, upper, strict=True):
        p0, p1 = (
            IsotonicRegression()
            .fit(np.r_[scores, score], np.r_[labels, label], sample_weight=np.r_[worth, 1.0])
            .predict([score])[0]
            for label in (0.0, 1.0)
        )
        # Rounded outwards by less than a ten-thousandth, and widened to hold the answer.
        assert min(p0, score) - 1.01e-4 < low <= min(p0, score) + 1e-6
        assert max(p1, score) - 1e-6 <= high < max(p1, score) + 1.01e-4


@settings(max_examples=60, deadline=None)
@given(window=windows, times=st.integers(2, 30))
def test_intervals_hold_the_answer_rise_with_it_and_are_narrower_with_more_rows(window: tuple, times: int) -> None:
    bounds = VennAbers.fit(*window)
    lower, upper = bounds(GRID)
    assert ((lower >= 0) & (lower <= GRID) & (upper >= GRID) & (upper <= 1)).all()
    assert (np.diff(lower) >= 0).all() and (np.diff(upper) >= 0).all()
    narrower = VennAbers.fit(*(np.repeat(part, times) for part in window))(GRID)
    assert (narrower[0] >= lower).all() and (narrower[1] <= upper).all()
    again = VennAbers.from_json(json.loads(json.dumps(bounds.to_json())))
    assert again == bounds


def test_the_end_that_belongs_to_the_outcome_is_calibrated_though_the_score_is_not() -> None:
    rng = np.random.default_rng(0)
    ends, outcomes, scores = [], [], []
    for _ in range(300):
        truth = rng.beta(3, 2, 230)
        distorted, y = truth**3, (rng.random(230) < truth) * 1.0
        bounds = VennAbers.fit(distorted[:200], y[:200])
        # The steps themselves: the score, which the interval would be widened to hold, is no probability here.
        lower = np.r_[0.0, bounds.lower][np.searchsorted(bounds.lower_from, distorted[200:], side="right")]
        upper = np.r_[bounds.upper, 1.0][np.searchsorted(bounds.upper_to, distorted[200:], side="left")]
        ends.append(np.where(y[200:] == 1, upper, lower))
        outcomes.append(y[200:])
        scores.append(distorted[200:])
    end, outcome, score = (np.concatenate(part) for part in (ends, outcomes, scores))
    tenths = np.array_split(np.argsort(end), 10)
    gaps = [abs(end[part].mean() - outcome[part].mean()) for part in tenths]
    assert max(gaps) < 0.04, gaps
    assert max(abs(score[part].mean() - outcome[part].mean()) for part in tenths) > 0.2


def test_a_large_window_is_a_small_file() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(8_000)
    bounds = VennAbers.fit(scores, (rng.random(8_000) < scores) * 1.0)
    assert bounds.rows == 8_000 and len(bounds.lower) + len(bounds.upper) < 2_000


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(SMALL, dataset_of(SMALL, rows(n=900)), QUICK)


def test_a_version_has_its_intervals_and_one_of_before_answers_without(trained: Trained, tmp_path: Path) -> None:
    bundle = bundle_of_training(SMALL, trained, is_synthetic=False)
    bundle.save(tmp_path)
    table = Bundle.load(tmp_path).table(bundle.predict(rows(n=50)))
    assert table.equals(bundle.table(bundle.predict(rows(n=50))))
    assert (
        table.select((table["lower"] <= table["prediction"]) & (table["prediction"] <= table["upper"]))
        .to_series()
        .all()
    )
    assert (table["upper"] > table["lower"]).all() and (table["upper"] - table["lower"]).mean() < 0.3
    document = json.loads((tmp_path / "bundle.json").read_text())
    del document["bounds"]
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    (tmp_path / "manifest.json").unlink()  # as there was none then
    old = Bundle.load(tmp_path)
    before = old.table(old.predict(rows(n=50)))
    assert before["lower"].null_count() == before["upper"].null_count() == 50
    assert before["prediction"].equals(table["prediction"])
    assert answers_alike(bundle, bundle, rows(n=50)) and not answers_alike(bundle, old, rows(n=50))
    assert with_bounds(before, None) is before and at_both_ends(None, None, "1000", "0.25") == {}
    assert "| predicted | lower | upper | observed |" in how_sure(trained)


def test_a_payout_is_told_at_both_ends_and_unchanged() -> None:
    ends = at_both_ends(0.791, 0.8264, "1000", "0.25")
    assert {name: str(end) for name, end in ends.items()} == {
        **{"p0_lower": "0.791000", "p0_upper": "0.826400", "d1_lower": "197.75", "d1_upper": "206.60"},
    }
