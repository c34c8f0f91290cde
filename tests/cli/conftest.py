"""Fixtures of the command line's tests."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_qc


@pytest.fixture
def qc(tmp_path: Path) -> Any:
    """`qc` on a small demo, with all its state in the test's folder."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        places = {"QC_HOME": str(tmp_path / "home"), "QC_WAREHOUSE": str(tmp_path / "qc.duckdb")}
        small = {"QC_DEMO_PRS": "300", "QC_DEMO_DAYS": "14"}
        return run_qc(tmp_path, small | places | environment, *arguments)

    return run
