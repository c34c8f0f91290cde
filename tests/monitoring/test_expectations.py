"""Quality before labels come, against what was found when they had; and where a champion is off."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from qc_assets.learning.metrics.expected_metrics import expected_metrics, realised_metrics
from qc_assets.models.comment_category import SPEC as COMMENT_CATEGORY
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.monitoring.expectations import expected_quality, live_reliability, right_in_every_part
from qc_assets.monitoring.measures import Live, beside_outcomes
from qc_assets.store.warehouse import Warehouse
from tests.monitoring.test_monitoring import DAY, START, features, scored

SAMPLING = {"resamples": 200, "seed": 0}
YOUNG = datetime(2024, 1, 1) + timedelta(days=70)  # of 84 days, and labels need 14
METRICS = {"roc_auc", "brier", "log_loss", "accuracy"}


def test_of_calibrated_probabilities_the_interval_holds_what_is_found_and_the_value_is_its_mean() -> None:
    rng = np.random.default_rng(0)
    expected, realised = [], []
    for seed in range(80):
        p = rng.beta(4, 2, 200)
        expected.append(expected_metrics(p, resamples=100, seed=seed))
        realised.append(realised_metrics(p, (rng.random(200) < p) * 1.0))
    held = []
    for name in METRICS:
        inside = [e[name].lower <= r[name] <= e[name].upper for e, r in zip(expected, realised, strict=True)]
        assert np.mean(inside) >= 0.9, name
        held.append(np.mean(inside))
        bias = np.mean([e[name].value - r[name] for e, r in zip(expected, realised, strict=True)])
        assert abs(bias) < 0.012, name
    assert np.mean(held) <= 0.975, "an interval of 95 % that holds 99 % sees no change"


def test_that_items_have_become_harder_is_seen_and_that_the_world_is_another_is_not() -> None:
    rng = np.random.default_rng(1)
    easy, hard = rng.beta(8, 1, 500), rng.beta(8, 8, 500)
    before, now = (expected_metrics(p, **SAMPLING)["brier"] for p in (easy, hard))
    assert before.upper < now.lower
    found = realised_metrics(easy, (rng.random(500) < easy - 0.3) * 1.0)["brier"]
    assert found > before.upper


def test_what_does_not_exist_is_no_number() -> None:
    few = expected_metrics(np.full(29, 0.5), **SAMPLING)
    assert few.keys() == METRICS and all(each.value is None and "at least 30" in each.reason for each in few.values())
    certain = expected_metrics(np.full(100, 0.999), **SAMPLING)
    assert certain["roc_auc"].value is None and "which many draws lack" in certain["roc_auc"].reason
    assert certain["accuracy"].value == pytest.approx(0.999, abs=2e-3)
    assert (
        "roc_auc" not in realised_metrics(np.full(40, 0.9), np.ones(40))
        and realised_metrics(np.ones(3), np.ones(3)) == {}
    )


def live_of(frame: pl.DataFrame, prediction: np.ndarray) -> Live:
    return beside_outcomes(P0, scored(frame, prediction), frame)


def test_what_waits_is_estimated_and_the_last_that_were_decided_stand_beside_it() -> None:
    frame = features(2_000).with_columns(observed_until=pl.lit(START + 84 * DAY))
    waiting = frame["opened_at"] >= YOUNG
    # Of the young, one in three is decided already, and those are others: they do not stand for all.
    quick = waiting & frame["passed"] & (frame["number"] % 3 == 0)
    frame = frame.with_columns(passed=pl.when(waiting & ~quick).then(None).otherwise(pl.col("passed")))
    rows = expected_quality(P0, live_of(frame, frame["truth"].to_numpy()), **SAMPLING)
    assert set(rows["metric"]) == METRICS and len(rows) == 8
    now, before = rows.filter(part="waiting"), rows.filter(part="decided")
    assert set(now["items"]) == {waiting.sum()} and now["observed"].is_null().all()
    assert (now["opened_from"] >= YOUNG).all() and (before["opened_until"] < YOUNG).all()
    assert (before["opened_from"] >= YOUNG - timedelta(days=29)).all(), "28 days"
    assert before.select(pl.col("observed").is_between("lower", "upper")).to_series().all()
    assert not now["expected"].is_null().any() and now["reason"].is_null().all()
    comments = frame.with_columns(comment_id=pl.col("number"), category=pl.lit("discussion"), body=pl.lit("?"))
    said = scored(comments, np.full(2_000, 0.9)).with_columns(comment_id=pl.col("number"), answer=pl.lit("discussion"))
    of_comments = beside_outcomes(COMMENT_CATEGORY, said, comments)
    assert expected_quality(COMMENT_CATEGORY, of_comments, **SAMPLING).is_empty()
    nobody = live_of(frame, frame["truth"].to_numpy()).where(np.zeros(2_000, dtype=bool))
    assert expected_quality(P0, nobody, **SAMPLING)["expected"].is_null().all()


def test_a_repository_in_which_it_is_off_is_named_for_probabilities_intervals_and_categories() -> None:
    frame = features(1_200).with_columns(repo_id=pl.when(pl.col("number") % 4 == 0).then(2).otherwise(1))
    strict = (frame["repo_id"] == 2).to_numpy()
    truth = frame["truth"].to_numpy()
    live = {"right": live_of(frame, truth), "off": live_of(frame, np.where(strict, np.clip(truth + 0.3, 0, 1), truth))}
    parts = {name: live_reliability(P0, of_name, **SAMPLING) for name, of_name in live.items()}
    assert right_in_every_part(parts["right"]) == (True, "off in none of 5 repositories and months")
    is_right, sentence = right_in_every_part(parts["off"])
    assert not is_right and "repository 2: " in sentence and "repository 1: " not in sentence
    assert right_in_every_part(pl.DataFrame()) == (True, "no repository and no month has enough decided items")

    rng = np.random.default_rng(3)
    hours = rng.lognormal(3, np.where(strict, 2.0, 0.7))
    issues = frame.with_columns(resolution_hours=pl.Series(hours), closed_at=pl.col("opened_at") + pl.duration(hours=1))
    spec = replace(RESOLUTION_TIME, features=("number",), categories={})
    ends = np.exp(3 + np.array([-1.2816, 1.2816]) * 0.7)
    said = scored(issues, np.full(1_200, np.exp(3))).with_columns(lower=pl.lit(ends[0]), upper=pl.lit(ends[1]))
    intervals = live_reliability(spec, beside_outcomes(spec, said, issues, {"horizon_hours": 4000.0}), **SAMPLING)
    assert set(intervals["predicted"].round(9)) == {0.8}
    off = intervals.filter(pl.col("is_off") & (pl.col("part") == "repository"))
    assert off["name"].to_list() == ["2"] and off["observed"].item() < 0.6 and off["ece"].item() == off["gap"].item()

    comments = frame.with_columns(comment_id=pl.col("number"), category=pl.lit("discussion"), body=pl.lit("?"))
    answers = pl.Series(np.where(strict, "functional", "discussion"))
    said = scored(comments, np.full(1_200, 0.95)).with_columns(comment_id=pl.col("number"), answer=answers)
    of_comments = live_reliability(COMMENT_CATEGORY, beside_outcomes(COMMENT_CATEGORY, said, comments), **SAMPLING)
    assert "2" in of_comments.filter("is_off")["name"].to_list()


def test_the_reports_take_the_rows(warehouse: Warehouse) -> None:
    live = live_of(frame := features(600), frame["truth"].to_numpy())
    names = {"model": pl.lit("p0"), "version": pl.lit(1)}
    for report, rows in (
        ("expected_quality", expected_quality(P0, live, **SAMPLING)),
        ("live_reliability", live_reliability(P0, live, **SAMPLING)),
    ):
        assert warehouse.replace(f"reports/{report}", rows.with_columns(**names)) == len(rows) > 0
