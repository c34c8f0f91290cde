"""Real histories, judged: `python -m benchmarks real [FOLDER...]`, by default every folder of ../shared/histories.

Each folder goes through the files source, the features, the training and the gates as a user's would; its answers on
the test window stand beside plain rivals on the same rows and features, and beside the model trained on the other
folders. docs/truth.md has what it printed last.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from benchmarks.facts import tell_gains
from benchmarks.measure import isolated
from qc_assets.errors import SourceError, TrainingError
from qc_assets.learning.spec import UNUSABLE
from qc_assets.models.p0 import SPEC as P0

if TYPE_CHECKING:
    from qc_assets.learning.dataset import Dataset
    from qc_assets.learning.spec import ModelSpec
    from qc_assets.learning.trained import Options, Trained
    from qc_assets.sources.loading import LoadReport
    from qc_assets.store.warehouse import Warehouse

HISTORIES = Path(__file__).resolve().parents[2] / "shared" / "histories"
RESAMPLES = 200
FEW = 20  # a repository with fewer tested rows is not looked at by itself
GROUPS = {
    "author": ("author_",),
    "repository": ("repo_",),
    "sizes": ("log_lines", "files_changed", "commits", "additions_share"),
    "texts": ("title_", "body_", "link_", "checklist_", "code_", "is_bug", "is_feature", "is_doc", "is_refactor"),
    "time": ("hour", "weekday", "is_weekend"),
}
# Of a history without reviews: whether it is merged soon, which needs no time of closing.
MERGED = replace(
    P0,
    name="merged_in_3_days",
    question="Will it be merged within 3 days?",
    excluded=UNUSABLE,
    columns={
        "merged_soon": "CASE WHEN merged_at <= opened_at + INTERVAL 3 DAY THEN true "
        "WHEN observed_until >= opened_at + INTERVAL 3 DAY THEN false END",
        "settled_at": "least(coalesce(merged_at, 'infinity'), opened_at + INTERVAL 3 DAY)",
    },
    target="merged_soon",
    known_at="settled_at",
    texts=(),
    heads=None,
    maturity=timedelta(days=3),
)
SPECS = {spec.name: spec for spec in (P0, MERGED)}


@dataclass(frozen=True)
class Answers:
    """Probabilities of somebody for the rows of a test window, (n,), with their labels and repositories."""

    y: np.ndarray
    p: np.ndarray
    repository: np.ndarray

    def figures(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric under each weighting, (resamples,); NaN where a weighting leaves a class out."""
        from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

        with np.errstate(invalid="ignore", divide="ignore"):
            pooled = WeightedMetrics(self.y, self.p)(weights)
            gaps, inside, shares, pairs = [], [], [], []
            for name, count in zip(*np.unique(self.repository, return_counts=True), strict=True):
                if count < FEW:
                    continue
                rows = self.repository == name
                w, y, p = weights[:, rows], self.y[rows], self.p[rows]
                total = w.sum(axis=1)
                gaps.append(np.abs(w @ (p - y)))
                shares.append(total)
                if 0 < y.sum() < len(y):
                    n = (w @ y) * (w @ (1 - y))
                    inside.append(np.nan_to_num(WeightedMetrics(y, p)(w)["roc_auc"]) * n)
                    pairs.append(n)
            empty = np.full(len(weights), np.nan)
            return {name: pooled[name] for name in ("roc_auc", "brier", "log_loss", "ece")} | {
                "gap by repository": sum(gaps) / sum(shares) if gaps else empty,
                "AUC within": sum(inside) / sum(pairs) if pairs else empty,
            }

    def line(self, units: np.ndarray | None) -> str:
        """The metrics with their intervals; rows of one author are drawn together, see `units_of`."""
        from qc_assets.learning.metrics.bootstrap import evaluate

        weights = np.ones(len(self.y))
        needs = dict.fromkeys(self.figures(weights[None, :]), "repositories with enough rows")
        measured = evaluate(self.figures, self.figures, weights, needs, resamples=RESAMPLES, seed=0, units=units)
        return "; ".join(f"{name} {estimate:.3f}" for name, estimate in measured.items())


def loaded(folder: str, state: str) -> "tuple[Warehouse, LoadReport] | None":
    """A warehouse in `state` with a folder's history and its features; None, and why, if it cannot be judged."""
    from qc_assets.assets.partitions import days_between
    from qc_assets.settings import load_settings
    from qc_assets.sources.loading import load
    from qc_assets.sources.registry import open_source
    from qc_assets.store.warehouse import Warehouse

    places = {"home": Path(state) / "home", "warehouse": Path(state) / "qc.duckdb", "_env_file": None}
    settings = load_settings(source="files", files_dir=Path(folder), **places)
    store = Warehouse.from_settings(settings)
    try:
        report = load(store, open_source(settings), days_between(settings.first_date, settings.last_date))
    except SourceError as error:
        print(f"  not judged: {error}")
        return None
    store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
    store.rebuild("features/pull_requests", settings.feature_parameters("pull_requests"))
    if not report.rows.get("pull_requests"):
        print("  not judged: it has issues only; durations of those that were resolved say nothing of the others")
        return None
    return store, report


