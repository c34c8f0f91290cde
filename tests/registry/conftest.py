"""A small model's registry: an empty one, and copies of one after a training and after two."""

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest

from qc_assets.learning import promotion
from qc_assets.learning.bundle import Bundle
from qc_assets.registry import lifecycle
from qc_assets.registry.export_place import Place
from qc_assets.registry.model_files import export_version
from qc_assets.registry.model_registry import Registry
from tests.learning.test_models import OPTIONS, SMALL, later, rows

QUICK = replace(OPTIONS, candidates=("lightgbm",))
ORIGIN = {"snapshot": "abc", "dagster_run_id": "d-1", "git_commit": ""}


@cache  # and not when this module is imported: polars' threads do not survive the forks of tests/test_kills.py
def first_rows() -> pl.DataFrame:
    """What the champion of `trained_once` learnt from."""
    return rows(1_000)


@cache
def second_rows() -> pl.DataFrame:
    """Later rows, from which the second champion of `trained_twice` learnt."""
    return later(rows(1_000, seed=5))


def registry_in(folder: Path) -> Registry:
    """A registry in a SQLite file of its own, beside its artifacts."""
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


def _decisions_alone(patch: pytest.MonkeyPatch) -> None:
    """Decisions are looked at here, on rows on which trees may lose; rivals have tests of their own."""
    patch.setattr(promotion, "not_surely_worse", lambda spec, rivals: (True, "not looked at"))


def _no_figures(patch: pytest.MonkeyPatch) -> None:
    """Plots take half of the time of a small training, and are looked at elsewhere."""
    patch.setattr(lifecycle, "training_figures", lambda trained: {})


@pytest.fixture(autouse=True)
def _whatever_plain_rivals_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    _decisions_alone(monkeypatch)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_figures(monkeypatch)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty one."""
    return registry_in(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `once` and `twice`: registries whose champion learnt from `first_rows`, and then from `second_rows`."""
    root = tmp_path_factory.mktemp("trained")
    registry = registry_in(root / "twice")
    with pytest.MonkeyPatch.context() as patch:
        _decisions_alone(patch)
        _no_figures(patch)
        for frame in (first_rows(), second_rows()):
            outcome = lifecycle.train_and_register(SMALL, frame, registry, QUICK, is_synthetic=False, origin=ORIGIN)
            assert outcome.decision.promote, outcome.decision.reason
            if frame is first_rows():
                shutil.copytree(root / "twice", root / "once")
    return root


@pytest.fixture
def trained_once(trained: Path, tmp_path: Path) -> Registry:
    """A copy with one version."""
    return registry_in(Path(shutil.copytree(trained / "once", tmp_path / "once")))


@pytest.fixture
def trained_twice(trained: Path, tmp_path: Path) -> Registry:
    """A copy with two versions, the second of which replaced the first."""
    return registry_in(Path(shutil.copytree(trained / "twice", tmp_path / "twice")))


def exported(place: Place, bundle: Bundle, version: int, facts: Mapping[str, Any]) -> bool:
    """Export a bundle as a registered version of its model, which the run in `facts` made."""
    with TemporaryDirectory() as folder:
        bundle.save(Path(folder), str(facts.get("run_id") or ""), place.signing_key)
        return export_version(place, bundle.model, version, lambda: nullcontext(Path(folder)), facts)
