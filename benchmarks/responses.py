"""How long until somebody looks, on real histories: `python -m benchmarks responses [FOLDER...]`.

The model stands beside what anybody can look up: the median of the repository's last hundred responses, and of the
author's in it. Rivals get their intervals as the model does, from the calibration window, and everybody is judged on
the same rows of the test window, with the same weights for those that nobody had responded to when last seen.
docs/truth.md has what it printed last.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.measure import isolated
from benchmarks.real import FEW, HISTORIES, loaded
from qc_assets.models.first_response import SPEC

if TYPE_CHECKING:
    from qc_assets.learning.dataset import Dataset
    from qc_assets.learning.trained import Trained

FOLDERS = ("wfa", "mathlib4", "aidev_pop")
RESAMPLES = 500
LEVELS = (0.1, 0.5, 0.9)
WAITED = (4.0, 24.0, 72.0)
FIGURES = ("concordance", "pinball", "coverage", "log_mae")
_REPOSITORY, _AUTHOR = "repo_hours_to_first_response", "author_hours_to_first_response"


class ResponseFigures:
    """Metrics of durations, and the mean pinball loss of lower end, median and upper end in log hours.

    Args:
        y: observed log1p hours, (n,).
        answers: lower end, median and upper end in hours, (n, 3).
    """

    def __init__(self, y: np.ndarray, answers: np.ndarray) -> None:
        from qc_assets.learning.metrics.duration_metrics import DurationMetrics

        self.others = DurationMetrics(np.expm1(y), answers)
        error = y[:, None] - np.log1p(answers)
        self.pinball = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error).mean(axis=1)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.others(weights) | {"pinball": weights @ self.pinball / weights.sum(axis=1)}


def with_closers(folder: Path, state: Path) -> Path:
    """A copy of a history whose pull requests say who closed them, where its events do; else the folder itself."""
    import duckdb

    events, items = folder / "events.parquet", folder / "pull_requests.parquet"
    if not events.exists():
        return folder
    copy = state / "history" / folder.name
    shutil.copytree(folder, copy)
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "COPY (SELECT items.*, closers.closed_by_login FROM read_parquet($items) AS items LEFT JOIN ("
            "SELECT pr_id, arg_max(actor, created_at) AS closed_by_login FROM read_parquet($events) "
            "WHERE event IN ('closed', 'merged') GROUP BY pr_id) AS closers ON items.pr_id = closers.pr_id) "
            f"TO '{copy / 'pull_requests.parquet'}'",
            {"items": str(items), "events": str(events)},
        )
    return copy


def load_rows(folder: str, state: str) -> bool:
    """Load a folder; the rows of the model are left in `state`."""
    from qc_assets.features.model_rows import model_rows

    if (history := loaded(str(with_closers(Path(folder), Path(state))), state)) is None:
        return False
    rows = model_rows(history[0], SPEC, is_synthetic=False)
    rows.write_parquet(Path(state) / "rows.parquet")
    by = dict(rows["first_response_by"].value_counts(sort=True).iter_rows())
    alone = rows["closed_unanswered_at"].is_not_null().sum()
    hours = rows["first_response_hours"]
    print(f"  {len(rows):,} rows; responses {by}, {alone:,} closed before any was seen", flush=True)
    print(f"  median {hours.median():.1f} h, 90th percentile {hours.quantile(0.9):.0f} h of the answered", flush=True)
    return True


def rivals_of(data: "Dataset", trained: "Trained") -> dict[str, np.ndarray]:
    """What each rival answers for the test window, (rows, 3) by name; calibrated like the model."""
    from qc_assets.learning.conformal import Intervals

    split, known = trained.split, trained.known
    usual = pl.lit(float(trained.trivial[0, 1]))
    asked = {
        "the repository's last 100": pl.coalesce(_REPOSITORY, usual),
        "the author's there": pl.coalesce(_AUTHOR, _REPOSITORY, usual),
    }
    answers = {"median alone": np.repeat(trained.trivial, len(split.test), axis=0)}
    for name, expression in asked.items():
        scores = np.log1p(
            data.frame.select(expression.clip(0, trained.context["horizon_hours"])).to_series().to_numpy()
        )
        calibration = known["calibration"]
        intervals = Intervals.fit(
            scores[split.calibration],
            calibration.y,
            calibration.weights,
            trained.context["horizon_hours"],
            calibration.groups,
        )
        answers[name] = intervals(scores[split.test], known["test"].groups)
    return answers


def judge(path: str) -> None:
    """Train on rows, and print how good the answers are, and those of the rivals."""
    from qc_assets.errors import TrainingError
    from qc_assets.learning.metrics.bootstrap import evaluate, paired_differences
    from qc_assets.learning.promotion import check_gates
    from qc_assets.learning.task import dataset_of
    from qc_assets.learning.trained import Options
    from qc_assets.learning.training import train

    data = dataset_of(SPEC, pl.read_parquet(path))
    begun = time.perf_counter()
    try:
        trained = train(SPEC, data, Options(quick=True, resamples=RESAMPLES))
    except TrainingError as error:
        print(f"  not judged: {error}", flush=True)
        return
    test = trained.known["test"]
    seen = int((test.weights > 0).sum())
    never = test.weights[test.y >= np.log1p(trained.context["horizon_hours"]) - 1e-9].sum() / test.weights.sum()
    print(
        f"  trained in {time.perf_counter() - begun:.0f} s; tested {len(test.y):,}, observed {seen:,}, of which "
        f"{never:.1%} had no response within {trained.context['horizon_hours'] / 24:.0f} days",
        flush=True,
    )
    needs = dict.fromkeys(FIGURES, "rows")
    ours = ResponseFigures(test.y, trained.best.predictions)
    named = {f"first_response ({trained.best.kind})": trained.best.predictions}
    named |= {f"  candidate {each.kind}": each.predictions for each in trained.candidates if each is not trained.best}
    rivals = rivals_of(data, trained)
    trivial = ResponseFigures(test.y, rivals["median alone"])
    for name, answers in (named | rivals).items():
        theirs = ResponseFigures(test.y, answers)
        figures = evaluate(theirs, trivial, test.weights, needs, resamples=RESAMPLES, seed=0)
        print(f"  {name}: " + "; ".join(f"{figure} {figures[figure]:.3f}" for figure in FIGURES), flush=True)
        if name in rivals:
            gains = paired_differences(ours, theirs, test.weights, needs, resamples=RESAMPLES, seed=0)
            print("    ours less it: " + "; ".join(f"{figure} {gains[figure]:+.3f}" for figure in FIGURES), flush=True)
    _told_while_waiting(data, trained)
    _of_newcomers(data, trained)
    for gate in check_gates(trained):
        judged = {True: "passed", False: "FAILED", None: "not judged"}[gate.passed]
        print(f"  gate {gate.name}: {judged}, {gate.detail}")


def _told_while_waiting(data: "Dataset", trained: "Trained") -> None:
    """What is said of those that have waited already, against how much longer they did."""
    if trained.remaining is None:
        return
    test, rows, horizon = trained.known["test"], trained.split.test, trained.context["horizon_hours"]
    repositories, hours = data.frame["repo_id"][rows].to_list(), np.expm1(test.y)
    for waited in WAITED:
        held, within, weights, widths = [], [], [], []
        for index in np.flatnonzero((test.weights > 0) & (hours > waited)):
            answer = trained.remaining(trained.best.scores[index], waited, repositories[index])
            if answer is None:
                continue
            more, is_beyond = hours[index] - waited, hours[index] >= horizon * (1 - 1e-9)
            held.append(answer.lower <= more <= answer.upper * (1 + 1e-9))
            within.append(answer.within >= answer.horizon * (1 - 1e-9) if is_beyond else more <= answer.within)
            weights.append(test.weights[index])
            widths.append(answer.within)
        if not weights:
            print(f"  after {waited:.0f} h: too few waited so long", flush=True)
            continue
        error = 1.96 * np.sqrt(0.16 / len(weights))
        print(
            f"  after {waited:.0f} h: {len(weights)} still waiting; within the interval "
            f"{np.average(held, weights=weights):.3f}, within the time that 80 % need "
            f"{np.average(within, weights=weights):.3f} (.800 ± {error:.3f} expected); median of that time "
            f"{np.median(widths):.0f} h",
            flush=True,
        )


def _of_newcomers(data: "Dataset", trained: "Trained") -> None:
    """Whether newcomers wait longer than others for like changes: of one size, at one time, in one repository."""
    from qc_assets.learning.metrics.bootstrap import draws
    from qc_assets.learning.task import task_of

    split, test = trained.split, trained.known["test"]
    of_the_change = np.array([not name.startswith("author_") for name in SPEC.features])
    x, parameters = data.x[:, of_the_change], SPEC.candidates[0].defaults
    fitted = task_of(SPEC).fit(
        "lightgbm",
        parameters,
        x[split.known_windows["before_test"]],
        trained.known["before_test"],
        seed=0,
        threads=None,
    )
    excess = test.y - np.clip(fitted.score(x[split.test]), 0, np.log1p(trained.context["horizon_hours"]))
    is_newcomer = data.frame["author_is_newcomer"][split.test].fill_null(False).to_numpy()
    groups = [is_newcomer & (test.weights > 0), ~is_newcomer & (test.weights > 0)]
    if min(rows.sum() for rows in groups) < FEW:
        print(f"  newcomers: {groups[0].sum()} observed, too few", flush=True)
        return

    def gap(weights: np.ndarray) -> np.ndarray:
        means = [weights[:, rows] @ excess[rows] / weights[:, rows].sum(axis=1) for rows in groups]
        return means[0] - means[1]

    (value,) = gap(test.weights[None, :])
    spread = np.concatenate([gap(drawn * test.weights) for drawn in draws(len(excess), RESAMPLES, 0)])
    low, high = np.percentile(spread, [2.5, 97.5])
    print(
        f"  newcomers, {groups[0].sum()} of {sum(rows.sum() for rows in groups)}: for like changes {value:+.2f} "
        f"({low:+.2f} to {high:+.2f}) log hours longer than others",
        flush=True,
    )


def main() -> None:
    folders = [Path(name) for name in sys.argv[2:]] or [HISTORIES / name for name in FOLDERS]
    if missing := [folder for folder in folders if not folder.is_dir()]:
        print(f"skipped: {missing[0]} is not there")
        return
    with tempfile.TemporaryDirectory() as name:
        for folder in folders:
            print(f"\n== {folder.name}", flush=True)
            state = Path(name) / folder.name
            state.mkdir()
            is_loaded, seconds, mib = isolated(load_rows, str(folder), str(state))
            print(f"  loaded in {seconds:.0f} s, peak {mib:.0f} MiB", flush=True)
            if is_loaded:
                isolated(judge, str(state / "rows.parquet"))
