"""A training that fails costs the other models nothing, and the run fails when all else is done."""

from typing import Any

import dagster as dg
import pytest

from qc_assets.assets import tables
from qc_assets.assets.model_versions import ENDED_WELL, FAILED, attempted, model_assets, training_config
from qc_assets.assets.report_tables import report_assets
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.assets.retraining import _latest
from qc_assets.errors import QcError
from qc_assets.learning.promotion import Decision
from qc_assets.registry import lifecycle, mirror
from qc_assets.store.warehouse import Warehouse


def test_one_failed_training_is_red_and_the_others_go_on(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings()
    store = Warehouse.from_settings(settings)
    with store.write():
        pass
    store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
    for table in ("pull_requests", "issues"):
        store.rebuild(f"features/{table}", settings.feature_parameters(table))
    mirrored: list[str] = []

    def train_and_register(spec: Any, *arguments: Any, **more: Any) -> lifecycle.TrainingOutcome:
        if spec.name == "p0":
            raise ZeroDivisionError("a window that nobody thought of")
        return lifecycle.TrainingOutcome([], Decision(False, "too few rows"))

    monkeypatch.setattr(lifecycle, "train_and_register", train_and_register)
    monkeypatch.setattr(mirror, "sync_mirror", lambda store, models, name: mirrored.append(name))
    names = ["train_p0", "train_close_in_7_days"]
    assets = [asset for asset in model_assets(settings) if asset.op.name in names]
    (alerts,) = [asset for asset in report_assets() if asset.op.name == "report_alerts"]
    instance = dg.DagsterInstance.ephemeral()
    run = dg.materialize(
        [*assets, alerts],
        instance=instance,
        resources={
            "warehouse": WarehouseResource.from_settings(settings),
            "registry": RegistryResource.from_settings(settings),
        },
        run_config={"ops": {name: training_config(quick=True)[name] for name in names}},
        raise_on_error=False,
    )
    assert not run.success, "at its end"
    assert sorted(mirrored) == ["close_in_7_days", "p0"], "a version that was made would have its rows"
    checks = {(check.asset_key.path[-1], check.check_name): check for check in run.get_asset_check_evaluations()}
    failed, ended = checks["p0_model", ENDED_WELL], checks["close_in_7_days_model", ENDED_WELL]
    assert ended.passed and not failed.passed
    assert failed.metadata["detail"].value == "ZeroDivisionError: a window that nobody thought of"
    alert = checks["reports_alerts", "no_alert_in_this_run"]
    expected = "the training of p0 failed: ZeroDivisionError: a window that nobody thought of"
    assert not alert.passed and alert.metadata["detail"].value == expected
    event = instance.get_latest_materialization_event(tables.key("models.p0"))
    assert event is not None and event.asset_materialization is not None
    assert FAILED in event.asset_materialization.metadata
    assert _latest(instance, tables.key("models.p0")) == (0, 0.0), "the sensor tries it again"
    assert _latest(instance, tables.key("models.close_in_7_days"))[0] > 0


def test_what_concerns_all_models_is_raised() -> None:
    def fail() -> None:
        raise QcError("the warehouse is busy")

    with pytest.raises(QcError, match="busy"):
        attempted(dg.build_asset_context(), fail)