def load_folder(folder: str, state: str) -> str:
    """Load a folder and compute its features; the rows of its model are left in `state`."""
    from qc_assets.features.model_rows import model_rows

    if (history := loaded(folder, state)) is None:
        return ""
    store, report = history
    spec = P0 if report.rows.get("reviews") else MERGED
    rows = model_rows(store, spec, is_synthetic=False)
    rows.write_parquet(Path(state) / "rows.parquet")
    count = store.query("SELECT count(*) FROM raw.pull_requests").item()
    print(f"  {count:,} pull requests, {report.dead_letters} dead letters; {spec.name}: {len(rows):,} rows", flush=True)
    return spec.name


def load_rows(folder: str, state: str) -> list[str]:
    """Leave the rows of both questions in `state`, as far as a history can be asked them; their names."""
    from qc_assets.features.model_rows import model_rows

    if (history := loaded(folder, state)) is None:
        return []
    store, report = history
    asked = [name for name, spec in SPECS.items() if report.rows.get("reviews") or spec.target != P0.target]
    for name in asked:
        model_rows(store, SPECS[name], is_synthetic=False).write_parquet(Path(state) / f"{name}.parquet")
    return asked


def judge(name: str, path: str, elsewhere: list[str]) -> None:
    """Train on rows, and print how good the answers are, and those of the rivals."""
    from qc_assets.learning.metrics.bootstrap import shown
    from qc_assets.learning.promotion import check_gates
    from qc_assets.learning.table_audit import plain_answers
    from qc_assets.learning.task import dataset_of, labelled
    from qc_assets.learning.trained import Options
    from qc_assets.learning.training import train

    spec = SPECS[name]
    options = Options(quick=True, resamples=RESAMPLES)
    data = dataset_of(spec, labelled(spec, pl.read_parquet(path)))
    begun = time.perf_counter()
    try:
        trained = train(spec, data, options)
    except TrainingError as error:
        print(f"  not judged: {error}", flush=True)
        return
    print(f"  trained in {time.perf_counter() - begun:.0f} s")
    split = trained.split
    y, repository = trained.known["test"].y, data.frame["repo_id"].to_numpy()
    fitted = np.concatenate([split.train, split.calibration])
    known = np.concatenate([trained.known["train"].y, trained.known["calibration"].y])
    in_test = repository[split.test]

    def show(who: str, p: np.ndarray) -> None:
        print(f"  {who}: {Answers(y, p, in_test).line(trained.known['test'].units)}", flush=True)

    print(f"  tested {len(y):,} of {len(data):,} labelled rows, base rate {y.mean():.3f}")
    show(f"{spec.name} ({trained.best.kind})", trained.best.predictions)
    base = known.mean()
    show("base rate", np.full(len(y), base))
    hits = {r: (known[repository[fitted] == r].sum(), (repository[fitted] == r).sum()) for r in np.unique(in_test)}
    show("base rate by repository", np.array([(hits[r][0] + 4 * base) / (hits[r][1] + 4) for r in in_test]))
    for who, answer in (("logistic regression", _logistic), ("default LightGBM", plain_answers)):
        show(who, answer(data.x[fitted], known, data.x[split.test]))
    others = [frame for file in elsewhere if len(frame := pl.read_parquet(file)) and spec.target in frame.columns]
    if others:
        rows = pl.concat(others, how="diagonal_relaxed")
        # What the others knew when this test window began.
        rows = rows.filter(pl.col(spec.opened_at) < data.opened_at[split.test].min())
        there = dataset_of(spec, labelled(spec, rows))
        if len(there) >= spec.min_rows and 0 < there.y.mean() < 1:
            show(f"transfer, {len(there):,} rows of others", plain_answers(there.x, there.y, data.x[split.test]))
    _ablate(spec, data, trained, options)
    tell_gains(spec, data.frame)
    for group, prefixes in GROUPS.items():
        inside = np.array([feature.startswith(prefixes) for feature in spec.features])
        if np.isnan(data.x[np.ix_(fitted, np.flatnonzero(inside))]).all():
            print(f"  {group}: unknown")
            continue
        for words, columns in ((f"LightGBM with {group} only", inside), (f"LightGBM without {group}", ~inside)):
            p = plain_answers(data.x[fitted][:, columns], known, data.x[split.test][:, columns])
            auc = Answers(y, p, in_test).figures(np.ones((1, len(y))))["roc_auc"][0]
            print(f"  {words}: ROC AUC {auc:.3f}", flush=True)
    for head, measured in trained.heads.items():
        told = "; ".join(f"{name} {measured[name]:.3f}" for name in ("roc_auc", "brier", "log_loss"))
        print(f"  {head}: {told}; Brier of their own share {shown(measured['brier'].baseline)}")
    for gate in check_gates(trained):
        verdict = {True: "passed", False: "FAILED", None: "not judged"}[gate.passed]
        print(f"  gate {gate.name}: {verdict}, {gate.detail}")


