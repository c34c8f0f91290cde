"""Fixtures on real engines: temporary DuckDB files, a real MLflow store, a persistent Dagster instance."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker has one core: libraries that start a thread for each would only wait for each other. They look when
    # they are imported.
    for variable in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "POLARS_MAX_THREADS"):
        os.environ.setdefault(variable, "1")

import json
import pickle
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from deploy.local_servers import free_port as free_port
from qc_assets.learning.text.embeddings import DEFAULT_ENCODER, configure_embeddings
from qc_assets.settings import Settings, load_settings
from qc_assets.store.engine import Means
from qc_assets.store.warehouse import Warehouse
from tests import ROOT, empty_stores

pytest_plugins = ["tests.cluster.postgres"]


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory where there is room: SQLite and DuckDB wait for the disk at every commit.

    Processes are killed in the tests, machines are not, so what was written is there either way. And what is compiled
    is kept, even where the environment says otherwise: each of some hundred processes would do it again.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test `graph` (it needs the shared run of the main job), `slow`, `store` or `unit`, and order them so.

    With `--dist worksteal` one worker begins with the first and another in the middle: the one makes the shared run
    while the other does short tests, and then takes over what the first has not come to.
    """
    ranks = {"graph": 0, "slow": 1, "store": 2, "unit": 3}
    makes_folders = {"tmp_path_factory", "shared_folder"}
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}
        if "main_run" in fixtures:
            item.add_marker("graph")
        elif item.get_closest_marker("slow") is None:
            with_folders = {name for name, of in fixtures.items() if makes_folders & set(of[-1].argnames)}
            item.add_marker("store" if with_folders - FOLDERS_OF_ALL else "unit")
    items.sort(key=lambda item: min(rank for mark, rank in ranks.items() if item.get_closest_marker(mark)))


ROOM_BYTES = 8 * 2**30
FOLDERS_OF_ALL = {"embeddings_home", "shared_folder", "_copied_empty_stores"}
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
        if "PYTEST_XDIST_WORKER" in os.environ:  # a thread that waits for little work costs as much as the work
            config = Means.config
            patch.setattr(Means, "config", lambda means: {"threads": "1"} | config(means))
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def _copied_empty_stores(shared_folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        empty_stores.copy_first_of_each(patch, shared_folder)
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


@dataclass(frozen=True)
class ReadmeDemo:
    """What came of the README's first command in a fresh clone.

    Attributes:
        clone: the clone.
        output: what the command printed.
        status: what git says of the clone, before and after.
    """

    clone: Path
    output: str
    status: tuple[str, str]


@pytest.fixture(scope="session")
def readme_demo(shared_folder: Path) -> ReadmeDemo:
    """The README's first command in a fresh clone, on the first 240 of 270 days, which takes one or two minutes."""
    finished = shared_folder / "readme_demo.pickle"
    with FileLock(f"{finished}.lock"):
        if not finished.exists():
            finished.write_bytes(pickle.dumps(_run_readme_demo(shared_folder / "clone")))
    demo: ReadmeDemo = pickle.loads(finished.read_bytes())
    return demo


def _run_readme_demo(clone: Path) -> ReadmeDemo:
    command = re.search(r"```sh\n(make demo)\b", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert command is not None, "the README's first command"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # What is not committed yet is tested, too.
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, clone / name)
        else:
            (clone / name).unlink(missing_ok=True)
    # Installing anew takes minutes, and continuous integration has just done it: the clone's environment finds what
    # this one has, and installs itself.
    venv.create(clone / ".venv", with_pip=True)
    (packages,) = (clone / ".venv").glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    foreign = ("QC_", "DAGSTER_", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # A world of thirty days more than are loaded, so that new ones can land. How wide intervals are is not looked at.
    kept |= {"QC_DEMO_PRS": "2250", "QC_DEMO_DAYS": "270", "QC_END_DATE": "2024-08-27", "QC_BOOTSTRAP_RESAMPLES": "60"}
    kept["QC_THREADS"] = "1"
    status = ["git", "status", "--porcelain"]
    before = subprocess.run(status, cwd=clone, capture_output=True, text=True, check=True).stdout
    demo = subprocess.run(
        command[1].split(), cwd=clone, env=kept | {"COLUMNS": "120"}, capture_output=True, text=True, timeout=900
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    after = subprocess.run(status, cwd=clone, capture_output=True, text=True, check=True).stdout
    return ReadmeDemo(clone, demo.stdout, (before, after))


@pytest.fixture(scope="session")
def main_run(readme_demo: ReadmeDemo) -> tuple[Settings, Any]:
    """What the README's first command made, shared by all processes of a test run: change only a copy.

    Returns:
        Settings, and the result of the run.
    """
    from qc_assets.cli.runs import open_instance, result_of

    places: dict[str, Any] = {
        "home": readme_demo.clone / ".qc",
        "warehouse": readme_demo.clone / "warehouse" / "qc.duckdb",
        "_env_file": None,
    }
    settings = Settings(demo_prs=2_250, demo_days=270, start_date=date(2024, 1, 1), bootstrap_resamples=60, **places)
    with open_instance(settings) as instance:
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.is_dagster_event]
    return settings, result_of(run.run_id, events)


@pytest.fixture(scope="session")
def small_home(shared_folder: Path) -> Settings:
    """A small warehouse and a p0, shared by all processes of a test run: change only a copy."""
    from tests.small_home import make_small_home, settings_of_small_home

    folder = shared_folder / "small_home"
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            make_small_home(folder)
            (folder / "made").touch()
    return settings_of_small_home(folder)


@pytest.fixture(scope="session")
def migrated(shared_folder: Path) -> Path:
    """A home with everything in it, made by the oldest version and migrated: change only a copy.

    What migrating said lies beside it in `steps.json`.
    """
    from qc_assets.cli.migrate import migrate_all
    from tests.old_homes import settings_of_old_home, unpack_home

    folder = shared_folder / "migrated"
    with FileLock(f"{folder}.lock"):
        if not (folder / "steps.json").exists():
            steps = migrate_all(settings_of_old_home(unpack_home(folder)))
            (folder / "steps.json").write_text(json.dumps([vars(step) for step in steps]))
    return folder / "moved home"


@pytest.fixture
def migrated_copy(migrated: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of `migrated`."""
    from tests.old_homes import settings_of_old_home

    return settings_of_old_home(Path(shutil.copytree(migrated, tmp_path / "home")))


def copy_of(settings: Settings, folder: Path) -> Settings:
    """Settings of a copy of a warehouse and of all state beside it."""
    shutil.copytree(settings.home, folder / "home", symlinks=True)
    shutil.copy2(settings.warehouse, folder / "qc.duckdb")  # with its time, by which servers know it again
    return settings.model_copy(update={"home": folder / "home", "warehouse": folder / "qc.duckdb"})


@pytest.fixture
def main_run_copy(main_run: tuple[Settings, Any], tmp_path: Path) -> Settings:
    """Settings of a copy of `main_run`."""
    return copy_of(main_run[0], tmp_path)


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
    from tests.local_app import listening, url_of

    with listening(api.app, lifespan="off") as server:
        yield url_of(server)


def chromium_path() -> str | None:
    """The Chromium of this machine; None if it has none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = chromium_path()
    if chromium is None:
        pytest.skip("no Chromium on this machine; `apt-get install chromium` brings it")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        launched = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield launched
        launched.close()
