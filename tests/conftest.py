"""Fixtures on real engines: temporary DuckDB files, a real MLflow store, a persistent Dagster instance."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker has one core: libraries that start a thread for each would only wait for each other. They look when
    # they are imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from qc_assets.settings import Settings, load_settings
from qc_assets.warehouse import Warehouse

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def embeddings_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests of a process keep embeddings: each text is embedded once."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, embeddings_home: Path) -> None:
    """The tests mean what they say, whatever QC_* variables and .env the developer has."""
    for name in [name for name in os.environ if name.startswith("QC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QC_HOME", str(embeddings_home))
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings whose every file lies in the test's own folder."""

    def make(**overrides: object) -> Settings:
        places = {"home": tmp_path / "home", "warehouse": tmp_path / "qc.duckdb"}
        small = {"demo_prs": 300, "demo_days": 60, "start_date": date(2024, 1, 1)} if "source" not in overrides else {}
        return load_settings(**(places | small | overrides))

    return make


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "qc.duckdb", staging=tmp_path / "staging", lock_timeout_s=20)


@pytest.fixture(scope="session")
def shared_hour() -> Path:
    """The folder with one real hour of GH Archive."""
    folder = SHARED / "gharchive"
    if not (folder / "2015-01-01-0.json.gz").is_file():
        pytest.skip(f"the real hour is not there: {folder}/2015-01-01-0.json.gz")
    return folder
