"""The benchmarks run: what prints a figure of the README dies as quietly as anything else when a table changes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.growth import days_at_once, exponent, one_more_day
from tests import ROOT
from tests.conftest import SHARED

# Those that make their own data, and take seconds when it is little.
SELF_MADE = ("features", "fairness", "pipeline", "history")


@pytest.mark.slow
def test_each_ends_with_a_ratio(tmp_path: Path) -> None:
    names = [*SELF_MADE, *["archive"] * (SHARED / "gharchive").is_dir()]  # it needs a real hour of ../shared
    environment = os.environ | {"QC_BENCH_SMALL": "1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", *names]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    for name in names:
        assert re.search(rf"^== {name}$(?:\n(?!==).*)*\nratio \d", ended.stdout, re.MULTILINE), ended.stdout


@pytest.mark.slow
def test_shards_are_measured_in_one_run(tmp_path: Path) -> None:
    environment = os.environ | {"QC_BENCH_SMALL": "1", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", "scale", "--shards", "1", "3", "--writers"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "1 identity of all rows" in ended.stdout and "in 3 shards" in ended.stdout
    assert re.search(r"^ratio \d\S* \(CPU, 3 shards / 1\)", ended.stdout, re.MULTILINE)


def test_linear_is_one_and_a_cost_of_nothing_is_less() -> None:
    assert exponent((100, 1000), (2, 20)) == pytest.approx(1)
    assert exponent((100, 1000), (2 + 5, 20 + 5)) < 0.6
    assert exponent((10, 40), (1, 16)) == pytest.approx(2)


@pytest.mark.slow
def test_days_of_one_load_have_an_exponent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(days_at_once(tmp_path, days=(14, 28), pull_requests=20), float)
    assert capsys.readouterr().out.count(" days at once: ") == 2


def test_one_more_day_is_timed_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = one_more_day(tmp_path, months=(1, 2), a_day=2)
    assert list(costs) == [1, 2]
    assert all(set(cost) == {"loading", "coverage", "features", "snapshot"} for cost in costs.values())
    assert all(seconds >= 0 for cost in costs.values() for seconds in cost.values())
    assert capsys.readouterr().out.count("after ") == 2
