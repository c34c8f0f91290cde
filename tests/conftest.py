"""Fixtures on real engines: temporary DuckDB files, a real MLflow store, a persistent Dagster instance."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker has one core: libraries that start a thread for each would only wait for each other. They look when
    # they are imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import pickle
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from qc_assets.learning.text.embeddings import DEFAULT_ENCODER, configure_embeddings
from qc_assets.registry import local_store
from qc_assets.settings import Settings, load_settings
from qc_assets.store.warehouse import Warehouse


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory where there is room: SQLite and DuckDB wait for the disk at every commit.

    Processes are killed in the tests, machines are not, so what was written is there either way.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test `graph` (it needs the shared run of the main job), `slow` or `unit`, and order them so.

    With `--dist worksteal` one worker begins with the first and another in the middle: the one makes the shared run
    while the other does short tests, and then takes over what the first has not come to.
    """
    ranks = {"graph": 0, "slow": 1, "unit": 2}
    for item in items:
        if "main_run" in getattr(item, "fixturenames", ()):
            item.add_marker("graph")
        elif item.get_closest_marker("slow") is None:
            item.add_marker("unit")
    items.sort(key=lambda item: min(rank for mark, rank in ranks.items() if item.get_closest_marker(mark)))


ROOM_BYTES = 8 * 2**30
make_mlflow_store = local_store._make
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def embeddings_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all tests of a process keep embeddings: each text is embedded once."""
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_process(embeddings_home: Path) -> Iterator[None]:
    """Fixtures that live longer than a test keep nothing in the checkout, and all settings share embeddings."""
    cache = embeddings_home / "embeddings.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QC_HOME", str(embeddings_home))
        patch.setattr(Settings, "embeddings_cache", property(lambda settings: cache))
        configure_embeddings(DEFAULT_ENCODER, cache)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def _one_empty_mlflow(shared_folder: Path) -> Iterator[None]:
    """MLflow makes an empty store in forty migrations, which takes seconds: the first is copied for all other tests."""
    empty = shared_folder / "mlflow" / "empty.db"

    def copy(database: Path, artifact_root: Path) -> None:
        with FileLock(f"{empty.parent}.lock"):
            if not empty.exists():
                empty.parent.mkdir(exist_ok=True)
                make_mlflow_store(empty, artifact_root)
        draft = Path(shutil.copy(empty, database.with_name("draft.db")))
        with closing(sqlite3.connect(draft)) as connection, connection:
            location = f"{artifact_root.as_uri()}/0"
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", [location])
        draft.replace(database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_store, "_make", copy)
        yield


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


@pytest.fixture(scope="session")
def main_run(shared_folder: Path) -> tuple[Settings, Any]:
    """One run of the main job, over the first 240 of the 270 days of a demo that is large enough to train on.

    It takes a minute, so all processes of a test run share it: read it, and change only a copy.

    Returns:
        Settings, and the result of the run.
    """
    from qc_assets.assets.model_versions import training_config
    from qc_assets.assets.partitions import days_between
    from qc_assets.cli.runs import run_job
    from qc_assets.sources.demo.source import DemoSource
    from qc_assets.sources.loading import load

    folder = shared_folder / "main_run"
    places: dict[str, Any] = {"home": folder / "home", "warehouse": folder / "qc.duckdb", "_env_file": None}
    settings = Settings(demo_prs=2_250, demo_days=270, start_date=date(2024, 1, 1), bootstrap_resamples=60, **places)
    finished = folder / "result.pickle"
    with FileLock(f"{folder}.lock"):
        if not finished.exists():
            days = days_between(settings.first_date, settings.last_date)[:240]
            # Dagster writes 16 events for a day, which takes longer than the day.
            load(Warehouse.from_settings(settings), DemoSource.from_settings(settings), days[:200])
            result = run_job(settings, "main", days=days[200:], ops=training_config(quick=True))
            finished.write_bytes(pickle.dumps(result))
    return settings, pickle.loads(finished.read_bytes())


def copy_of(settings: Settings, folder: Path) -> Settings:
    """Settings of a copy of a warehouse and of all state beside it."""
    shutil.copytree(settings.home, folder / "home", symlinks=True)
    shutil.copy(settings.warehouse, folder / "qc.duckdb")
    return settings.model_copy(update={"home": folder / "home", "warehouse": folder / "qc.duckdb"})


@pytest.fixture
def main_run_copy(main_run: tuple[Settings, Any], tmp_path: Path) -> Settings:
    """Settings of a copy of `main_run`."""
    return copy_of(main_run[0], tmp_path)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def serving_settings(main_run: tuple[Settings, Any], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a copy of `main_run` that one server of this process may write to."""
    settings = copy_of(main_run[0], tmp_path_factory.mktemp("serving"))
    return settings.model_copy(update={"api_rate": "1000000/second"})


@pytest.fixture(scope="session")
def api(serving_settings: Settings) -> Iterator[Any]:
    """A client of the API on the champions of `main_run`, shared by all tests of a process."""
    from fastapi.testclient import TestClient

    from qc_assets.serving.app import create_app

    with TestClient(create_app(serving_settings), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="session")
def api_url(api: Any) -> Iterator[str]:
    """Where the application of `api` answers on a real socket."""
    import threading
    import time

    import uvicorn

    server = uvicorn.Server(uvicorn.Config(api.app, port=free_port(), lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.config.port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine; `apt-get install chromium` brings it")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        launched = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield launched
        launched.close()
