"""Steps of the way from days to money, each in a folder, for processes that are killed in the midst of them."""

import json
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from qc_assets.registry import lifecycle, mirror
from qc_assets.registry.export_place import Place
from qc_assets.registry.model_files import read_soundest_version
from qc_assets.registry.model_registry import Registry
from qc_assets.serving import publish
from qc_assets.serving.importing import bring_in
from qc_assets.settings import Settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import ORIGIN, QUICK

FIRST = date(2024, 1, 1)


def settings_of(folder: Path) -> Settings:
    """Of a small demo whose every file lies in `folder`."""
    places: dict[str, Any] = {"home": folder / "home", "warehouse": folder / "qc.duckdb", "_env_file": None}
    return Settings(demo_prs=300, demo_days=30, start_date=FIRST, **places)


def registry_of(folder: Path) -> Registry:
    settings = settings_of(folder)
    return Registry(settings.tracking_uri, settings.artifact_root)


def load_days(folder: Path) -> None:
    """Load and fold thirty days of the demo."""
    settings = settings_of(folder)
    days = [FIRST + timedelta(days=number) for number in range(30)]
    for start in range(0, 30, 5):
        load(Warehouse.from_settings(settings), DemoSource.from_settings(settings), days[start : start + 5])


def loaded(folder: Path) -> Any:
    with Warehouse.from_settings(settings_of(folder)).at_one_time() as now:
        tables = {table: now.query(f"FROM raw.{table}").drop("observed_at") for table in RAW_TABLES}
    return {name: sorted(map(repr, table.rows())) for name, table in tables.items()}


def train(folder: Path) -> None:
    """Train, judge and promote a small model, and mirror it."""
    warnings.simplefilter("ignore")
    store, registry = Warehouse.from_settings(settings_of(folder)), registry_of(folder)
    after = mirror.highest_version(store, "p0")
    lifecycle.train_and_register(
        SMALL, rows(600), registry, QUICK, is_synthetic=False, origin=ORIGIN, numbered_after=after
    )
    mirror.sync_mirror(store, registry, "p0")


def trained(folder: Path) -> Any:
    store, registry = Warehouse.from_settings(settings_of(folder)), registry_of(folder)
    standing, champion = registry.standing("p0"), registry.champion("p0")
    assert champion is not None and standing.removal is None and standing.taken_down == ()
    assert mirror.what_differs(store, registry, "p0") is None
    # A training that was killed before it was judged may have left a version that nobody serves.
    champions = store.query("SELECT version FROM ml.model_versions WHERE status = 'champion'")["version"].to_list()
    assert champions == [champion[0]]
    version = {"model": "p0", "version": champion[0]}
    tables = [store.query(f"FROM ml.{table} WHERE model = $model AND version = $version", version).drop("version")
              for table in ("evaluations", "gates", "test_predictions", "training_rows")]  # fmt: skip
    return [champion[1].predict(rows(50)).tolist(), *(sorted(map(repr, table.rows())) for table in tables)]


def publish_champion(folder: Path) -> None:
    """Publish the champion of a training that ended well."""
    publish.champions(Place(str(folder / "export")), Warehouse.from_settings(settings_of(folder)), registry_of(folder))


def published(folder: Path) -> Any:
    exported = read_soundest_version(Place(str(folder / "export")), "p0")
    assert exported.troubles == ()
    return [exported.version, exported.bundle.predict(rows(50)).tolist()]


def import_journal(folder: Path) -> None:
    """Bring what the server wrote down into the warehouse."""
    settings = settings_of(folder)
    bring_in(Warehouse.from_settings(settings), settings.journal_file, keep_days=10_000)


def imported(folder: Path) -> Any:
    store = Warehouse.from_settings(settings_of(folder))
    predictions = store.query("SELECT number, prediction FROM ml.predictions ORDER BY ALL").rows()
    return [predictions, store.query("SELECT count(*), sum(lost) FROM ops.journal_imports").rows()]


STEPS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "load": (load_days, loaded),
    "train": (train, trained),
    "publish": (publish_champion, published),
    "import": (import_journal, imported),
}


def run_step(name: str, folder: str) -> None:
    """Run a step to its end, and say so."""
    STEPS[name][0](Path(folder))
    (Path(folder) / f"{name}.done").write_text(json.dumps(True))
