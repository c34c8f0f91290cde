"""Fixtures of the command line's tests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def qc(tmp_path: Path) -> Any:
    """Run `qc` as a person does: a process of its own, in an empty folder."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        places = {"QC_HOME": str(tmp_path / "home"), "QC_WAREHOUSE": str(tmp_path / "qc.duckdb")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
        small = {"QC_DEMO_PRS": "300", "QC_DEMO_DAYS": "14"}
        return subprocess.run(
            [sys.executable, "-m", "qc_assets.cli", *arguments],
            env=kept | small | places | {"COLUMNS": "120"} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
