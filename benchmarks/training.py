"""Training of the three tabular models on 100,000 demo pull requests and their issues, and scoring open items.

Limits: 15 minutes and 6 GiB with 30 trials a candidate, 1 minute quick, 30 s to score 100,000 open items. A search that
gives up trials is compared with one that does not: half the time, and on the test rows not surely worse.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import isolated, verdict
from benchmarks.pipeline import load_demo
from benchmarks.sizes import sized

if TYPE_CHECKING:
    from qc_assets.learning.spec import ModelSpec

N_PRS = sized(100_000, 1_500)


def _specs() -> "tuple[ModelSpec, ...]":
    from qc_assets.models import close_in_7_days, p0, resolution_time

    return p0.SPEC, resolution_time.SPEC, close_in_7_days.SPEC


def features(state: str) -> None:
    from qc_assets.settings import load_settings
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging")
    warehouse.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
    warehouse.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    warehouse.rebuild("features/issues", load_settings().feature_parameters("issues"))


def train(state: str, quick: bool) -> str:
    from qc_assets.features.model_rows import model_rows
    from qc_assets.learning.trained import Options
    from qc_assets.registry import lifecycle
    from qc_assets.registry.model_registry import Registry
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging")
    registry = Registry(f"sqlite:///{state}/mlflow.db", Path(state) / "artifacts")
    told = []
    for spec in _specs():
        rows = model_rows(warehouse, spec, is_synthetic=True)
        outcome = lifecycle.train_and_register(spec, rows, registry, Options(quick=quick), is_synthetic=True, origin={})
        assert outcome.trained is not None
        test = outcome.trained.best.evaluations["test"]
        first = next(iter(spec.margins))
        told.append(f"{spec.name}: {len(rows):,} rows, {outcome.trained.best.kind}, {first} {test[first].value:.3f}")
    return "; ".join(told)


def search(state: str) -> tuple[float, float, list[str]]:
    """Train with and without giving up trials: seconds of both, and what that does to each model on its test rows."""
    from qc_assets.features.model_rows import model_rows
    from qc_assets.learning.metrics.bootstrap import paired_differences
    from qc_assets.learning.task import dataset_of, labelled, task_of
    from qc_assets.learning.trained import Options
    from qc_assets.learning.training import train as train_model
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging")
    seconds, told = {True: 0.0, False: 0.0}, []
    for spec in _specs():
        data, task = dataset_of(spec, labelled(spec, model_rows(warehouse, spec, is_synthetic=True))), task_of(spec)
        statistics = {}
        for prune in (True, False):
            started = time.perf_counter()
            trained = train_model(spec, data, Options(prune=prune, resamples=200))
            seconds[prune] += time.perf_counter() - started
            statistics[prune] = task.statistics(trained.known["test"].y, trained.best.predictions)
        weights = trained.known["test"].weights
        change = paired_differences(statistics[True], statistics[False], weights, task.needs, resamples=500, seed=0)[
            task.selection
        ]
        told.append(f"{spec.name}: {task.metrics[task.selection].label} changes by {change}")
    return seconds[True], seconds[False], told


def score(state: str) -> str:
    from qc_assets.monitoring import scoring
    from qc_assets.registry.model_registry import Registry
    from qc_assets.store.warehouse import Warehouse

    warehouse = Warehouse(Path(state) / "qc.duckdb", staging=Path(state) / "staging")
    registry = Registry(f"sqlite:///{state}/mlflow.db", Path(state) / "artifacts")
    with warehouse.write() as connection:  # as if nothing had been decided yet
        connection.execute("UPDATE features.pull_requests SET passed = NULL")
        connection.execute("UPDATE features.issues SET resolution_hours = NULL, closed_in_7_days = NULL")
    counts = {spec.name: scoring.score_waiting_items(warehouse, registry, spec, is_synthetic=True) for spec in _specs()}
    return ", ".join(f"{name} {found.counts.get('champion', 0):,}" for name, found in counts.items())


def main() -> None:
    with tempfile.TemporaryDirectory() as state:
        isolated(load_demo, state, N_PRS)
        isolated(features, state)
        for quick, limit in ((True, 60), (False, 900)):
            what, seconds, mib = isolated(train, state, quick)
            name = "quick" if quick else "30 trials a candidate"
            print(f"three models, {name}: {seconds:.0f} s, peak {mib:.0f} MiB ({what})", flush=True)
            print(verdict(seconds / limit, 1.0, f"seconds / {limit} s"))
            print(verdict(mib / 6144, 1.0, "peak / 6 GiB"), flush=True)
            if quick:
                with tempfile.TemporaryDirectory() as copied:
                    shutil.copytree(state, copied, dirs_exist_ok=True)
                    what, seconds, mib = isolated(score, copied)
                print(f"scoring open items, {what}: {seconds:.1f} s, peak {mib:.0f} MiB")
                print(verdict(seconds / 30, 1.0, "seconds / 30 s"), flush=True)
        (pruning, patient, changes), _, _ = isolated(search, state)
        print("trials that are given up; " + "; ".join(changes))
        print(verdict(pruning / patient, 0.5, "seconds / those of a search that gives nothing up"))
