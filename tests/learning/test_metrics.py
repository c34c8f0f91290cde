import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from qc_assets.learning.metrics.bootstrap import Estimate, evaluate, paired_differences
from qc_assets.learning.metrics.duration_metrics import DurationMetrics, weighted_quantile
from qc_assets.learning.metrics.probability_metrics import WeightedMetrics, expected_calibration_error
from qc_assets.learning.task.probability import Probability

PROBABILITY = Probability()
rows = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.1, 0.2, 0.5, 0.5001, 0.9]), st.integers(0, 3)),
    min_size=4,
    max_size=40,
)


def judged(labels: np.ndarray, p: np.ndarray, base_rate: float, resamples: int, seed: int) -> dict[str, Estimate]:
    trivial = WeightedMetrics(labels, np.full(len(labels), base_rate))
    return evaluate(
        WeightedMetrics(labels, p), trivial, np.ones(len(labels)), PROBABILITY.needs, resamples=resamples, seed=seed
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
        found = judged((rng.random(400) < p) * 1.0, p, 0.66, 200, seed)["brier"]
        covered += found.lower <= (p * (1 - p)).mean() <= found.upper
    assert 85 <= covered <= 100


def test_the_base_rate_knows_nothing() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(2_000)
    found = judged((rng.random(2_000) < p) * 1.0, p, 0.5, 50, 0)
    assert found["roc_auc"].baseline == 0.5
    assert found["brier"].baseline == pytest.approx(0.25)
    assert found["brier"].value < found["brier"].baseline
    assert found["ece"].baseline < 0.05


def test_a_worse_model_is_seen_as_worse_and_the_same_model_as_the_same() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(4, 2, 3_000)
    labels = (rng.random(3_000) < p) * 1.0
    noisy = np.clip(p + rng.normal(0, 0.25, 3_000), 0.01, 0.99)
    good, bad, ones = WeightedMetrics(labels, p), WeightedMetrics(labels, noisy), np.ones(3_000)
    worse = paired_differences(bad, good, ones, PROBABILITY.needs, resamples=200, seed=0)
    assert worse["log_loss"].is_surely_above(0)
    assert worse["roc_auc"].is_surely_below(0)
    same = paired_differences(good, good, ones, PROBABILITY.needs, resamples=50, seed=0)
    assert same["log_loss"] == Estimate(0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([0.5, 2.0, 2.0, 7.5]), st.integers(0, 3)), min_size=3, max_size=30
    )
)
def test_duration_metrics_agree_with_a_direct_computation(rows: list) -> None:
    hours, median, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(len(np.unique(hours[weights > 0])) > 1)
    answers = np.stack([median / 2, median, median * 2], axis=1)
    found = {name: value[0] for name, value in DurationMetrics(hours, answers)(weights[None, :]).items()}
    kept = np.repeat(np.arange(len(hours)), weights.astype(int))
    y, p = hours[kept], median[kept]
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(y, p))
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(y, p))
    assert found["r2"] == pytest.approx(reference.r2_score(y, p))
    assert found["log_mae"] == pytest.approx(reference.mean_absolute_error(np.log1p(y), np.log1p(p)))
    assert found["median_ae"] == np.sort(np.abs(y - p))[(len(y) - 1) // 2]
    assert found["coverage"] == pytest.approx(np.mean((y >= p / 2) & (y <= p * 2)))
    pairs = [(p[i] < p[j]) + 0.5 * (p[i] == p[j]) for i in range(len(y)) for j in range(len(y)) if y[i] < y[j]]
    assert found["concordance"] == pytest.approx(np.mean(pairs), abs=1e-5)


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=20), level=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_a_weighted_quantile_is_that_of_the_repeated_rows(values: list[int], level: float) -> None:
    v = np.array(values, dtype=float)
    weights = np.arange(1, len(v) + 1)
    repeated = np.repeat(v, weights)
    expected = np.quantile(repeated, level, method="inverted_cdf")
    assert weighted_quantile(v, weights.astype(float), level) == expected
