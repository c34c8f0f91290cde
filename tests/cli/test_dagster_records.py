"""What Dagster recorded under names of before is found under those of now."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from qc_assets.assets import tables
from qc_assets.assets.run_origins import LocatedRuns
from qc_assets.cli import dagster_records
from qc_assets.cli.migrate import migrate_all
from qc_assets.cli.runs import open_instance
from qc_assets.settings import Settings
from qc_assets.sqlite_files import existing_sqlite

OLD = {
    ("raw", "pull_requests"): "raw_pull_requests",
    ("models", "p0"): "p0_model",
    ("models", "p0", "evaluation"): "p0_evaluation",
    ("reports", "bias", "close_in_7_days_by_completion_time"): "close_in_7_days_bias_by_completion_time",
    ("somebody", "else"): "somebody/else",
}
TEXT = '{"__class__": "AssetKey", "path": ["raw", "issues"]}'


def made_by_an_older_version(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a job with the names of before, whose run has no origin; returns its id."""

    @dg.multi_asset(
        name="old",
        specs=[dg.AssetSpec(list(path)) for path in OLD],
        check_specs=[dg.AssetCheckSpec("holds", asset=["models", "p0"])],
        partitions_def=dg.StaticPartitionsDefinition(["2024-01-01", "2024-01-02"]),
    )
    def old() -> Any:
        for path in OLD:
            yield dg.MaterializeResult(asset_key=list(path), metadata={"text": TEXT})
        yield dg.AssetCheckResult(asset_key=["models", "p0"], check_name="holds", passed=False)

    with monkeypatch.context() as patch, open_instance(settings) as instance:
        patch.setattr(LocatedRuns, "add_run", lambda self, run: super(LocatedRuns, self).add_run(run))
        return str(dg.materialize([old], instance=instance, partition_key="2024-01-02").run_id)


def test_old_names_are_renamed_wherever_they_are(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings()
    run_id = made_by_an_older_version(settings, monkeypatch)
    (step,) = [step for step in migrate_all(settings) if step.what == "Dagster"]
    assert step.done == "4 assets have the names of this version" and Path(step.copy).is_file()
    with open_instance(settings) as instance:
        keys = {key.to_user_string() for key in instance.all_asset_keys()}
        assert keys == set(OLD.values())
        for name in keys:
            key = dg.AssetKey.from_user_string(name)
            assert instance.get_materialized_partitions(key) == {"2024-01-02"}
            event = instance.get_latest_materialization_event(key)
            assert event is not None and event.asset_materialization is not None
            assert event.asset_materialization.asset_key == key
            assert event.asset_materialization.metadata["text"].value == TEXT, "a text that looks like a key is a text"
        check = dg.AssetCheckKey(tables.key("models.p0"), "holds")
        (found,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([check]).values()
        assert found.status == AssetCheckExecutionRecordStatus.FAILED
        of_run = {entry.dagster_event.asset_key for entry in instance.all_logs(run_id) if entry.dagster_event}
        assert tables.key("raw.pull_requests") in of_run
        run = instance.get_run_by_id(run_id)
        assert run is not None and run.remote_job_origin is not None
        of_location = instance.get_runs(dg.RunsFilter(tags={".dagster/repository": "__repository__@qc_assets"}))
        assert [run.run_id for run in of_location] == [run_id]
    assert [step.done for step in migrate_all(settings) if step.what == "Dagster"] == ["of this version already"]


def test_it_happens_by_itself_and_once(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings()
    made_by_an_older_version(settings, monkeypatch)
    with monkeypatch.context() as patch:  # killed before the index, which is what is asked
        patch.setattr(dagster_records, "_rename_in_runs", lambda database: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dagster_records.bring_up_to_date(settings.home / "dagster")
    with open_instance(settings) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(tables.key("models.p0")))
        newest = instance.get_latest_materialization_event(tables.key("models.p0"))
    assert newest is not None
    with existing_sqlite(settings.home / "dagster" / "history" / "runs" / "index.db") as index:
        assert index.execute("SELECT count(*) FROM event_logs WHERE asset_key = '[\"p0_model\"]'").fetchone()[0] > 1
    assert dagster_records.bring_up_to_date(settings.home / "dagster") == 0
    assert dagster_records.bring_up_to_date(settings.home / "nowhere") == 0
