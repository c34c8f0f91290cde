"""What benchmarks measured is kept and compared: real changes are told from noise."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import results
from benchmarks.measure import verdict

_ROOT = Path(results.__file__).parents[1]


def _kept(folder: Path, pairs: Any, *, at_least: bool = False, name: str = "ours / theirs") -> dict[str, Any]:
    verdict(None, 2.0, name, samples=pairs, at_least=at_least)
    results.keep("made", folder / "results.json")
    return results.read(folder / "results.json")


def _pairs(rng: np.random.Generator, ratio: float, count: int) -> list[list[float]]:
    """Pairs whose ratio scatters by 3 %, on a machine that is three times slower at times."""
    load = rng.uniform(1, 3, count)
    return [[base * ratio * noise, base] for base, noise in zip(load, rng.normal(1, 0.03, count), strict=True)]


def _verdict(old: dict[str, Any], new: dict[str, Any]) -> str:
    (change,) = results.compare(old, new)
    return change.verdict


def test_a_figure_is_kept_with_machine_commit_and_samples(tmp_path: Path) -> None:
    kept = _kept(tmp_path, [[3.0, 2.0], [5.0, 2.0], [2.0, 2.0]])["made"]
    assert kept["figures"] == {
        "ours / theirs": {
            **{"ratio": 1.5, "aim": 2.0, "more_is_better": False, "met": True, "unit": "s"},
            "samples": [[3.0, 2.0], [5.0, 2.0], [2.0, 2.0]],
        }
    }
    assert kept["machine"]["threads"] >= 1 and kept["machine"]["memory_gib"] >= 1 and kept["commit"] and kept["date"]


def test_what_is_measured_later_leaves_other_benchmarks_alone(tmp_path: Path) -> None:
    _kept(tmp_path, [1.0])
    verdict(3.0, 2.0, "other")
    results.keep("another", tmp_path / "results.json")
    kept = results.read(tmp_path / "results.json")
    assert list(kept) == ["another", "made"]
    assert list(kept["another"]["figures"]) == ["other"] and not kept["another"]["figures"]["other"]["met"]


def test_worse_and_better_are_told_in_both_directions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for at_least, worse, better in ((False, 1.3, 0.7), (True, 0.7, 1.3)):
        old = _kept(tmp_path, _pairs(rng, 1.0, 7), at_least=at_least)
        assert _verdict(old, _kept(tmp_path, _pairs(rng, worse, 7), at_least=at_least)) == "worse"
        assert _verdict(old, _kept(tmp_path, _pairs(rng, better, 7), at_least=at_least)) == "better"


def test_noise_is_hardly_ever_called_a_change(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    old, new = _kept(tmp_path, _pairs(rng, 1.0, 7)), _kept(tmp_path, _pairs(rng, 1.0, 7))
    told = []
    for _ in range(200):
        for kept in (old, new):
            kept["made"]["figures"]["ours / theirs"]["samples"] = _pairs(rng, 1.0, 7)
        told.append(_verdict(old, new))
    assert told.count("same") >= 190


def test_what_is_sure_but_tiny_is_no_change(tmp_path: Path) -> None:
    old, new = _kept(tmp_path, [1.0, 1.001, 1.002, 1.003, 1.004]), _kept(tmp_path, [1.01, 1.011, 1.012, 1.013, 1.014])
    assert _verdict(old, new) == "same"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_samples_are_never_sure(tmp_path: Path, count: int) -> None:
    old = _kept(tmp_path, [1.0, 1.0, 1.0, 1.01, 1.02])
    verdict(5.0, 2.0, "ours / theirs", samples=[5.0] * count)
    results.keep("made", tmp_path / "results.json")
    assert _verdict(old, results.read(tmp_path / "results.json")) == "too few samples"


def test_another_machine_says_nothing_of_the_code(tmp_path: Path) -> None:
    old, new = _kept(tmp_path, [1.0 + n / 100 for n in range(7)]), _kept(tmp_path, [2.0 + n / 100 for n in range(7)])
    old["made"]["machine"]["processor"] = "another"
    assert _verdict(old, new) == "another machine"


@pytest.mark.parametrize(("after", "status"), [(2.0, 1), (1.0, 0)])
def test_the_command_fails_if_something_is_surely_worse(tmp_path: Path, after: float, status: int) -> None:
    for name, ratio in (("old", 1.0), ("new", after)):
        (tmp_path / name).mkdir()
        _kept(tmp_path / name, [ratio + n / 100 for n in range(6)])
    files = [str(tmp_path / name / "results.json") for name in ("old", "new")]
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks", "compare", *files], cwd=_ROOT, capture_output=True, text=True
    )
    assert told.returncode == status, told.stderr
    assert f"1 figures in both, {status} surely worse" in told.stdout


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nowhere is neither a file nor a commit"):
        results.read(Path("nowhere"))