def _ablate(spec: "ModelSpec", data: "Dataset", trained: "Trained", options: "Options") -> None:
    """What each part of the model gains on the test window, paired on its rows, and what it costs."""
    from qc_assets.learning.metrics.bootstrap import paired_differences
    from qc_assets.learning.monotony import measure_monotony
    from qc_assets.learning.task import dataset_of, task_of
    from qc_assets.learning.training import train

    def without(*prefixes: str) -> "ModelSpec":
        return replace(spec, features=tuple(name for name in spec.features if not name.startswith(prefixes)))

    larger_trees = tuple(candidate for candidate in spec.candidates if candidate.kind == "lightgbm")
    others = {"two heads": (replace(spec, heads=None), options)} if spec.heads else {}
    others |= {
        "the blend": (replace(spec, candidates=larger_trees), options),
        "the refit": (spec, replace(options, refit=False)),
        "the signs": (replace(spec, monotone={}), options),
        "how strict reviewers are": (without("repo_verdict_share", "repo_changes_rate"), options),
        "the repository": (without("repo_"), options),
    }
    task, test = task_of(spec), trained.known["test"]
    for part, (other, asked) in others.items():
        begun = time.perf_counter()
        lesser = train(other, dataset_of(other, data.frame), asked)
        seconds = time.perf_counter() - begun
        gains = paired_differences(
            task.statistics(test.y, trained.best.predictions),
            task.statistics(test.y, lesser.best.predictions),
            test.weights,
            task.needs,
            resamples=RESAMPLES,
            seed=0,
            units=test.units,
        )
        print(
            f"  by {part}: log loss {gains['log_loss']:+.4f}, ROC AUC {gains['roc_auc']:+.3f}; "
            f"trained without it in {seconds:.0f} s",
            flush=True,
        )
        if part == "the signs":
            bent = measure_monotony(spec, data.x[trained.split.test], lesser.best.estimator.score)
            print(f"  with signs: {trained.monotony}; without: {bent}", flush=True)


def _logistic(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    model: Any = make_pipeline(imputer, StandardScaler(), LogisticRegression(C=0.1, max_iter=1_000))
    return model.fit(x, y).predict_proba(asked)[:, 1]


def asked_histories() -> list[Path]:
    """The folders that the command names, or else all there are; says so if there are none."""
    folders = [Path(name) for name in sys.argv[2:]] or sorted(path for path in HISTORIES.glob("*") if path.is_dir())
    if not folders:
        print(f"skipped: {HISTORIES} is not there")
    return folders


def main() -> None:
    folders = asked_histories()
    if not folders:
        return
    with tempfile.TemporaryDirectory() as name:
        rows: dict[Path, tuple[str, str]] = {}
        for folder in folders:
            print(f"\n{folder.name}", flush=True)
            state = Path(name) / folder.name
            state.mkdir()
            spec, seconds, mib = isolated(load_folder, str(folder), str(state))
            print(f"  loaded in {seconds:.0f} s, peak {mib:.0f} MiB", flush=True)
            if spec:
                rows[folder] = (spec, str(state / "rows.parquet"))
        for folder, (spec, path) in rows.items():
            elsewhere = [file for other, (of, file) in rows.items() if other != folder and of == spec]
            _told(folder.name, spec, path, elsewhere)
        for spec in SPECS:
            files = [file for of, file in rows.values() if of == spec]
            if len(files) > 1:
                pooled = Path(name) / f"{spec}.parquet"
                pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed").write_parquet(pooled)
                _told(f"pooled, {spec}", spec, str(pooled), [])


def _told(title: str, spec: str, path: str, elsewhere: list[str]) -> None:
    print(f"\n== {title}", flush=True)
    _, seconds, mib = isolated(judge, spec, path, elsewhere)
    print(f"  judged in {seconds:.0f} s, peak {mib:.0f} MiB", flush=True)
