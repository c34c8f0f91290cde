"""What a small project gains from others: `python -m benchmarks prior [FOLDER...]`.

A blend is fitted to all other histories, whenever they were, which is more than anybody would have had. What is fitted
to the first 50 to 1,000 rows of a project, from several moments on, is tested with and without it on the 150 rows that
follow once their labels are known. A project is a history, or a large repository of one that has many. Differences of
log loss are paired on the rows, authors drawn, and less is better.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.measure import isolated
from benchmarks.real import SPECS, asked_histories, load_rows

if TYPE_CHECKING:
    from qc_assets.learning.dataset import Dataset
    from qc_assets.learning.task.terms import Estimator, Fitting, Others

SIZES = (50, 100, 200, 500, 1_000)
STARTS = 5
TESTED = 150
PROJECTS = 20  # repositories of a history with many
LARGE = 20_000  # rows of a history at which it is one of many projects; others learn from so many of them
RESAMPLES = 300


def learning_curves(name: str, target: str, others: list[str]) -> None:
    """Print, for each number of a project's own rows, what they, the others, and both together are worth."""
    from qc_assets.learning.calibration import log_odds, logistic
    from qc_assets.learning.metrics.bootstrap import paired_differences
    from qc_assets.learning.metrics.units import units_of
    from qc_assets.learning.task import dataset_of, labelled, task_of
    from qc_assets.learning.task.terms import Others

    spec = SPECS[name]
    task = task_of(spec)
    (blend,) = (candidate for candidate in spec.candidates if candidate.kind == "blend")

    def fitted(data: "Dataset", rows: np.ndarray, x: np.ndarray, others: "Others | None" = None) -> "Estimator":
        known = task.known(data, rows, np.datetime64("9999-01-01", "us"), context)
        how: Fitting = {"seed": 0, "threads": 1, "signs": spec.signs, "others": others}
        return task.fit("blend", blend.defaults, x[rows], known, **how)

    def read(path: str) -> pl.DataFrame:
        frame = labelled(spec, pl.read_parquet(path)).sort(spec.opened_at)
        return frame.gather_every(-(-len(frame) // LARGE))

    begun = time.process_time()
    pool = dataset_of(spec, pl.concat([read(path) for path in others], how="diagonal_relaxed"))
    context = {"way": spec.heads.column} if spec.heads else {}
    prior = fitted(pool, np.arange(len(pool)), pool.x)
    print(f"  fitted to {len(pool):,} rows of {len(others)} others in {time.process_time() - begun:.0f} s", flush=True)
    data = dataset_of(spec, labelled(spec, pl.read_parquet(target)))
    projects = [np.arange(len(data))]
    if len(data) > LARGE:
        ids, groups = data.frame["repo_id"].value_counts(sort=True)["repo_id"][:PROJECTS], data.frame["repo_id"]
        projects = [np.flatnonzero((groups == one).to_numpy()) for one in ids]
    p = prior.score(data.x)
    with_prior = np.column_stack([data.x, log_odds(p)])
    for size in SIZES:
        answers: dict[str, list[np.ndarray]] = {}
        tested: list[np.ndarray] = []
        for rows in projects:
            for first in range(0, len(rows), max(1, len(rows) // STARTS)):
                own = rows[first : first + size]
                following = rows[first + size :]
                if len(own) < size:
                    continue
                now = data.opened_at[own[-1]] + np.timedelta64(spec.maturity)
                test = following[data.opened_at[following] >= now][:TESTED]
                if len(test) < TESTED // 3:
                    continue
                own = own[data.known_at[own] < now]
                y = data.y[own]
                if task.why_not(task.known(data, own, now, {})) is not None:
                    continue
                alone = fitted(data, own, data.x).score(data.x[test])
                with_others = fitted(data, own, data.x, Others(prior, len(spec.features)))
                base_rate = np.full(len(test), (y.sum() + 1) / (len(y) + 2))
                told = {
                    "own rows": alone,
                    "own rows and others": with_others.score(data.x[test]),
                    "own rows, the others' answer a feature": fitted(data, own, with_prior).score(with_prior[test]),
                    "mean of own rows and its base rate": logistic((log_odds(alone) + log_odds(base_rate)) / 2),
                    "others alone": p[test],
                    "its base rate": base_rate,
                }
                tested.append(test)
                for way, each in told.items():
                    answers.setdefault(way, []).append(each)
        if not tested:
            print(f"  {size} rows: too few follow")
            continue
        test = np.concatenate(tested)
        y, units = data.y[test], units_of(data.frame[test], data.opened_at[test])
        statistics = {way: task.statistics(y, np.concatenate(each)) for way, each in answers.items()}
        base = statistics["own rows"]
        loss = base(np.ones((1, len(y))))["log_loss"][0]
        print(f"  {size} rows, {len(tested)} times, {len(y):,} tested: own rows {loss:.4f}", flush=True)
        for way, measured in statistics.items():
            if measured is not base:
                gain = paired_differences(
                    measured, base, np.ones(len(y)), task.needs, resamples=RESAMPLES, seed=0, units=units
                )
                print(f"    {way}: {gain['log_loss']:+.4f}, ROC AUC {gain['roc_auc']:+.3f}", flush=True)


def main() -> None:
    folders = asked_histories()
    if not folders:
        return
    with tempfile.TemporaryDirectory() as place:
        asked: dict[str, list[Path]] = {}
        for folder in folders:
            state = Path(place) / folder.name
            state.mkdir()
            names, _, _ = isolated(load_rows, str(folder), str(state))
            for name in names:
                asked.setdefault(name, []).append(state / f"{name}.parquet")
        for name, paths in asked.items():
            for path in paths if len(paths) > 1 else []:
                print(f"\n== {path.parent.name}, {name}", flush=True)
                isolated(learning_curves, name, str(path), [str(other) for other in paths if other != path])
