import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from qc_assets.models.metrics import WeightedMetrics, evaluate, expected_calibration_error, paired_differences

rows = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.1, 0.2, 0.5, 0.5001, 0.9]), st.integers(0, 3)),
    min_size=4,
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(rows=rows)
def test_weighted_metrics_agree_with_scikit_learn(rows: list) -> None:
    labels, predictions, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(all(weights[labels == label].sum() > 0 for label in (0, 1)))
    found = {name: value[0] for name, value in WeightedMetrics(labels, predictions)(weights[None, :]).items()}
    given_weights = {"sample_weight": weights}
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(labels, predictions, **given_weights))
    assert found["pr_auc"] == pytest.approx(reference.average_precision_score(labels, predictions, **given_weights))
    assert found["brier"] == pytest.approx(reference.brier_score_loss(labels, predictions, **given_weights))
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, predictions, labels=[0, 1], **given_weights))


def test_calibration_error_is_the_mean_gap_of_equal_mass_bins() -> None:
    predictions = np.repeat(np.linspace(0.05, 0.75, 15), 10)
    labels = np.tile([1.0] * 5 + [0.0] * 5, 15)
    gaps = np.abs(np.linspace(0.05, 0.75, 15) - 0.5)
    assert expected_calibration_error(labels, predictions) == pytest.approx(gaps.mean())


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        p = rng.beta(4, 2, 400)
        found = evaluate((rng.random(400) < p) * 1.0, p, base_rate=0.66, resamples=200, seed=seed)["brier"]
        covered += found.lower <= (p * (1 - p)).mean() <= found.upper
    assert 85 <= covered <= 100


def test_the_base_rate_knows_nothing() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(2_000)
    found = evaluate((rng.random(2_000) < p) * 1.0, p, base_rate=0.5, resamples=50, seed=0)
    assert found["roc_auc"].baseline == 0.5
    assert found["brier"].baseline == pytest.approx(0.25)
    assert found["brier"].value < found["brier"].baseline
    assert found["ece"].baseline < 0.05


def test_a_worse_model_is_seen_as_worse_and_the_same_model_as_the_same() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(4, 2, 3_000)
    labels = (rng.random(3_000) < p) * 1.0
    noisy = np.clip(p + rng.normal(0, 0.25, 3_000), 0.01, 0.99)
    worse = paired_differences(labels, noisy, p, resamples=200, seed=0)
    assert worse["log_loss"][1] > 0
    assert worse["roc_auc"][2] < 0
    assert paired_differences(labels, p, p, resamples=50, seed=0)["log_loss"] == (0, 0, 0)
