"""Items that leave without their end are watched until then: weights undo that, on average."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.metrics.duration_metrics import still_watched, weighted_quantile
from qc_assets.learning.task import dataset_of, task_of
from qc_assets.learning.trained import Options
from qc_assets.learning.training import train
from qc_assets.models.first_response import SPEC as WHOLE
from qc_assets.registry.lifecycle import bundle_of_training

SPEC = replace(WHOLE, features=("x",), categories={}, texts=())
START, END = datetime(2024, 1, 1), datetime(2024, 7, 1)
CONTEXT = {"horizon_hours": 240.0}
LATEST = np.datetime64("9999-01-01", "us")


def world(rows: int, leaving: float, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows of which a share leaves before their response, and the response that each would have had."""
    rng = np.random.default_rng(seed)
    opened = np.sort(rng.random(rows)) * 181 * 24
    truth = rng.lognormal(3, 1.2, rows)
    left = np.where(rng.random(rows) < leaving, rng.exponential(30, rows), np.inf)
    watched = np.minimum(181 * 24 - opened, left)
    started = [START + timedelta(hours=float(hours)) for hours in opened]
    ended = truth <= watched
    gone = [
        at + timedelta(hours=float(hours)) if not end and np.isfinite(hours) else None
        for at, hours, end in zip(started, left, ended, strict=True)
    ]
    frame = pl.DataFrame(
        {
            "repo_id": [1] * rows,
            "number": range(rows),
            "opened_at": started,
            "observed_until": [END] * rows,
            "x": rng.random(rows),
            "first_response_hours": [float(hours) if end else None for hours, end in zip(truth, ended, strict=True)],
            "closed_unanswered_at": pl.Series(gone, dtype=pl.Datetime("us")),
        }
    )
    return frame, truth


def quartiles(frame: pl.DataFrame) -> list[float]:
    data, task = dataset_of(SPEC, frame), task_of(SPEC)
    known = task.known(data, np.arange(len(frame)), LATEST, CONTEXT)
    return [float(np.expm1(weighted_quantile(known.y, known.weights, level))) for level in (0.25, 0.5, 0.75)]


def test_the_weighted_quantiles_are_those_of_all_had_nobody_left() -> None:
    frame, truth = world(6_000, leaving=0.6)
    answered = frame["first_response_hours"].drop_nulls()
    true = np.quantile(truth, [0.25, 0.5, 0.75])
    assert quartiles(frame) == pytest.approx(true.tolist(), rel=0.12)
    assert answered.quantile(0.75) < 0.8 * true[2], "the answered alone look quick"
    never = frame.with_columns(closed_unanswered_at=pl.lit(None, pl.Datetime("us")))
    assert quartiles(never)[1] > 1.3 * true[1], "and as if those who left still waited, all look slow"


def test_what_left_later_than_the_boundary_was_not_known_to_leave() -> None:
    frame, _ = world(400, leaving=0.8)
    data, task = dataset_of(SPEC, frame), task_of(SPEC)
    rows = np.arange(200)
    boundary = data.opened_at[200]
    known = task.known(data, rows, boundary, CONTEXT)
    later = (pl.col("closed_unanswered_at") >= pl.lit(boundary)).fill_null(False)
    ignorant = frame.with_columns(
        closed_unanswered_at=pl.when(later).then(None).otherwise(pl.col("closed_unanswered_at"))
    )
    again = task.known(dataset_of(SPEC, ignorant), rows, boundary, CONTEXT)
    assert np.array_equal(known.weights, again.weights) and np.array_equal(known.y, again.y)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40),
    asked=st.lists(st.integers(0, 8), min_size=1, max_size=8),
)
def test_the_product_limit_estimate_is_that_of_the_definition(rows: list[tuple[int, bool]], asked: list[int]) -> None:
    lasted, censored = np.array([float(t) for t, _ in rows]), np.array([lost for _, lost in rows])

    def by_definition(moment: float) -> float:
        share = 1.0
        for t in sorted(set(lasted[censored])):
            if t < moment:
                at_risk = (lasted > t).sum() + ((lasted == t) & censored).sum()
                share *= 1 - ((lasted == t) & censored).sum() / at_risk
        return share

    estimate = still_watched(lasted, censored, np.array(asked, dtype=float))
    assert estimate == pytest.approx([by_definition(moment) for moment in asked], abs=1e-12)


def test_where_nobody_leaves_it_is_the_share_that_was_watched() -> None:
    lasted = np.array([1.0, 2.0, 3.0, 4.0])
    everybody = np.ones(4, dtype=bool)
    assert still_watched(lasted, everybody, np.array([0.5, 2.0, 4.0])).tolist() == [1.0, 0.75, 0.25]


def test_a_training_of_the_model_keeps_what_says_how_much_longer_in_its_version(tmp_path: Path) -> None:
    frame, _ = world(1_500, leaving=0.4)
    spec = replace(SPEC, maturity=timedelta(days=7))
    options = Options(quick=True, resamples=20, candidates=("lightgbm",), refit=False)
    trained = train(spec, dataset_of(spec, frame), options)
    bundle = bundle_of_training(spec, trained, is_synthetic=True)
    bundle.save(tmp_path)
    loaded = Bundle.load(tmp_path)
    asked, waited = frame[-4:], np.array([0.0, 10.0, 40.0, 1e9])
    answers = loaded.how_much_longer(asked, waited)
    assert answers == bundle.how_much_longer(asked, waited)
    assert answers[3] is None and all(answer is not None for answer in answers[:3])
    document = json.loads((tmp_path / "bundle.json").read_text())
    assert len(document["remaining"]["scores"]) == np.count_nonzero(trained.known["calibration"].weights)
    assert replace(loaded, remaining=None).how_much_longer(asked, waited) == [None] * 4, "a version of before"
