"""A home with a small warehouse and a trained p0, made in seconds: what people see does not depend on its size."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from qc_assets.assets.partitions import days_between
from qc_assets.clock import now_utc
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.trained import Options
from qc_assets.models.p0 import SPEC
from qc_assets.registry import lifecycle, mirror
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.service import Serving
from qc_assets.settings import Settings
from qc_assets.sources.fake.fake_world import Node, World
from qc_assets.sources.loading import load
from qc_assets.sources.registry import open_source
from qc_assets.store.warehouse import Warehouse

# A model of few trees without texts: an answer takes a millisecond.
QUICK = replace(SPEC, texts=())


def settings_of_small_home(folder: Path) -> Settings:
    """Settings of the home that `make_small_home` made in a folder."""
    places: dict[str, Any] = {"home": folder / "home", "warehouse": folder / "qc.duckdb", "_env_file": None}
    return Settings(demo_prs=400, demo_days=90, **places)


def make_small_home(folder: Path) -> None:
    """Make a warehouse of 400 demo pull requests, and a p0 that was trained on it."""
    settings = settings_of_small_home(folder)
    store = Warehouse.from_settings(settings)
    load(store, open_source(settings), days_between(settings.first_date, settings.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
    for table in ("pull_requests", "issues", "comments"):
        store.rebuild(f"features/{table}", settings.feature_parameters(table))
    registry = Registry.from_settings(settings)
    rows = model_rows(store, QUICK, is_synthetic=True)
    options = Options(quick=True, resamples=20, threads=1, candidates=("lightgbm",))
    outcome = lifecycle.train_and_register(QUICK, rows, registry, options, is_synthetic=True, origin={"snapshot": "s"})
    assert outcome.logged is not None, outcome.decision.reason
    if not outcome.decision.promote:
        registry.roll_back(SPEC.name, 1)
    mirror.sync_mirror(store, registry, SPEC.name)
    # What servers know of it is kept: each that starts on a copy would compute it again.
    with closing(Serving(settings, journal=folder / "journal.db")) as serving:
        serving.refresh_champions()
        assert serving.refresh_knowledge()


def opened_on(world: World, repo: str, **fields: Any) -> Node:
    """A pull request that has just been opened, in a repository of its own, and is in no warehouse."""
    opened = now_utc().replace(microsecond=0) - timedelta(minutes=5)
    item = world.add_item(world.add_repo(repo), "PullRequest", 9_007, opened, opened, additions=120, **fields)
    world.add_commit(item, opened)
    return item
