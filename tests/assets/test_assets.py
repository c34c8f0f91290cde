"""The graph on a real, persistent Dagster instance."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qc_assets.assets import model_versions as models
from qc_assets.assets import tables
from qc_assets.assets.bias_reports import bias_reports_of
from qc_assets.assets.jobs import of_model, of_other_models
from qc_assets.assets.model_versions import SPECS, training_config
from qc_assets.assets.partitions import daily_partitions
from qc_assets.assets.retraining import _latest
from qc_assets.cli.runs import RunFailedError, dagster_home, open_instance, run_job
from qc_assets.definitions import build_definitions
from qc_assets.models.p0 import SPEC as P0
from qc_assets.places import dagster_config
from qc_assets.settings import Settings
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import event, issue, running, write_hour

FIRST = date(2024, 1, 1)
QUICK = training_config(quick=True)
# Nobody has asked the API yet, and no champion has a challenger.
EMPTY = (
    "reports_champion_challenger",
    "reports_alerts",
    "reports_payouts",
    "reports_appeals",
    "reports_payout_patterns",
    "ml_appeals",
    "ml_deliveries",
    "ml_feedback",
    "ml_outcomes",
    "ml_closings",
    "ml_payouts",
)


def test_the_main_job_fills_every_table_and_every_check_has_an_answer(main_run: Any) -> None:
    settings, result = main_run
    specs = build_definitions(settings).resolve_all_asset_specs()
    others = {tables.group_name("critiques"), tables.group_name("notebooks")}
    assert set(result.metadata) == {spec.key.to_user_string() for spec in specs if spec.group_name not in others}
    keys = build_definitions(settings).resolve_asset_graph().asset_check_keys
    promised = {f"{key.asset_key.to_user_string()}: {key.name}" for key in keys}
    assert {name for name in promised - result.checks.keys() if "critique" not in name} == set()
    judged = {"reports_monitoring", "reports_drift", "reports_live_reliability"}
    judged |= {tables.key(name).to_user_string() for spec in SPECS for name in of_model(spec)}
    assert all(passed for name, (passed, _) in result.checks.items() if name.partition(":")[0] not in judged)
    warehouse = Warehouse.from_settings(settings)
    for name, metadata in result.metadata.items():
        counted = metadata.get("dagster/row_count", metadata.get("rows of all days"))
        if counted is not None:
            rows = warehouse.query(f"SELECT count(*) FROM {name.replace('_', '.', 1)}").item()
            assert counted == rows, name
            assert rows > 0 or name in EMPTY, name


def test_mlflow_and_dagster_point_at_each_other_and_the_mirror_agrees(main_run: Any) -> None:
    import mlflow

    settings, result = main_run
    model = result.metadata["p0_model"]
    query = "FROM ml.model_versions WHERE model = 'p0'"
    mirrored = Warehouse.from_settings(settings).query(query).row(0, named=True)
    client = mlflow.MlflowClient(settings.tracking_uri)
    run = client.get_run(mirrored["mlflow_run_id"])
    assert run.data.tags["dagster_run_id"] == result.run_id == mirrored["dagster_run_id"]
    link = f"/mlflow/#/experiments/{run.info.experiment_id}/runs/{mirrored['mlflow_run_id']}"
    assert model["MLflow run"].endswith(f"({link})")
    assert run.data.tags["dagster_run_url"] == f"/dagster/runs/{result.run_id}", "whatever the port is"
    assert run.data.tags["snapshot"] == mirrored["snapshot"]
    assert run.data.tags["synthetic"] == "true" and mirrored["is_synthetic"]
    stored = Warehouse.from_settings(settings).query(
        "SELECT value FROM ml.evaluations WHERE model = 'p0' AND metric = 'brier' AND time_window = 'test'"
    )
    assert stored.item() == pytest.approx(run.data.metrics["test/brier"])
    evaluation = result.metadata["p0_evaluation"]
    assert evaluation["calibration"].startswith("![plot](data:image/png;base64,")
    training_set = result.metadata["p0_training_set"]
    counted = Warehouse.from_settings(settings).query(
        "SELECT time_window, count(*) FROM ml.training_rows WHERE model = 'p0' GROUP BY ALL"
    )
    assert {f"{name} rows": rows for name, rows in counted.iter_rows()} == {
        name: value for name, value in training_set.items() if name.endswith(" rows")
    }
    assert training_set["snapshot"] == mirrored["snapshot"]


def test_the_funnel_adds_up(main_run: Any) -> None:
    warehouse = Warehouse.from_settings(main_run[0])
    steps = warehouse.query("FROM reports.funnel ORDER BY position").to_dicts()
    assert steps[0]["pull_requests"] == warehouse.query("SELECT count(*) FROM raw.pull_requests").item() > 1_500
    for before, after in pairwise(steps):
        assert before["pull_requests"] - after["dropped"] == after["pull_requests"]
    trainable = warehouse.query("SELECT count(*) FROM features.pull_requests WHERE exclusion IS NULL").item()
    assert steps[-1]["pull_requests"] == trainable


def test_a_model_below_its_threshold_fails_the_run_at_its_end_and_the_champion_stays(
    migrated_copy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another model: the same would make no version.
    settings = migrated_copy.model_copy(update={"seed": 7, "bootstrap_resamples": 60})
    hard = tuple(replace(spec, min_auc=0.99) if spec.name == "close_in_7_days" else spec for spec in SPECS)
    monkeypatch.setattr(models, "SPECS", hard)
    (spec,) = (spec for spec in SPECS if spec.name == "close_in_7_days")
    others = [*of_other_models([spec.name]), *bias_reports_of(spec)]
    config = {"train_close_in_7_days": QUICK["train_close_in_7_days"]}
    with pytest.raises(
        RunFailedError,
        match=r"close_in_7_days version 2 broke auc_above_threshold: ROC AUC 0\.\d+ .*threshold 0\.99; "
        r"version 1 stays champion .*all other steps are done",
    ):
        run_job(settings, "training", ops=config, without=others)
    store = Warehouse.from_settings(settings)
    assert store.query("SELECT version, status FROM ml.model_versions WHERE model = 'close_in_7_days'").rows() == [
        (1, "champion"),
        (2, "challenger"),
    ]
    assert store.query("SELECT model, version, champion FROM reports.alerts").rows() == [("close_in_7_days", 2, 1)]
    with open_instance(settings) as instance:
        (run,) = instance.get_runs(limit=1)
        watched = instance.get_latest_materialization_event(tables.key("reports.monitoring"))
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert watched is not None and watched.run_id == run.run_id


def test_assets_show_descriptions_owners_kinds_and_commented_columns(make_settings: Any) -> None:
    specs = build_definitions(make_settings()).resolve_all_asset_specs()
    groups = ["ingest", "features", "models", "fairness", "monitoring", "reports", "exports", "critiques", "notebooks"]
    names = [tables.group_name(group) for group in groups]
    assert sorted({spec.group_name for spec in specs}) == names, "Dagster lists them in the order in which they follow"
    no_tables = [tables.group_name(group) for group in ("models", "fairness", "notebooks")]
    for spec in specs:
        name = spec.key.to_user_string()
        assert spec.description and spec.owners and spec.kinds, spec.key
        is_table = spec.group_name not in no_tables and not name.startswith("exports_")
        if is_table and name != "critique_model":
            columns = spec.metadata["dagster/column_schema"].columns
            assert columns and all(column.description for column in columns), spec.key


@pytest.mark.slow
def test_one_partition_and_a_subset_of_tables(make_settings: Any) -> None:
    settings = make_settings()
    run_job(settings, "ingest", days=[FIRST + timedelta(days=3)], selection=["raw_issues"])
    warehouse = Warehouse.from_settings(settings)
    assert warehouse.query("SELECT DISTINCT partition_date FROM raw.issues")["partition_date"].to_list() == [
        FIRST + timedelta(days=3)
    ]
    assert warehouse.query("SELECT count(*) FROM raw.pull_requests").item() == 0
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(tables.key("raw.issues")) == {"2024-01-04"}


def archive(make_settings: Any, tmp_path: Path, lines: list[Any], **changes: Any) -> Settings:
    hours = tmp_path / "hours"
    hours.mkdir()
    write_hour(hours, "2024-05-01-0", lines)
    return make_settings(source="gharchive", gharchive_dir=hours, **changes)


@pytest.mark.slow
def test_the_check_fails_when_more_than_one_percent_of_lines_are_bad(make_settings: Any, tmp_path: Path) -> None:
    good = [
        event("IssuesEvent", "2024-05-01T00:00:00Z", {"action": "opened", "issue": issue(n)}, number=n)
        for n in range(1, 99)
    ]
    settings = archive(make_settings, tmp_path, [*good, "{broken", "<html>"])
    checks = run_job(settings, "ingest", days=[date(2024, 5, 1)]).checks
    passed, found = checks["raw_pull_requests: few_bad_lines"]
    assert (passed, found["bad lines"], found["lines"]) == (False, 2, 100)
    assert checks["raw_pull_requests: no_known_gaps"][0] is False
    assert found["days over the limit"] == "2024-05-01"
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(tables.key("raw.issues")) == set(), "a day with gaps is not green"
    assert Warehouse.from_settings(settings).query("SELECT count(*) FROM raw.issues").item() == 98
    for hour in range(24):
        write_hour(settings.gharchive_dir, f"2024-05-02-{hour}", good[:3])
    result = run_job(settings, "ingest", days=[date(2024, 5, 2)])
    passed, found = result.checks["raw_pull_requests: no_known_gaps"]
    assert not passed and found["which"] == "2024-05-01" and found["of days that were loaded"] == 2
    assert not result.checks["raw_pull_requests: few_bad_lines"][0], "a good day mends no other"
    assert result.metadata["raw_issues"].get("days with too many bad lines") is None
    assert result.metadata["raw_issues"]["dagster/partition_row_count"] == 3
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(tables.key("raw.issues")) == {"2024-05-02"}


@pytest.mark.slow
def test_a_day_of_which_nothing_came_is_red_and_says_why(make_settings: Any, tmp_path: Path) -> None:
    settings = archive(make_settings, tmp_path, [])
    with pytest.raises(
        RunFailedError, match="step raw_tables failed: nothing was loaded: 2024-05-03: 24 of 24 hours are missing"
    ):
        run_job(settings, "main", days=[date(2024, 5, 3)], ops=QUICK)
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(tables.key("raw.issues")) == set()
        status = instance.get_status_by_partition(tables.key("raw.issues"), ["2024-05-03"], daily_partitions(settings))
    assert status is not None and {key: value.value for key, value in status.items()} == {"2024-05-03": "FAILED"}


@pytest.mark.slow
def test_a_day_that_is_done_is_made_again_and_says_what_that_took(make_settings: Any) -> None:
    settings = make_settings()
    days = [FIRST, FIRST + timedelta(days=1)]
    first = run_job(settings, "ingest", days=days)
    again = run_job(settings, "ingest", days=days)
    told = again.metadata["raw_issues"]["what was done"]
    assert told.startswith("days loaded: 0; made again without reading: 2, as far as is known here")
    same = ("dagster/partition_row_count", "rows of all days")
    assert [first.metadata["raw_issues"][name] for name in same] == [
        again.metadata["raw_issues"][name] for name in same
    ]
    read = run_job(settings, "ingest", days=days, ops={"raw_tables": {"config": {"refresh": True}}})
    assert read.metadata["raw_issues"]["what was done"] == "days loaded: 2"
    left = run_job(settings, "ingest", days=days, ops={"raw_tables": {"config": {"skip_done": True}}})
    assert left.metadata["raw_issues"]["what was done"] == "days loaded: 0; done before, and left alone: 2"
    rows = Warehouse.from_settings(settings).query(
        "SELECT count(*) FROM observed.issues WHERE partition_date = ?", days[1:]
    )
    assert rows.item() == first.metadata["raw_issues"]["dagster/partition_row_count"]


@pytest.mark.slow
def test_one_bad_line_in_a_hundred_passes(make_settings: Any, tmp_path: Path) -> None:
    good = [
        event("IssuesEvent", "2024-05-01T00:00:00Z", {"action": "opened", "issue": issue(n)}, number=n)
        for n in range(1, 100)
    ]
    settings = archive(make_settings, tmp_path, [*good, "{broken"])
    assert run_job(settings, "ingest", days=[date(2024, 5, 1)]).checks["raw_pull_requests: few_bad_lines"][0] is True


@pytest.mark.slow
def test_a_real_hour_is_too_little_to_train_on_and_says_so(make_settings: Any, shared_hour: Path) -> None:
    settings = make_settings(source="gharchive", gharchive_dir=shared_hour, end_date=date(2015, 1, 1))
    result = run_job(settings, "main", days=[date(2015, 1, 1)], ops=QUICK)
    passed, found = result.checks["p0_model: enough_labelled_rows"]
    assert not passed
    assert found["detail"] == "0 labelled rows, at least 50 needed"
    assert result.checks["ops_coverage: some_repository_is_covered"][0] is False
    assert Warehouse.from_settings(settings).query("SELECT count(*) FROM ml.model_versions").item() == 0
    assert "Nothing was trained" in result.metadata["p0_model"]["in short"]
    assert "p0_evaluation" not in result.metadata, "a step that made nothing is skipped"
    with open_instance(settings) as instance:
        made = {name for name in of_model(P0) if instance.get_latest_materialization_event(tables.key(name))}
        (seen,) = instance.fetch_observations(tables.key("models.p0"), limit=1).records
        assert _latest(instance, tables.key("models.p0"))[0] == seen.storage_id, "the sensor knows that it was tried"
        assert instance.get_latest_materialization_event(tables.key("reports.alerts")), "the others go on"
    assert made == set()


@pytest.mark.slow
def test_a_failed_run_names_the_step_and_the_reason(make_settings: Any, tmp_path: Path) -> None:
    settings = make_settings(source="gharchive", gharchive_dir=tmp_path / "nowhere")
    with pytest.raises(RunFailedError, match=r"step raw_tables failed: QC_GHARCHIVE_DIR=.*nowhere is not a folder"):
        run_job(settings, "ingest", days=[date(2024, 5, 1)])


@pytest.fixture
def instance(make_settings: Any) -> Iterator[tuple[Settings, dg.DagsterInstance]]:
    settings = make_settings(retrain_after_partitions=3)
    with open_instance(settings) as opened:
        yield settings, opened


def evaluate(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None, definitions: dg.Definitions | None = None
) -> tuple[Any, str | None]:
    definitions = definitions or build_definitions(settings)
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
    answer = definitions.resolve_sensor_def("retraining")(context)
    return answer, context.cursor


def trained(instance: dg.DagsterInstance, *models: str) -> None:
    for model in models:
        instance.report_runless_asset_event(dg.AssetMaterialization(tables.key(f"models.{model}")))


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let the sensor look at a clock that is ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + by.total_seconds(), tz)

    monkeypatch.setattr("qc_assets.assets.retraining.datetime", Ahead)


def landed(settings: Settings, *days: int) -> None:
    chosen = [FIRST + timedelta(days=day) for day in days]
    run_job(settings, "ingest", days=chosen, ops={"raw_tables": {"config": {"refresh": True}}})


@pytest.mark.slow
def test_the_sensor_retrains_once_enough_new_partitions_have_landed(instance: Any) -> None:
    settings, opened = instance
    answer, cursor = evaluate(settings, opened, None)
    assert isinstance(answer, dg.SkipReason)
    landed(settings, 0, 1)
    landed(settings, 1, 1)
    answer, cursor = evaluate(settings, opened, cursor)
    assert "2 new days" in answer.skip_message, "a day that landed twice counts once"
    landed(settings, 2)
    answer, cursor = evaluate(settings, opened, cursor)
    assert isinstance(answer, dg.RunRequest)
    assert answer.tags["qc/retraining"] == "3 new days"
    again, cursor = evaluate(settings, opened, cursor)
    assert isinstance(again, dg.SkipReason), "one request for the same partitions"
    trained(opened, *(spec.name for spec in SPECS))
    landed(settings, 0, 1, 2)
    made_again, cursor = evaluate(settings, opened, cursor)
    assert "0 new days" in made_again.skip_message, "days that are made again are not new"
    landed(settings, 3, 4, 5)
    third, cursor = evaluate(settings, opened, cursor)
    assert isinstance(third, dg.RunRequest)
    assert third.run_key != answer.run_key and third.asset_selection is None


@pytest.mark.slow
def test_training_by_hand_resets_the_count_of_that_model_only(instance: Any) -> None:
    settings, opened = instance
    landed(settings, 0, 1)
    trained(opened, "p0")
    landed(settings, 2, 3)
    answer, _ = evaluate(settings, opened, None)
    assert answer.tags["qc/models"] == "resolution_time, close_in_7_days, comment_category, first_response"
    names = {key.to_user_string() for key in answer.asset_selection}
    assert "close_in_7_days_model" in names and not any(name.startswith("p0_") for name in names)
    assert "features_pull_requests" in names and "reports_monitoring" in names
    build_definitions(settings).resolve_job_def("training").get_subset(asset_selection=set(answer.asset_selection))
    trained(opened, *(spec.name for spec in SPECS))
    answer, _ = evaluate(settings, opened, None)
    assert "0 new days" in answer.skip_message


@pytest.mark.slow
def test_a_retraining_that_failed_is_tried_again_after_a_while(instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, opened = instance
    trained(opened, *(spec.name for spec in SPECS))
    landed(settings, 0, 1, 2)
    requests, waits = [], []
    cursor, minute = None, 0
    definitions = build_definitions(settings)
    job = definitions.resolve_job_def("training")
    while minute < 24 * 60:
        later(monkeypatch, timedelta(minutes=minute))
        answer, cursor = evaluate(settings, opened, cursor, definitions)
        if isinstance(answer, dg.RunRequest):
            requests.append(minute)
            run = opened.create_run_for_job(job, tags={"dagster/run_key": answer.run_key})
            later(monkeypatch, timedelta(minutes=minute))
            busy, cursor = evaluate(settings, opened, cursor, definitions)
            assert "is retraining" in busy.skip_message
            opened.report_run_failed(run)
        else:
            waits.append(answer.skip_message)
        minute += 15
    assert 4 <= len(requests) <= 8 and requests[0] == 0
    assert "the last retraining failed; it is tried again at" in waits[0]
    # Success, whoever trained, ends it.
    trained(opened, *(spec.name for spec in SPECS))
    answer, _ = evaluate(settings, opened, cursor)
    assert isinstance(answer, dg.SkipReason)


@pytest.mark.slow
def test_the_sensor_retrains_when_the_last_training_is_too_long_ago(
    instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, opened = instance
    landed(settings, 0)
    trained(opened, "p0")
    late = settings.model_copy(update={"retrain_after_days": 30})
    assert isinstance(evaluate(late, opened, None)[0], dg.SkipReason)
    later(monkeypatch, timedelta(days=31))
    answer, _ = evaluate(late, opened, "0@1.5, as an older version wrote it")
    assert isinstance(answer, dg.RunRequest)
    assert "over 30 days ago" in answer.tags["qc/retraining"] and answer.tags["qc/models"] == "p0"


def test_the_schedule_asks_for_yesterday_and_skips_what_has_no_partition(make_settings: Any) -> None:
    definitions = build_definitions(make_settings())
    schedule = definitions.resolve_schedule_def("daily_ingest")

    def tick(moment: datetime) -> Any:
        context = dg.build_schedule_context(
            scheduled_execution_time=moment, repository_def=definitions.get_repository_def()
        )
        return schedule.evaluate_tick(context)

    (request,) = tick(datetime(2024, 1, 11, 2, 30, tzinfo=UTC)).run_requests
    assert request.partition_key == "2024-01-10"
    skipped = tick(datetime(2024, 6, 1, 2, 30, tzinfo=UTC))
    assert "2024-05-31 is outside of the partitions (2024-01-01 to 2024-02-29)" in skipped.skip_message


class Webhook(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.documents: list[dict[str, Any]] = []
        self.received = threading.Event()


class _Receiver(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.documents.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.server.received.set()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output quiet."""


