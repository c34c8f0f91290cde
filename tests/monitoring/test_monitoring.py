"""Past predictions against what happened, drift of inputs, champion against challenger; and who is scored."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.assets import tables
from qc_assets.assets.model_versions import SPECS
from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance, run_job
from qc_assets.definitions import build_definitions
from qc_assets.learning.task import dataset_of
from qc_assets.learning.training import train
from qc_assets.models.comment_category import SPEC as COMMENT_CATEGORY
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME
from qc_assets.monitoring import examination
from qc_assets.monitoring import measures as monitoring
from qc_assets.registry.lifecycle import bundle_of_training
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.conftest import copy_of
from tests.learning.test_conformal import EXCHANGEABLE, MEDIAN_HOURS, exchangeable_durations
from tests.learning.test_models import OPTIONS, SMALL, rows

FIRST = date(2024, 1, 1)
START = np.datetime64("2024-01-01", "us")
DAY = np.timedelta64(1, "D")


def features(n: int = 1_200, days: int = 84, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    opened = START + (np.sort(rng.uniform(0, days, n)) * 86_400e6).astype("timedelta64[us]")
    p = rng.beta(4, 2, n)
    return pl.DataFrame(
        {
            "repo_id": np.ones(n, dtype=np.int64),
            "number": np.arange(n),
            "opened_at": opened,
            "decided_at": opened + DAY,
            "observed_until": np.full(n, START + 365 * DAY),
            "passed": rng.random(n) < p,
            "truth": p,
        }
    )


def scored(frame: pl.DataFrame, prediction: np.ndarray, *, is_test: bool = False) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.Float64)
    return frame.select("repo_id", "number").with_columns(
        prediction=pl.Series(prediction),
        is_test=pl.lit(is_test),
        lower=nothing,
        upper=nothing,
        answer=pl.lit(None, dtype=pl.String),
    )


def test_calibrated_predictions_hold_and_those_that_are_off_do_not() -> None:
    frame = features()
    truth = frame["truth"].to_numpy()
    honest = monitoring.beside_outcomes(P0, scored(frame, truth), frame)
    holds, sentence = monitoring.verdict(P0, honest, resamples=200, seed=0)
    assert holds and "ROC AUC" in sentence
    optimistic = monitoring.beside_outcomes(P0, scored(frame, np.clip(truth + 0.2, 0, 1)), frame)
    assert not monitoring.verdict(P0, optimistic, resamples=200, seed=0)[0]
    reversed_order = monitoring.beside_outcomes(P0, scored(frame, 2 * truth.mean() - truth), frame)
    assert not monitoring.verdict(P0, reversed_order, resamples=200, seed=0)[0]


def test_too_few_outcomes_are_no_verdict() -> None:
    frame = features(20, days=10)
    holds, sentence = monitoring.verdict(
        P0, monitoring.beside_outcomes(P0, scored(frame, np.ones(20)), frame), resamples=50, seed=0
    )
    assert holds and sentence.startswith("20 decided items")
    empty = monitoring.beside_outcomes(P0, scored(frame.head(0), np.ones(0)), frame)
    assert monitoring.verdict(P0, empty, resamples=50, seed=0)[0]
    assert monitoring.by_week(P0, empty).is_empty()


def test_a_label_counts_only_when_all_of_its_week_had_time_to_mature() -> None:
    frame = features().with_columns(observed_until=pl.lit(START + 84 * DAY))
    live = monitoring.beside_outcomes(P0, scored(frame, np.full(1_200, 0.6)), frame)
    youngest = live.frame.filter(pl.Series(live.decided))["opened_at"].max()
    assert youngest < (START + 70 * DAY).astype(object)


def test_weeks_add_up() -> None:
    frame = features()
    weeks = monitoring.by_week(
        P0, monitoring.beside_outcomes(P0, scored(frame, frame["truth"].to_numpy(), is_test=True), frame)
    )
    assert weeks["items"].sum() == weeks["decided"].sum() == 1_200
    assert (weeks["week"].dt.weekday() == 1).all()
    assert (weeks["label_delay_hours"].drop_nulls() == 24).all()
    assert weeks["quality_value"].drop_nulls().mean() > 0.6
    observed = (weeks["observed"] * weeks["decided"]).sum() / 1_200
    assert observed == pytest.approx(frame["passed"].mean())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(200, 2_000))
def test_chance_alone_hardly_ever_counts_as_drift(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=(2_000, 3)), rng.normal(size=(n, 3))
    reference[::7, 1] = np.nan
    current[::7, 1] = np.nan
    assert not monitoring.drift(["a", "b", "c"], reference, current)["is_drifting"].any()


@pytest.mark.parametrize(("before", "now"), [(30, 30), (500, 30), (30, 500), (100, 100)])
def test_few_items_like_those_before_are_no_drift(before: int, now: int) -> None:
    """A promise of one in a thousand; with empty bins counted as next to nothing it were 10 to 120 of a thousand."""
    rng = np.random.default_rng(before)
    alarms = 0

    def items(n: int) -> np.ndarray:
        skewed = np.where(rng.random((n, 10)) < 0.2, np.nan, np.exp(2 * rng.normal(size=(n, 10))))
        return np.hstack([rng.normal(size=(n, 10)), rng.random((n, 10)) < 0.05, rng.poisson(1, (n, 10)), skewed])

    for _ in range(10):
        alarms += monitoring.drift([str(i) for i in range(40)], items(before), items(now))["is_drifting"].sum()
    assert alarms <= 3


def test_a_shift_and_new_unknown_values_are_drift() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=(2_000, 3)), rng.normal(size=(500, 3))
    current[:, 0] += 1
    current[::2, 1] = np.nan
    found = monitoring.drift(["moved", "lost", "same"], reference, current)
    assert set(found.filter("is_drifting")["feature"]) == {"moved", "lost"}
    assert monitoring.drift(["a", "b", "c"], reference, current[:29]).is_empty(), "29 rows say nothing"


def test_what_moved_is_told_and_only_what_can_be_acted_on_warns() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=(2_000, 5)), rng.normal(size=(500, 5))
    current[:, :4] += 1
    inputs = ["a", "b", "c", "d"]
    is_fine, sentence = monitoring.what_to_do(monitoring.drift([*inputs, monitoring.ANSWERS], reference, current))
    assert is_fine and sentence.startswith("4 of 4 inputs have moved: ")
    assert sentence.endswith(" and others; the answers have not moved")
    is_fine, sentence = monitoring.what_to_do(
        monitoring.drift([*inputs, monitoring.ANSWERS], reference, current + np.array([0, 0, 0, 0, 1]))
    )
    assert not is_fine and sentence.endswith("the answers have moved, too: train anew")
    current[::2, 0] = np.nan
    is_fine, sentence = monitoring.what_to_do(monitoring.drift([*inputs, monitoring.ANSWERS], reference, current))
    assert not is_fine and "a is unknown for 50% instead of 0%: see loads" in sentence
    assert monitoring.what_to_do(pl.DataFrame()) == (True, "fewer than 30 rows to compare")


def test_the_index_is_its_formula() -> None:
    reference, current = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 20 + [1.0] * 80)
    rare, common = 20.5 / 101, 80.5 / 101  # half an item more in each bin
    expected = (0.5 - rare) * np.log(0.5 / rare) + (0.5 - common) * np.log(0.5 / common)
    assert monitoring.stability(reference, current) == pytest.approx(expected)


def test_champion_and_challenger_meet_on_the_items_that_both_predicted() -> None:
    frame = features(2_000)
    truth = frame["truth"].to_numpy()
    champion = monitoring.beside_outcomes(P0, scored(frame, np.full(2_000, truth.mean()) + truth * 1e-3), frame)
    better = monitoring.beside_outcomes(P0, scored(frame[500:], truth[500:]), frame)
    rows = {row["metric"]: row for row in monitoring.compare_live(P0, champion, better, resamples=200, seed=0)}
    assert rows["brier"]["items"] == 1_500
    assert rows["brier"]["upper"] < 0, "the challenger's error is lower"
    nobody = monitoring.compare_live(P0, champion, better.where(np.zeros(1_500, dtype=bool)), resamples=50, seed=0)
    assert nobody == [{"metric": "roc_auc", "items": 0}, {"metric": "brier", "items": 0}]


def test_durations_and_categories_are_watched_as_well() -> None:
    frame = features()
    hours = np.random.default_rng(3).lognormal(3, 1, 1_200)
    closed = frame["opened_at"].to_numpy() + (hours * 3_600e6).astype("timedelta64[us]")
    issues = frame.with_columns(resolution_hours=pl.Series(hours), closed_at=pl.Series(closed))
    spec = replace(RESOLUTION_TIME, features=("number",), categories={})
    for factor, expected in ((1.0, True), (2.0, False)):
        said = scored(issues, np.full(1_200, np.exp(3) * factor)).with_columns(lower=pl.lit(5.0), upper=pl.lit(90.0))
        live = monitoring.beside_outcomes(spec, said, issues, {"horizon_hours": 720.0})
        assert monitoring.verdict(spec, live, resamples=100, seed=0)[0] is expected
    comments = frame.with_columns(comment_id=pl.col("number"), category=pl.lit("discussion"), body=pl.lit("?"))
    answers = ["discussion", "functional", "UNCERTAIN"] * 400
    said = scored(comments, np.full(1_200, 0.9)).with_columns(comment_id=pl.col("number"), answer=pl.Series(answers))
    live = monitoring.beside_outcomes(COMMENT_CATEGORY, said, comments)
    assert live.decided.sum() == 800, "UNCERTAIN is no answer"
    assert not monitoring.verdict(COMMENT_CATEGORY, live, resamples=100, seed=0)[0]
    weeks = monitoring.by_week(COMMENT_CATEGORY, live)
    assert weeks["uncertain"].mean() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("log_median", "predicted", "holds", "sentence"),
    [
        (6.0, np.exp(6.0), True, "0 of 438 decided items were predicted to end while they were watched"),
        (3.0, np.exp(6.0), False, "predictions minus outcomes +"),
        (6.0, np.exp(3.0), False, "predictions minus outcomes -"),
        (3.0, np.exp(3.0), True, "predictions minus outcomes "),
    ],
)
def test_what_nobody_was_watched_for_long_enough_to_see_is_no_proof(
    log_median: float, predicted: float, holds: bool, sentence: str
) -> None:
    hours = np.random.default_rng(4).lognormal(log_median, 1, 1_200)
    frame = features().with_columns(observed_until=pl.lit(START + 84 * DAY))
    watched_hours = ((frame["observed_until"] - frame["opened_at"]).dt.total_seconds() / 3600).to_numpy()
    ended = pl.Series(hours <= watched_hours)
    closed = frame["opened_at"].to_numpy() + (hours * 3_600e6).astype("timedelta64[us]")
    issues = frame.with_columns(
        resolution_hours=pl.when(ended).then(pl.Series(hours)), closed_at=pl.when(ended).then(pl.Series(closed))
    )
    spec = replace(RESOLUTION_TIME, features=("number",), categories={})
    told = scored(issues, np.full(1_200, predicted)).with_columns(lower=pl.lit(1.0), upper=pl.lit(900.0))
    live = monitoring.beside_outcomes(spec, told, issues, {"horizon_hours": 1_000.0})
    judged, words = monitoring.verdict(spec, live, resamples=100, seed=0)
    assert judged is holds and words.startswith(sentence), words


@pytest.fixture(scope="module")
def watched(main_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A demo that was trained on its first eight months, and whose last month landed later."""
    chosen = copy_of(main_run[0], tmp_path_factory.mktemp("watched"))
    run_job(chosen, "ingest", days=days_between(chosen.first_date, chosen.last_date)[240:])
    run_job(chosen, "scoring")
    return chosen


