"""What a new user does: clone, and type the README's main command."""

import json
import os
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tests import ROOT


@pytest.mark.slow
def test_a_fresh_clone_runs_the_readmes_main_command(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"```sh\n(make demo)\b", readme)
    assert command is not None, "the README's first command"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # Installing anew takes minutes, and continuous integration has just done it: the clone's environment finds what
    # this one has, and installs itself.
    venv.create(clone / ".venv", with_pip=True)
    (packages,) = (clone / ".venv").glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("QC_", "DAGSTER_", "VIRTUAL_ENV"))
    }
    # How wide the intervals are is not looked at, so they need few resamples.
    quick = {"COLUMNS": "120", "QC_BOOTSTRAP_RESAMPLES": "60"}
    demo = subprocess.run(command[1].split(), cwd=clone, env=kept | quick, capture_output=True, text=True, timeout=900)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert re.search(r"\b(\d\d) of \1 checks passed", demo.stdout), demo.stdout[-2000:]
    assert "Synthetic data" in demo.stdout
    assert re.search(r"all pull requests +│ +2,000 │", demo.stdout)
    assert "p0 version 1 is champion" in demo.stdout
    assert "close_in_7_days version 1 is champion" in demo.stdout
    status = subprocess.run([".venv/bin/qc", "status", "--json"], cwd=clone, env=kept, capture_output=True, check=True)
    assert json.loads(status.stdout)["loads"][0]["days"] == 240
    unclean = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert unclean.stdout == "", "running it leaves nothing that git would see"
