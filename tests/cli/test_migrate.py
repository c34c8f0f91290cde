"""A home of version 0.1.0, moved to another folder, is whole after `qc migrate`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.backup import make_backup, restore_backup
from qc_assets.cli.migrate import Step, migrate_all
from qc_assets.registry.artifact_paths import follow_move
from qc_assets.registry.mirror import sync_mirror
from qc_assets.registry.model_registry import Registry
from qc_assets.registry.version_record import TABLES
from qc_assets.settings import Settings
from qc_assets.sqlite_files import existing_sqlite
from qc_assets.store.warehouse import Warehouse
from tests.old_homes import MODELS, settings_of_old_home, unpack_home


def places(database: Path) -> list[str]:
    """Where MLflow says that experiments, runs and models lie."""
    with existing_sqlite(database) as connection:
        return [
            place
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
            )
            for (place,) in connection.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE 'file:%'")
        ]


@pytest.mark.slow
def test_a_moved_home_of_0_1_0_has_every_champion_after_migrating(
    migrated: Path, migrated_copy: Settings, tmp_path: Path
) -> None:
    warehouse, mlflow, models = (Step(**step) for step in json.loads((migrated.parent / "steps.json").read_text()))
    assert "0001_numbered_versions" in warehouse.done and Path(warehouse.copy).is_file()
    assert f"found in {migrated}/mlflow/artifacts" in mlflow.done and Path(mlflow.copy).is_file()
    settings, home = migrated_copy, migrated_copy.home
    assert models.done.startswith("4 versions are logged with what the warehouse knew of them; the metrics of ")
    registry = Registry(settings.tracking_uri, settings.artifact_root)
    champions = {model: registry.champion(model) for model in MODELS}
    assert [name for name, champion in champions.items() if champion is None or champion[0] != 1] == []
    assert {place.startswith(settings.artifact_root.as_uri()) for place in places(home / "mlflow/mlflow.db")} == {True}
    client = registry.client()
    version = client.get_model_version_by_alias("p0", "champion")
    assert version.description.startswith("**Version 1 of p0.** It is the **champion**")
    metrics = client.get_run(version.run_id).data.metrics
    assert metrics["test/log_loss"] == metrics["test_log_loss"]
    assert metrics["without_model/log_loss"] == metrics["test_log_loss_baseline"]
    again = migrate_all(settings)
    assert [(step.done, step.copy) for step in again] == [("of this version already", "")] * 3
    # What MLflow knows now is enough for a warehouse that was lost.
    store = Warehouse.from_settings(settings)
    fresh = Warehouse(tmp_path / "fresh.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)
    for model in MODELS:
        sync_mirror(fresh, registry, model)
    for table in ("model_versions", "promotions", *TABLES):
        rows = store.query(f"FROM ml.{table} ORDER BY ALL").rows()
        assert rows and fresh.query(f"FROM ml.{table} ORDER BY ALL").rows() == rows, table


@pytest.mark.slow
def test_a_copy_of_a_home_stands_alone(migrated: Path, tmp_path: Path) -> None:
    original = Path(shutil.copytree(migrated, tmp_path / "original"))
    before = sorted(path for path in original.rglob("*") if path.is_file())
    copy = tmp_path / "it's 100% a copy"
    shutil.copytree(original, copy)
    settings = settings_of_old_home(copy)
    registry = Registry(settings.tracking_uri, settings.artifact_root)
    assert registry.champion("p0") is not None  # no command is needed first
    with existing_sqlite(copy / "mlflow/mlflow.db") as connection:
        (run_id,) = connection.execute("SELECT run_uuid FROM runs WHERE artifact_uri LIKE '%/p0/%'").fetchone()
    registry.attach(run_id, {"note.md": "of the copy"})
    assert list(copy.rglob("note.md")) != []
    assert sorted(path for path in original.rglob("*") if path.is_file()) == before, "nothing is written there"
    shutil.rmtree(original)
    assert registry.champion("p0") is not None


def test_a_store_that_does_not_lie_beside_its_artifacts_is_left_alone(tmp_path: Path) -> None:
    home = unpack_home(tmp_path)
    before = places(home / "mlflow/mlflow.db")
    assert follow_move(home / "mlflow/mlflow.db", tmp_path / "elsewhere" / "artifacts") == 0
    assert places(home / "mlflow/mlflow.db") == before
    assert follow_move(tmp_path / "nothing" / "mlflow.db", tmp_path / "nothing" / "artifacts") == 0


@pytest.mark.slow
def test_of_an_older_home_that_was_restored_doctor_names_what_is_pending_and_migrate_mends_it(
    qc: Any, tmp_path: Path
) -> None:
    manifest = make_backup(settings_of_old_home(unpack_home(tmp_path)), tmp_path / "backup")
    assert manifest["rows"]["raw.pull_requests"] > 0
    home = tmp_path / "new"
    restore_backup(settings_of_old_home(home), tmp_path / "backup")
    where = {"QC_HOME": str(home), "QC_WAREHOUSE": str(home / "qc.duckdb")}
    findings = {row["what"]: row for row in json.loads(qc("doctor", "--json", **where).stdout)}
    assert "0001_numbered_versions" in findings["schema"]["found"]
    assert "qc migrate" in findings["schema"]["how to mend"]
    assert "run `qc migrate`" in " ".join(qc("status", **where).stderr.split())
    assert qc("migrate", **where).returncode == 0
    findings = {row["what"]: row for row in json.loads(qc("doctor", "--json", **where).stdout)}
    assert findings["schema"]["ok"]
    settings = settings_of_old_home(home)
    assert Registry(settings.tracking_uri, settings.artifact_root).champion("p0") is not None