@pytest.mark.slow
def test_failed_runs_reach_the_webhook(make_settings: Any, tmp_path: Path) -> None:
    with running(Webhook()) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        settings = make_settings(source="gharchive", gharchive_dir=tmp_path / "nowhere", failure_webhook_url=url)
        definitions = build_definitions(settings)
        with open_instance(settings) as opened:
            result = definitions.resolve_job_def("ingest").execute_in_process(
                instance=opened, partition_key="2024-05-01", raise_on_error=False
            )
            failure = next(one for one in result.all_events if one.event_type_value == "PIPELINE_FAILURE")
            context = dg.build_run_status_sensor_context(
                sensor_name="run_failures",
                dagster_instance=opened,
                dagster_run=result.dagster_run,
                dagster_event=failure,
            ).for_run_failure()
            definitions.resolve_sensor_def("run_failures")(context)
    (document,) = server.documents
    assert (document["job"], document["partition"], document["run_id"]) == ("ingest", "2024-05-01", result.run_id)
    assert document["url"].endswith(f"/runs/{result.run_id}")


def test_every_raw_table_is_an_asset(make_settings: Any) -> None:
    graph = build_definitions(make_settings()).resolve_asset_graph()
    assert {tables.key(f"raw.{table}") for table in RAW_TABLES} <= set(graph.get_all_asset_keys())


@pytest.mark.slow
def test_dagster_accepts_the_checkout(make_settings: Any, tmp_path: Path) -> None:
    dagster = Path(sys.executable).with_name("dagster")
    home = dagster_home(make_settings())
    done = subprocess.run(
        [dagster, "definitions", "validate", "-w", dagster_config("workspace.yaml")],
        env=os.environ | {"DAGSTER_HOME": str(home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr
