"""By what p0 should be UNCERTAIN, and whether quality can be told before labels come, on real histories.

The rules rank the answers of a test window and answer the surest. At equal coverage, that is with as many rows
answered, the rule whose answered rows are more often right, or have the lower Brier score, surely on more histories, is
the better one. A rule on one end of the interval alone, as for an action, needs no comparison: the end never falls
where p0 rises, so at equal coverage it answers the same rows as p0 itself.

Then the quality of each third of the test window as it is expected from p0 alone, with its 95 % interval, beside what
was found when the labels had come.

Windows are three days apart instead of two weeks, and a logistic regression competes, because two of these histories
are too short for the answers to differ otherwise; what is compared stands on the same rows all the same.
"""

import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import isolated
from benchmarks.real import HISTORIES, SPECS, load_folder
from qc_assets.learning.spec import Candidate

FOLDERS = ("wfa", "aidev_pop", "mathlib4")
COVERAGES = (0.95, 0.9, 0.8, 0.7, 0.6)
RESAMPLES = 500
PARTS = 3
GAP = timedelta(days=3)
PLAIN = Candidate("logistic", {"C": 0.1})


def rules(p: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, np.ndarray]:
    """How sure each rule is of each answer, (n,): by p0's distance from even odds (today's), by the interval's, by its
    width.
    """
    return {
        "distance of p0": np.abs(p - 0.5),
        "distance of the interval": np.maximum(lower - 0.5, 0.5 - upper),
        "narrow interval": lower - upper,
    }


def compare(y: np.ndarray, p: np.ndarray, sure: dict[str, np.ndarray]) -> None:
    """Print, at each coverage, what each rule gains on today's, with the 95 % interval of a paired bootstrap."""
    weights = np.random.default_rng(0).poisson(1, (RESAMPLES, len(y))).astype(float)
    right, loss = ((p >= 0.5) == (y > 0)) * 1.0, (p - y) ** 2
    for coverage in COVERAGES:
        count = round(coverage * len(y))
        answered = {}
        for name, of_rule in sure.items():
            mask = np.zeros(len(y))
            # Ties are broken by p0's distance, as the steps of an interval make many.
            mask[np.lexsort((-np.abs(p - 0.5), -of_rule))[:count]] = 1
            answered[name] = mask
        today = answered["distance of p0"]
        line = [f"accuracy {right @ today / count:.4f}, Brier {loss @ today / count:.4f}"]
        for name, mask in list(answered.items())[1:]:
            other = int((mask != today).sum() // 2)
            gains = []
            for label, values in (("accuracy", right), ("Brier", loss)):
                gain = values @ mask / count - values @ today / count
                spread = (weights * mask) @ values / (weights @ mask) - (weights * today) @ values / (weights @ today)
                gains.append(
                    f"{label} {gain:+.4f} ({np.quantile(spread, 0.025):+.4f} to {np.quantile(spread, 0.975):+.4f})"
                )
            line.append(f"{name}, {other} other rows: {', '.join(gains)}")
        print(f"  coverage {coverage:.0%}: today's {'; '.join(line)}", flush=True)


def look_back(opened: np.ndarray, y: np.ndarray, p: np.ndarray) -> None:
    """Print expected and realised metrics of each part of a window, whose rows are in order of opening."""
    from qc_assets.learning.metrics.expected_metrics import expected_metrics, realised_metrics

    hits = total = 0
    for rows in np.array_split(np.arange(len(y)), PARTS):
        expected, realised = expected_metrics(p[rows], resamples=RESAMPLES, seed=0), realised_metrics(p[rows], y[rows])
        told = []
        for name, value in realised.items():
            estimate = expected[name]
            if estimate.lower is None or estimate.upper is None:
                continue
            inside = estimate.lower <= value <= estimate.upper
            hits, total = hits + inside, total + 1
            told.append(f"{name} {value:.3f}, expected {estimate:.3f}{'' if inside else ' MISSED'}")
        print(f"  from {opened[rows[0]]}, {len(rows)} rows: {'; '.join(told)}", flush=True)
    print(f"  {hits} of {total} realised metrics lie in their expected intervals")


def judge(name: str, path: str) -> None:
    """Train on rows, and print both comparisons for the test window."""
    from qc_assets.learning.task import dataset_of, labelled
    from qc_assets.learning.trained import Options
    from qc_assets.learning.training import train

    spec = replace(SPECS[name], maturity=GAP, candidates=(*SPECS[name].candidates, PLAIN))
    data = dataset_of(spec, labelled(spec, pl.read_parquet(path)))
    trained = train(spec, data, Options(quick=True, resamples=50))
    p, y, test = trained.best.predictions, trained.known["test"].y, trained.split.test
    assert trained.bounds is not None
    lower, upper = trained.bounds(p)
    width = upper - lower
    uncertain = np.maximum(p, 1 - p) < 0.55
    even = (lower <= 0.5) & (upper >= 0.5)
    print(
        f"  {trained.best.kind}: {len(y):,} rows tested, {trained.bounds.rows:,} behind the intervals, "
        f"width {np.median(width):.3f} (90 % below {np.quantile(width, 0.9):.3f}); "
        f"UNCERTAIN today {uncertain.mean():.1%}, even odds in the interval {even.mean():.1%}"
    )
    compare(y, p, rules(p, lower, upper))
    look_back(data.opened_at[test].astype("datetime64[D]"), y, p)


def main() -> None:
    folders = [Path(name) for name in sys.argv[2:]] or [HISTORIES / name for name in FOLDERS]
    with tempfile.TemporaryDirectory() as name:
        for folder in folders:
            if not folder.is_dir():
                print(f"skipped: {folder} is not there")
                continue
            print(f"\n{folder.name}", flush=True)
            state = Path(name) / folder.name
            state.mkdir()
            spec, _, _ = isolated(load_folder, str(folder), str(state))
            if spec:
                isolated(judge, spec, str(state / "rows.parquet"))