@pytest.mark.slow
def test_what_was_open_is_predicted_and_later_joined_with_its_outcome(watched: Settings) -> None:
    store = Warehouse.from_settings(watched)
    models = set(store.query("SELECT DISTINCT model FROM ml.predictions")["model"])
    assert models == {spec.name for spec in SPECS}
    # Predictions of the first scoring that have an outcome now, and none of whose outcomes was known then.
    joined = store.query(
        "SELECT p.as_of, f.decided_at FROM ml.predictions AS p "
        "JOIN features.pull_requests AS f USING (repo_id, number) WHERE p.model = 'p0' AND f.passed IS NOT NULL"
    )
    assert joined.height > 3
    assert (joined["decided_at"] >= joined["as_of"]).all()
    waiting = store.query(
        "SELECT count(*) FROM features.pull_requests AS f ANTI JOIN ml.predictions AS p "
        "ON p.model = 'p0' AND f.repo_id = p.repo_id AND f.number = p.number WHERE f.exclusion = 'undecided'"
    )
    assert waiting.item() == 0
    weeks = store.query("FROM reports.monitoring WHERE model = 'p0' ORDER BY week")
    assert weeks["decided"].sum() > 50
    assert store.query("SELECT count(DISTINCT model) FROM reports.drift").item() >= 2
    sure = store.query("SELECT lower, prediction, upper FROM ml.predictions WHERE model IN ('p0', 'resolution_time')")
    assert (sure["lower"] <= sure["prediction"]).all() and (sure["prediction"] <= sure["upper"]).all()
    quality = store.query("FROM reports.expected_quality WHERE model = 'p0' AND expected IS NOT NULL")
    assert set(quality["part"]) == {"waiting", "decided"}, quality
    assert quality.filter(part="decided")["observed"].null_count() == 0
    named = "SELECT name FROM reports.live_reliability WHERE part = 'repository'"
    assert store.query(named)["name"].str.contains("/").all()
    watched_parts = store.query("SELECT DISTINCT model, part FROM reports.live_reliability").rows()
    assert {("p0", "repository"), ("p0", "month"), ("resolution_time", "month")} <= set(watched_parts)


