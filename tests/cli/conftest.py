"""Fixtures of the command line's tests."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.migrate import migrate_all
from qc_assets.settings import Settings
from tests.command_line import run_qc
from tests.old_homes import unpack_home


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with everything in it, made by the oldest version and migrated: change only a copy."""
    home = unpack_home(tmp_path_factory.mktemp("migrated"))
    migrate_all(Settings(home=home, warehouse=home / "qc.duckdb", _env_file=None))  # type: ignore[call-arg]
    return home


@pytest.fixture
def qc(tmp_path: Path) -> Any:
    """`qc` on a small demo, with all its state in the test's folder."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        places = {"QC_HOME": str(tmp_path / "home"), "QC_WAREHOUSE": str(tmp_path / "qc.duckdb")}
        small = {"QC_DEMO_PRS": "300", "QC_DEMO_DAYS": "14"}
        return run_qc(tmp_path, small | places | environment, *arguments)

    return run
