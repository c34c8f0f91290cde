"""The tables of the warehouse beside the registry, whatever is done to either."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest

from qc_assets.registry import lifecycle, mirror
from qc_assets.registry.model_registry import Registry
from qc_assets.store.warehouse import Warehouse
from tests.learning.test_models import SMALL, later, rows
from tests.registry.conftest import ORIGIN, QUICK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_figures")]
TABLES = ("model_versions", *mirror.TABLES, *mirror.LATER_TABLES, "promotions")


def train(store: Warehouse, registry: Registry, frame: Any) -> lifecycle.TrainingOutcome:
    after = mirror.highest_version(store, "p0")
    outcome = lifecycle.train_and_register(
        SMALL, frame, registry, QUICK, is_synthetic=False, origin=ORIGIN, numbered_after=after
    )
    mirror.sync_mirror(store, registry, "p0")
    return outcome


def statuses(store: Warehouse) -> dict[int, str]:
    return dict(store.query("SELECT version, status FROM ml.model_versions ORDER BY version").rows())


def contents(store: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    return {table: store.query(f"FROM ml.{table} ORDER BY ALL").rows() for table in TABLES}


def test_every_decision_is_a_row_with_its_numbers_and_can_be_undone(
    warehouse: Warehouse, trained_twice: Registry
) -> None:
    registry = trained_twice
    mirror.sync_mirror(warehouse, registry, "p0")
    # Most of what it is fitted to is noise: good enough for the gates, worse than the champion.
    rng = np.random.default_rng(0)
    coin = pl.Series(rng.random(1_500) < 0.5)
    spoilt = pl.Series(rng.random(1_500) < 0.7) & (pl.col("number") < 1_040)
    broken = later(rows(n=1_500)).with_columns(passed=pl.when(spoilt).then(coin).otherwise("passed"))
    assert not train(warehouse, registry, broken).decision.promote
    decisions = warehouse.query("FROM ml.promotions ORDER BY version").to_dicts()
    assert [(row["version"], row["promoted"], row["champion_before"]) for row in decisions] == [
        (1, True, None),
        (2, True, 1),
        (3, False, 2),
    ]
    assert decisions[0]["comparisons"] == []
    numbers = decisions[2]["comparisons"]
    assert {(row["time_window"], row["metric"]) for row in numbers} == {
        (window, metric) for window in ("test", "last_30_days") for metric in ("roc_auc", "log_loss")
    }
    assert any(row["regression"] for row in numbers)
    assert all(row["lower"] <= row["difference"] <= row["upper"] for row in numbers)
    assert statuses(warehouse) == {1: "retired", 2: "champion", 3: "challenger"}

    assert registry.roll_back("p0") == (2, 1)
    mirror.sync_mirror(warehouse, registry, "p0")
    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.get_model_version_by_alias("p0", "champion").version == 1
    assert client.get_model_version_by_alias("p0", "challenger").version == 3
    last = warehouse.query("FROM ml.promotions ORDER BY decided_at DESC LIMIT 1").row(0, named=True)
    assert (last["kind"], last["version"], last["champion_before"]) == ("rollback", 1, 2)

    assert registry.roll_back("p0", 3) == (1, 3)
    assert registry.version_of("p0", "challenger") is None
    mirror.sync_mirror(warehouse, registry, "p0")
    assert statuses(warehouse) == {1: "retired", 2: "retired", 3: "champion"}
    assert registry.roll_back("p0") == (3, 1), "back to whom it replaced"
    assert mirror.sync_mirror(warehouse, registry, "p0") != []
    assert mirror.sync_mirror(warehouse, registry, "p0") == [], "nothing differs any more"


def test_a_new_warehouse_beside_old_models_is_told_all_by_the_registry(
    warehouse: Warehouse, trained_twice: Registry, tmp_path: Path
) -> None:
    registry = trained_twice
    mirror.sync_mirror(warehouse, registry, "p0")
    registry.roll_back("p0", 1)
    mirror.sync_mirror(warehouse, registry, "p0")
    fresh = Warehouse(tmp_path / "fresh.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)
    assert mirror.sync_mirror(fresh, registry, "p0")
    assert contents(fresh) == contents(warehouse)


def test_versions_of_older_days_get_logged_what_only_the_warehouse_knew(
    warehouse: Warehouse, trained_once: Registry, tmp_path: Path
) -> None:
    registry = trained_once
    mirror.sync_mirror(warehouse, registry, "p0")
    (artifacts,) = registry.artifact_root.rglob("version_record")
    before = contents(warehouse)
    for path in artifacts.iterdir():
        path.unlink()
    artifacts.rmdir()
    client = mlflow.MlflowClient(registry.tracking_uri)
    for name in client.get_experiment_by_name("p0").tags:
        client.delete_experiment_tag(client.get_experiment_by_name("p0").experiment_id, name)
    assert mirror.log_missing_records(warehouse, registry, "p0") == 1
    assert mirror.log_missing_records(warehouse, registry, "p0") == 0
    assert mirror.sync_mirror(warehouse, registry, "p0") == []
    fresh = Warehouse(tmp_path / "fresh.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)
    mirror.sync_mirror(fresh, registry, "p0")
    assert contents(fresh) == before == contents(warehouse)


def test_what_is_done_by_hand_in_mlflow_is_seen_and_written_down(warehouse: Warehouse, trained_twice: Registry) -> None:
    registry = trained_twice
    mirror.sync_mirror(warehouse, registry, "p0")
    client = mlflow.MlflowClient(registry.tracking_uri)
    client.set_registered_model_alias("p0", "champion", "1")
    differs = mirror.what_differs(warehouse, registry, "p0")
    assert differs == "the champion of p0 in MLflow is version 1, and in the warehouse version 2"
    mirror.sync_mirror(warehouse, registry, "p0")
    assert mirror.what_differs(warehouse, registry, "p0") is None
    assert statuses(warehouse) == {1: "champion", 2: "retired"}
    last = warehouse.query("FROM ml.promotions ORDER BY decided_at DESC LIMIT 1").row(0, named=True)
    assert (last["kind"], last["version"], last["champion_before"]) == ("manual", 1, 2)
    client.delete_model_version("p0", "1")
    mirror.sync_mirror(warehouse, registry, "p0")
    assert statuses(warehouse) == {1: "removed", 2: "retired"}
    assert "version 1 of p0" in (mirror.what_differs(warehouse, registry, "p0") or "")


def test_a_number_never_means_another_version(warehouse: Warehouse, trained_twice: Registry) -> None:
    registry = trained_twice
    mirror.sync_mirror(warehouse, registry, "p0")
    before = contents(warehouse)
    client = mlflow.MlflowClient(registry.tracking_uri)
    client.delete_registered_model("p0")
    outcome = train(warehouse, registry, rows(n=1_000, seed=8))
    assert outcome.logged is not None and outcome.logged.version == 3
    assert statuses(warehouse) == {1: "removed", 2: "removed", 3: "champion"}
    assert "compared with version 2" in outcome.decision.reason, "its run has it still"
    after = contents(warehouse)
    for table in TABLES[1:]:
        assert set(map(repr, before[table])) <= set(map(repr, after[table])), "nothing of the others is lost"
