"""`qc migrate`: what an older version left, or a home that was moved, becomes this version's."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from qc_assets.cli.dagster_records import bring_up_to_date
from qc_assets.cli.trouble import advice_about
from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.models.specs import SPECS
from qc_assets.registry.artifact_paths import follow_move
from qc_assets.registry.local_store import revisions
from qc_assets.settings import Settings
from qc_assets.sqlite_files import copy_sqlite
from qc_assets.store.copies import copies_of
from qc_assets.store.warehouse import Warehouse

_UNCHANGED = "of this version already"


@dataclass(frozen=True)
class Step:
    """What became of one store; `copy` is the file of before, empty if nothing was changed."""

    what: str
    done: str
    copy: str = ""


def migrate_all(settings: Settings) -> list[Step]:
    """Migrate what is there; what is missing is made by whoever needs it first.

    Raises:
        QcError: naming the store that was left as it was, and why.
    """
    return [
        _migrate_warehouse(Warehouse.from_settings(settings)),
        *_migrate_mlflow(settings),
        *_agree(settings),
        *_migrate_dagster(settings),
    ]


def _migrate_warehouse(store: Warehouse) -> Step:
    if not store.engine.exists():
        return Step("warehouse", f"{store.place} is not there yet")
    changes = store.migrate()
    if not changes:
        return Step("warehouse", _UNCHANGED)
    copy = "" if store.is_lake else str(copies_of(store.path)[-1])
    return Step("warehouse", ", ".join(changes), copy)


def _migrate_mlflow(settings: Settings) -> list[Step]:
    database = settings.mlflow_database
    if settings.mlflow_tracking_uri or not database.is_file():
        return []  # another's server is not ours to migrate
    copy = database.with_name(f"{database.name}.{now_utc():%Y%m%dT%H%M%S}.bak")
    copy_sqlite(database, copy)
    revision, needed = revisions(database)
    if revision != needed:
        _upgrade(database, settings, copy)
    moved = follow_move(database, settings.artifact_root)
    steps = []
    if revision != needed:
        steps.append(f"schema {revision} became {needed}")
    if moved:
        steps.append(f"the artifacts of {moved} experiments are found in {settings.artifact_root}")
    if not steps:
        copy.unlink()
        return [Step("MLflow", _UNCHANGED)]
    return [Step("MLflow", "; ".join(steps), str(copy))]


def _upgrade(database: Path, settings: Settings, copy: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", settings.tracking_uri]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        advice = advice_about(reason) or "run `mlflow db upgrade` by hand to see all that it says"
        raise QcError(f"{database}: mlflow db upgrade failed ({reason}) – {advice}; the copy of before is {copy}")


def _migrate_dagster(settings: Settings) -> list[Step]:
    """Names of assets are the one thing that changes: Dagster migrates its own tables when it opens them."""
    index = settings.home / "dagster" / "history" / "runs" / "index.db"
    if not index.is_file():
        return []
    copy = index.with_name(f"index.{now_utc():%Y%m%dT%H%M%S}.bak")
    copy_sqlite(index, copy)
    renamed = bring_up_to_date(settings.home / "dagster")
    if not renamed:
        copy.unlink()
        return [Step("Dagster", _UNCHANGED)]
    return [Step("Dagster", f"{renamed} assets have the names of this version", str(copy))]


def _agree(settings: Settings) -> list[Step]:
    """Let MLflow say of every version what only the warehouse knew, and the warehouse what MLflow says."""
    from qc_assets.registry.mirror import log_missing_records, sync_mirror
    from qc_assets.registry.model_registry import Registry
    from qc_assets.registry.older_runs import group_metrics

    if not settings.mlflow_tracking_uri and not settings.mlflow_database.is_file():
        return []
    store, registry = Warehouse.from_settings(settings), Registry.from_settings(settings)
    logged = sum(log_missing_records(store, registry, spec.name) for spec in SPECS)
    changes = [change for spec in SPECS for change in sync_mirror(store, registry, spec.name)]
    records = [f"{logged} versions are logged with what the warehouse knew of them"] if logged else []
    grouped = sum(group_metrics(registry, spec) for spec in SPECS)
    records += [f"the metrics of {grouped} runs are in groups"] if grouped else []
    for spec in SPECS:
        registry.describe(spec.name)
    if settings.signing_secret is not None and (signed := sum(registry.sign_all(spec.name) for spec in SPECS)):
        records.append(f"{signed} versions are signed with QC_SIGNING_KEY")
    return [Step("models", "; ".join([*records, *changes]) or _UNCHANGED)]
