"""A new version beside the champion: the same rows, paired differences, changed answers, features that moved."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.promotion import Decision, compare_with_champion
from qc_assets.learning.task import dataset_of, task_of
from qc_assets.learning.training import train
from qc_assets.learning.version_comparison import NEW, OLD, VersionComparison
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.registry.comparison_page import comparison_page
from qc_assets.registry.lifecycle import bundle_of_training
from qc_assets.registry.model_registry import Registry
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import QUICK


@pytest.fixture(scope="module")
def both() -> VersionComparison:
    """A version that lost one of the two features that say something, beside one that has it."""
    frame = rows(900).with_columns(repo=pl.lit("<b>a/b</b>"))
    spoilt = frame.with_columns(log_lines=frame["log_lines"].shuffle(seed=1))
    trained = [train(SMALL, dataset_of(SMALL, each), QUICK) for each in (frame, spoilt)]
    champion, version = (bundle_of_training(SMALL, each, is_synthetic=False) for each in trained)
    # The new version is judged where the champion is: on rows as they are.
    judged = replace(
        trained[0], best=replace(trained[0].best, predictions=version.as_judged.predict(_tested(trained[0])))
    )
    return VersionComparison(judged, version, champion, QUICK)


def _tested(trained: Any) -> pl.DataFrame:
    tested: pl.DataFrame = trained.data.frame[trained.split.test]
    return tested


def test_the_differences_are_those_that_decide(both: VersionComparison) -> None:
    decided = compare_with_champion(both.trained, both.champion, QUICK)
    shown = both.differences.filter(metric="log loss", window="test").row(0, named=True)
    judged = next(each for each in decided if (each.time_window, each.metric) == ("test", "log_loss"))
    assert (shown["difference"], shown["from"], shown["to"]) == (judged.difference, judged.lower, judged.upper)
    assert shown["verdict"] == "surely worse" and judged.regression
    assert shown["difference"] == pytest.approx(shown[NEW] - shown[OLD])


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(0.95, 0.85, "better"), (0.6, 0.7, "better"), (0.7, 0.6, "worse"), (0.8, 0.9, "worse"), (0.75, 0.86, "")],
)
def test_more_coverage_is_better_only_up_to_what_was_promised(before: float, after: float, verdict: str) -> None:
    change = after - before
    gain = (
        task_of(RESOLUTION_TIME).metrics["coverage"].gain(Estimate(change, change - 0.01, change + 0.01), before, after)
    )
    assert (gain.is_surely_above(0), gain.is_surely_below(0)) == (verdict == "better", verdict == "worse")


def test_rows_that_changed_sides_and_features_that_moved_are_named(both: VersionComparison) -> None:
    p, sure = both.answers, task_of(SMALL).min_confidence
    sides = {name: np.where(np.maximum(each, 1 - each) < sure, -1, each >= 0.5) for name, each in p.items()}
    changed = int((sides[NEW] != sides[OLD]).sum())
    assert len(both.moved) == changed > 0
    y = both.trained.known["test"].y
    row = both.moved.row(0, named=True)
    index = _tested(both.trained)["number"].to_list().index(row["number"])
    losses = {name: -np.log(p[name][index] if y[index] else 1 - p[name][index]) for name in p}
    assert row["log loss falls by"] == pytest.approx(losses[OLD] - losses[NEW], rel=1e-6)
    assert f"{changed:,} of {len(y):,} rows changed sides" in both.moved_in_words
    assert both.reach is not None
    first = both.reach.row(0, named=True)
    assert first["feature"] == "log_lines" and first["change"] < -0.05 and first[NEW] < first[OLD]


def test_the_page_shows_texts_of_strangers_as_texts(both: VersionComparison) -> None:
    page = comparison_page(both, 2, 1, Decision(False, "worse in <script>x</script>"))
    assert "p0: version 2 beside version 1" in page and "&lt;b&gt;a/b&lt;/b&gt;" in page
    assert "<script" not in page and "<b>a/b" not in page


def test_a_feature_that_the_champion_does_not_know_has_no_reach_there(both: VersionComparison) -> None:
    names = tuple("brand_new" if name == "log_lines" else name for name in both.version.features)
    frame = both.trained.data.frame.with_columns(brand_new="log_lines")
    trained = replace(both.trained, data=replace(both.trained.data, frame=frame))
    reach = VersionComparison(trained, replace(both.version, features=names), both.champion, QUICK).reach
    assert reach is not None
    assert reach.filter(feature="brand_new")[OLD].item() is None
    assert reach.filter(feature="log_lines")[NEW].item() is None


def test_a_run_keeps_the_page_only_if_there_was_a_champion(trained_twice: Registry) -> None:
    client, runs = trained_twice.client(), trained_twice.standing("p0").versions
    kept = [{each.path for each in client.list_artifacts(runs[version])} for version in (1, 2)]
    assert ["comparison.html" in artifacts for artifacts in kept] == [False, True]


def test_durations_have_sides_and_coverage(both: VersionComparison) -> None:
    hours = np.array([1.0, 30.0, 500.0])
    answers = np.stack([hours / 2, hours, hours * 2], axis=1)
    trained = replace(both.trained, spec=RESOLUTION_TIME)
    durations = VersionComparison(trained, both.version, both.champion, QUICK)
    durations.__dict__["answers"] = MappingProxyType({NEW: answers, OLD: answers[::-1]})
    assert durations.sides[NEW].to_list() == ["within a day", "within a week", "later"]
    assert durations.sides[OLD].to_list() == ["later", "within a week", "within a day"]
