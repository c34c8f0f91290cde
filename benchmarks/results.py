"""What benchmarks measured: kept in `results.json`, and compared with what was measured before.

The file has, by benchmark, the machine, the commit, the date, and its figures by name. A figure is a ratio with the
pairs (ours, the rival's) or the ratios that it is the median of, without which noise cannot be told from change.
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from scipy.stats import mannwhitneyu

from benchmarks.sizes import sized
from qc_assets.clock import now_utc
from qc_assets.files import write_whole

FILE = Path(__file__).with_name("results.json")
# One-sided; of thirty figures that did not change, one seems to have changed in every fourth comparison or less.
SURE = 0.01
# Less than this is nobody's concern, however sure.
MATTERS = 0.05


@dataclass(frozen=True)
class Figure:
    """One ratio that was measured.

    Attributes:
        ratio: ours to the rival's.
        aim: how much it may be, or must be where more is better.
        more_is_better: whether it is to grow.
        met: whether the aim is.
        unit: of the samples that are pairs.
        samples: pairs (ours, the rival's), measured in turn, or ratios; empty if it was measured once.
    """

    ratio: float
    aim: float
    more_is_better: bool
    met: bool
    unit: str
    samples: Sequence[Sequence[float] | float] = ()

    @property
    def ratios(self) -> list[float]:
        """Of the samples."""
        return [each if isinstance(each, float | int) else each[0] / each[1] for each in self.samples]


_measured: dict[str, Figure] = {}


def record(
    what: str,
    ratio: float | None,
    aim: float,
    *,
    more_is_better: bool = False,
    unit: str = "s",
    samples: Sequence[Sequence[float] | float] = (),
) -> Figure:
    """Remember a figure for `keep`; without a ratio, it is the median of its samples."""
    if ratio is None:
        ratio = median(Figure(0, aim, more_is_better, False, unit, samples).ratios)
    met = ratio >= aim if more_is_better else ratio <= aim
    _measured[what] = Figure(ratio, aim, more_is_better, bool(met), unit, samples)
    return _measured[what]


def keep(benchmark: str, path: Path = FILE) -> None:
    """Write what a benchmark has recorded since the last call over what the file has of these figures.

    What was made small to see that it runs has measured nothing.
    """
    if not _measured or sized(False, True):
        return
    kept = read(path) if path.exists() else {}
    figures = {name: _rounded(asdict(figure)) for name, figure in _measured.items()}
    kept[benchmark] = {"date": now_utc().date().isoformat(), "commit": _commit(), "machine": _machine()}
    kept[benchmark]["figures"] = figures
    write_whole(path, json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    _measured.clear()


def read(path: Path) -> dict[str, Any]:
    """The benchmarks of a file; of a commit, if there is no such file."""
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    at_commit = f"{path}:{FILE.parent.name}/{FILE.name}"
    shown = subprocess.run(["git", "show", at_commit], cwd=FILE.parent.parent, capture_output=True, text=True)
    if shown.returncode:
        raise SystemExit(f"{path} is neither a file nor a commit that has {FILE.name}: {shown.stderr.strip()}")
    return json.loads(shown.stdout)


@dataclass(frozen=True)
class Change:
    """How a figure changed.

    Attributes:
        name: benchmark and figure.
        before, after: ratios.
        verdict: ``worse`` and ``better`` are sure; else ``same``, or why nobody can say.
    """

    name: str
    before: float
    after: float
    verdict: str

    def __str__(self) -> str:
        return f"{self.verdict:>16}  {self.before:8.3f} -> {self.after:8.3f}  {self.name}"


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """What changed between two files, figure by figure.

    Sure is what the Mann-Whitney test says with p < 0.01 of the samples of both, if medians are 5 % apart: five samples
    each can be sure, three cannot. Ratios of another machine say nothing of the code.
    """
    for benchmark in sorted(old.keys() & new.keys()):
        before, after = old[benchmark], new[benchmark]
        for what in [name for name in after["figures"] if name in before["figures"]]:
            earlier, later = Figure(**before["figures"][what]), Figure(**after["figures"][what])
            told = "another machine" if before["machine"] != after["machine"] else _judged(earlier, later)
            yield Change(f"{benchmark}: {what}", earlier.ratio, later.ratio, told)


def _judged(earlier: Figure, later: Figure) -> str:
    before, after = earlier.ratios, later.ratios
    # By chance all samples of one kind lie beyond all of the other once in so many cases: none can be surer.
    if 1 / math.comb(len(before) + len(after), len(before)) >= SURE:
        return "too few samples"
    grown, shrunk = ("better", "worse") if later.more_is_better else ("worse", "better")
    if abs(median(after) / median(before) - 1) > MATTERS:
        if _doubt(before, after) < SURE:
            return grown
        if _doubt(after, before) < SURE:
            return shrunk
    return "same"


def _doubt(smaller: Sequence[float], larger: Sequence[float]) -> float:
    """How likely it is that samples of one kind lie so, or more clearly so, by chance (Mann-Whitney, one-sided)."""
    return float(mannwhitneyu(larger, smaller, alternative="greater").pvalue)


def print_changes(old: str, new: str = str(FILE)) -> int:
    """`python -m benchmarks compare OLD [NEW]`, each a file or a commit; 1 if something is surely worse."""
    changes = list(compare(read(Path(old)), read(Path(new))))
    for change in changes:
        print(change)
    worse = sum(change.verdict == "worse" for change in changes)
    print(f"{len(changes)} figures in both, {worse} surely worse")
    return 1 if worse else 0


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=FILE.parent, capture_output=True, text=True
    )
    return told.stdout.strip()


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    )
    return {
        "processor": models[0].partition(": ")[2] if models else platform.processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
    }
