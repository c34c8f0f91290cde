"""Decisions in SQL, and rolling back."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest

from qc_assets.errors import QcError
from qc_assets.registry import lifecycle, mirror
from qc_assets.registry.model_registry import Registry
from qc_assets.store.warehouse import Warehouse
from tests.learning.test_models import OPTIONS, SMALL, rows

ORIGIN = {"snapshot": "abc", "dagster_run_id": "d-1", "git_commit": ""}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}", tmp_path / "artifacts")


def train(store: Warehouse, registry: Registry, frame: Any) -> lifecycle.TrainingOutcome:
    outcome = lifecycle.train_and_register(SMALL, frame, registry, OPTIONS, is_synthetic=False, origin=ORIGIN)
    mirror.mirror_training(store, SMALL, outcome, ORIGIN, is_synthetic=False)
    return outcome


def champion(store: Warehouse) -> int:
    return store.query("SELECT version FROM ml.model_versions WHERE status = 'champion'").item()


@pytest.mark.slow
def test_every_decision_is_a_row_with_its_numbers_and_can_be_undone(warehouse: Warehouse, registry: Registry) -> None:
    frame = rows(n=1_500)
    assert train(warehouse, registry, frame).decision.promote
    assert train(warehouse, registry, frame).decision.promote
    # Most of what it is fitted to is noise: good enough for the gates, worse than the champion.
    rng = np.random.default_rng(0)
    coin = pl.Series(rng.random(1_500) < 0.5)
    spoilt = pl.Series(rng.random(1_500) < 0.85) & (pl.col("number") < 1_040)
    broken = frame.with_columns(passed=pl.when(spoilt).then(coin).otherwise("passed"))
    assert not train(warehouse, registry, broken).decision.promote
    decisions = warehouse.query("FROM ml.promotions ORDER BY version").to_dicts()
    assert [(row["version"], row["promoted"], row["champion_before"]) for row in decisions] == [
        (1, True, None),
        (2, True, 1),
        (3, False, 2),
    ]
    assert decisions[0]["comparisons"] == []
    numbers = decisions[2]["comparisons"]
    assert {(one["time_window"], one["metric"]) for one in numbers} == {
        (window, metric) for window in ("test", "last_30_days") for metric in ("roc_auc", "log_loss")
    }
    assert any(one["regression"] for one in numbers)
    assert all(one["lower"] <= one["difference"] <= one["upper"] for one in numbers)

    assert mirror.roll_back_champion(warehouse, registry, "p0") == (2, 1)
    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.get_model_version_by_alias("p0", "champion").version == 1
    assert client.get_model_version_by_alias("p0", "challenger").version == 3
    assert champion(warehouse) == 1
    last = warehouse.query("FROM ml.promotions ORDER BY decided_at DESC LIMIT 1").row(0, named=True)
    assert (last["kind"], last["version"], last["champion_before"]) == ("rollback", 1, 2)

    assert mirror.roll_back_champion(warehouse, registry, "p0", to=3) == (1, 3)
    statuses = warehouse.query("SELECT version, status FROM ml.model_versions ORDER BY version").rows()
    assert statuses == [(1, "retired"), (2, "retired"), (3, "champion")]
    assert registry.version_of("p0", "challenger") is None
    assert mirror.roll_back_champion(warehouse, registry, "p0") == (3, 1), "back to whom it replaced"


@pytest.mark.slow
def test_what_cannot_be_rolled_back_says_why(warehouse: Warehouse, registry: Registry) -> None:
    with pytest.raises(QcError, match="p0 has no champion to roll back from"):
        mirror.roll_back_champion(warehouse, registry, "p0")
    train(warehouse, registry, rows(n=1_000))
    with pytest.raises(QcError, match="version 1 of p0 replaced no other: name a version with --to"):
        mirror.roll_back_champion(warehouse, registry, "p0")
    with pytest.raises(QcError, match="p0 has no version 7; there are 1"):
        mirror.roll_back_champion(warehouse, registry, "p0", to=7)
    with pytest.raises(QcError, match="version 1 of p0 is the champion already"):
        mirror.roll_back_champion(warehouse, registry, "p0", to=1)
    assert champion(warehouse) == 1