@pytest.mark.slow
def test_the_page_is_in_mlflow_and_linked_from_dagster(watched: Settings) -> None:
    import mlflow

    with open_instance(watched) as instance:
        event = instance.get_latest_materialization_event(monitoring_key())
        assert event is not None and event.asset_materialization is not None
        url = str(event.asset_materialization.metadata["report"].value)
    run_id = url.split("/runs/")[1].split("/")[0]
    page = mlflow.MlflowClient(watched.tracking_uri)
    text = Path(page.download_artifacts(run_id, url.partition("/artifacts/")[2])).read_text(encoding="utf-8")
    assert "Synthetic data" in text
    champions = Warehouse.from_settings(watched).query("SELECT model FROM ml.model_versions WHERE status = 'champion'")
    assert {"p0", "resolution_time"} <= set(champions["model"])
    for spec in SPECS:
        assert (f"<h2>{spec.name}, version 1</h2>" in text) == (spec.name in champions["model"]), spec.name
    assert "<title>2024-" in text, "its charts say their numbers"
    assert "http" not in text.split("<body>")[1]


def monitoring_key() -> Any:
    from qc_assets.assets.champion_reports import MONITORING

    return MONITORING


@pytest.mark.slow
def test_a_red_check_starts_a_retraining_if_there_is_something_new_to_learn(watched: Settings) -> None:
    import dagster as dg

    patient = watched.model_copy(update={"retrain_after_partitions": 1_000})
    definitions = build_definitions(patient)

    cursors: list[str | None] = [None]

    def tick(instance: dg.DagsterInstance) -> Any:
        context = dg.build_sensor_context(instance=instance, cursor=cursors[-1], definitions=definitions)
        answer = definitions.resolve_sensor_def("retraining")(context)
        cursors.append(context.cursor)
        return answer

    with open_instance(patient) as instance:
        assert isinstance(tick(instance), dg.SkipReason)
        check = dg.AssetCheckEvaluation(
            asset_key=monitoring_key(), check_name="p0_holds", passed=False, metadata={}, blocking=False
        )
        instance.report_runless_asset_event(check)
        answer = tick(instance)
        assert isinstance(answer, dg.RunRequest)
        assert answer.tags["qc/retraining"] == "red: p0_holds" and answer.tags["qc/models"] == "p0"
        # It was retrained, and is red still: doing it again, day after day, would help nobody.
        instance.report_runless_asset_event(dg.AssetMaterialization(tables.key("models.p0")))
        instance.report_runless_asset_event(
            dg.AssetMaterialization(tables.key("raw.pull_requests"), partition="2024-12-31")
        )
        instance.report_runless_asset_event(check)
        answer = tick(instance)
        assert isinstance(answer, dg.SkipReason) and "p0_holds is red still" in (answer.skip_message or "")
        mended = dg.AssetCheckEvaluation(asset_key=monitoring_key(), check_name="p0_holds", passed=True, metadata={})
        instance.report_runless_asset_event(mended)
        assert "red still" not in tick(instance).skip_message
        instance.report_runless_asset_event(check)
        assert isinstance(tick(instance), dg.RunRequest), "it had been green"


