"""A small model's registry."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from qc_assets.learning import promotion
from qc_assets.learning.bundle import Bundle
from qc_assets.registry import lifecycle
from qc_assets.registry.export_place import Place
from qc_assets.registry.model_files import export_version
from qc_assets.registry.model_registry import Registry
from tests.learning.test_models import OPTIONS

QUICK = replace(OPTIONS, candidates=("lightgbm",))
ORIGIN = {"snapshot": "abc", "dagster_run_id": "d-1", "git_commit": ""}


@pytest.fixture(autouse=True)
def _whatever_plain_rivals_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions are looked at here, on rows on which trees may lose; rivals have tests of their own."""
    monkeypatch.setattr(promotion, "not_surely_worse", lambda spec, rivals: (True, "not looked at"))


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take half of the time of a small training, and are looked at elsewhere."""
    monkeypatch.setattr(lifecycle, "training_figures", lambda trained: {})


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry in a SQLite file of its own."""
    return Registry(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}", tmp_path / "artifacts")


def exported(place: Place, bundle: Bundle, version: int, facts: Mapping[str, Any]) -> bool:
    """Export a bundle as a registered version of its model, which the run in `facts` made."""
    with TemporaryDirectory() as folder:
        bundle.save(Path(folder), str(facts.get("run_id") or ""), place.signing_key)
        return export_version(place, bundle.model, version, Path(folder), facts)
