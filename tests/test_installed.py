"""What a user without the checkout has: the wheel, installed into an environment of its own."""

import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import ROOT
from tests.conftest import free_port

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare environment with the wheel in it, far from the checkout; dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True)
    venv.create(folder / "venv", with_pip=True)
    (wheel,) = folder.glob("*.whl")
    install = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    # A line of a .pth file is a folder to search, whose own .pth files are not read: the editable installation of the
    # checkout is not among what is found there.
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "work").mkdir()
    return folder


@pytest.fixture(scope="module")
def variables(environment: Path) -> dict[str, str]:
    """A user who has set nothing but where programs keep data, and wants a small demo."""
    foreign = ("QC_", "DAGSTER_", "VIRTUAL_ENV", "PYTHONPATH", "XDG_", "GITHUB_TOKEN")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    small = {"QC_DEMO_PRS": "60", "QC_DEMO_DAYS": "14", "QC_BOOTSTRAP_RESAMPLES": "50", "COLUMNS": "120"}
    return kept | small | {"QC_THREADS": "1", "XDG_DATA_HOME": str(environment / "data")}


@pytest.fixture(scope="module")
def run(environment: Path, variables: dict[str, str]) -> Run:
    """Run a program of the environment in an empty working directory."""

    def run_program(*command: str) -> "subprocess.CompletedProcess[str]":
        program = environment / "venv/bin" / command[0]
        if command[0] not in ("qc", "python"):
            program, command = environment / "venv/bin/python", ("python", "-m", *command)
        return subprocess.run(
            [str(program), *command[1:]],
            cwd=environment / "work", env=variables, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    return run_program


@contextmanager
def server(environment: Path, variables: dict[str, str], *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """A command of `qc` that runs until it is stopped."""
    command = [environment / "venv/bin/qc", *arguments]
    with (environment / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=environment / "work", env=variables, stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def answer(environment: Path, process: "subprocess.Popen[str]", method: str, url: str, **more: Any) -> httpx.Response:
    """What a server says, as soon as it listens."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return httpx.request(method, url, timeout=60, **more)
        except httpx.ConnectError:
            log = (environment / "server.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, log
            time.sleep(0.2)


@pytest.mark.slow
def test_the_wheel_carries_all_that_is_no_python(environment: Path, run: Run) -> None:
    (package,) = (environment / "venv").glob("lib/python*/site-packages/qc_assets")
    packed = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "qc_assets", "warehouse"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {name.removeprefix("qc_assets/").replace("warehouse/", "_warehouse/", 1) for name in tracked}
    expected |= {"_dagster/dagster.yaml", "_dagster/workspace.yaml"}
    assert {name for name in expected if name.startswith("_warehouse") or not name.endswith(".py")} - packed == set()
    assert {name for name in packed - expected if name.startswith("_warehouse") and "__pycache__" not in name} == set()
    shown = run("python", "-c", "import qc_assets; print(qc_assets.__file__, qc_assets.__version__)")
    file, version = shown.stdout.split()
    assert Path(file) == package / "__init__.py", "not the checkout is tested"
    assert f"qc_assets-{version}-" in next(environment.glob("*.whl")).name


@pytest.mark.slow
def test_an_installed_qc_fills_its_warehouse_and_serves_from_the_users_folder(
    environment: Path, variables: dict[str, str], run: Run
) -> None:
    home = environment / "data" / "qc-assets"
    finished = run("qc", "demo")
    # A demo that small may be too small for a gate of a model, which is red then, as it should be.
    assert finished.returncode == 0 or "all other steps are done" in finished.stderr, finished.stdout + finished.stderr
    counted = run("qc", "--json", "sql", "SELECT count(*) AS n FROM raw.pull_requests")
    assert json.loads(counted.stdout) == [{"n": 60}], counted.stderr
    assert (home / "warehouse" / "qc.duckdb").is_file()
    assert list((environment / "work").iterdir()) == [], "nothing is left where it was typed"
    (packages,) = (environment / "venv").glob("lib/python*/site-packages")
    assert list(packages.rglob("*.duckdb*")) == []
    port = free_port()
    with server(environment, variables, "serve", "--port", str(port)) as process:
        health = answer(environment, process, "GET", f"http://127.0.0.1:{port}/health")
        assert health.status_code == 200, health.text
        assert health.json()["status"] in ("ok", "degraded"), health.text


@pytest.mark.slow
def test_an_installed_dagster_finds_the_code_location(environment: Path, run: Run) -> None:
    assert run("qc", "init").returncode == 0
    home = environment / "data" / "qc-assets"
    assert (environment / "work" / ".env").read_text() == f"DAGSTER_HOME={home / 'dagster'}\n"
    validated = run("dagster", "definitions", "validate", "-m", "qc_assets.definitions")
    assert validated.returncode == 0, validated.stderr
    assert "All code locations passed validation" in validated.stdout + validated.stderr
    (environment / "work" / ".env").unlink()


@pytest.mark.slow
def test_an_installed_fake_github_answers(environment: Path, variables: dict[str, str]) -> None:
    port = free_port()
    with server(environment, variables, "fake-github", "--port", str(port), "--prs", "50", "--days", "20") as process:
        query = {"query": "{ rateLimit { remaining } }"}
        url = f"http://127.0.0.1:{port}/graphql"
        reply = answer(environment, process, "POST", url, json=query, headers={"Authorization": "bearer t"})
        assert reply.json()["data"]["rateLimit"]["remaining"] > 0, reply.text