class OfOthers:
    """An estimator that says of every item that it is half as likely as another says."""

    def __init__(self, other: Any) -> None:
        self.other = other

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.other.score(x)) / 2


def test_that_the_served_estimator_is_another_than_the_judged_one_is_no_drift() -> None:
    spec = replace(SMALL, candidates=SMALL.candidates[:1])
    history = rows(n=1_500).sort("opened_at")
    trained = train(spec, dataset_of(spec, history), replace(OPTIONS, refit=True))
    bundle = bundle_of_training(spec, trained, is_synthetic=True)
    assert bundle.judged is not None
    served = replace(bundle, estimator=OfOthers(bundle.judged))
    first, last = (history["opened_at"][int(row)] for row in trained.split.calibration[[0, -1]])
    assert not examination.champion_drift(spec, served, history, first, last)["is_drifting"].any()
    harder = history.with_columns(
        pl.when(pl.col("opened_at") > last).then(pl.col("log_lines") + 5).otherwise("log_lines").alias("log_lines")
    )
    moved = examination.champion_drift(spec, served, harder, first, last).filter("is_drifting")
    assert set(moved["feature"]) == {"log_lines", monitoring.ANSWERS}


@pytest.mark.parametrize(("predicted", "hold"), [(MEDIAN_HOURS, (19, 20)), (2 * MEDIAN_HOURS, (0, 4))])
def test_durations_are_not_called_too_long_because_the_slow_ones_of_late_are_open(
    predicted: float, hold: tuple[int, int]
) -> None:
    holds = 0
    for seed in range(20):
        data = exchangeable_durations(seed, last_day=0)
        hours = np.minimum(data.y, (data.observed_until - data.opened_at) / np.timedelta64(3_600_000_000, "us"))
        frame = data.frame.with_columns(
            *(pl.lit(None, pl.String if name in RESOLUTION_TIME.categories else pl.Float64).alias(name)
              for name in RESOLUTION_TIME.features),
            repo_id=pl.lit(1), number=pl.int_range(len(data)), observed_until=pl.Series(data.observed_until),
            resolution_hours=pl.when(pl.Series(data.y <= hours)).then(pl.Series(data.y)),
            closed_at=pl.lit(None, pl.Datetime),
        )  # fmt: skip
        table = scored(frame, np.full(len(data), predicted)).with_columns(lower=pl.lit(1.0), upper=pl.lit(900.0))
        live = monitoring.beside_outcomes(RESOLUTION_TIME, table, frame, EXCHANGEABLE)
        holds += monitoring.verdict(RESOLUTION_TIME, live, resamples=60, seed=0)[0]
    assert hold[0] <= holds <= hold[1]
