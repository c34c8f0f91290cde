"""Other ways to fit p0, each beside ours on the same rows: `python -m benchmarks alternatives [FOLDER...]`.

A single test window tells little where times change, so each history is cut off at four moments, and at each the
newest 15 % before it are tested by what was known before them. Differences of log loss are paired over the rows of all
windows, authors drawn; positive ones speak for ours. What is tried and does not win stays here and not in the package.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from benchmarks.measure import isolated
from benchmarks.real import SPECS, asked_histories, load_rows
from qc_assets.errors import TrainingError
from qc_assets.models.p0 import SPEC as P0

if TYPE_CHECKING:
    from qc_assets.learning.dataset import Dataset
    from qc_assets.learning.spec import ModelSpec
    from qc_assets.learning.splits import TimeSplit
    from qc_assets.learning.task.terms import Known

ENDS = (0.55, 0.7, 0.85, 1.0)
RESAMPLES = 300
MANY = 20_000  # with more rows to test the blend is left out, which never wins there
_STRANGER = 20.0  # rows of a repository that say as much of it as what is known of all
_FOLDS = 5
_CLIP = 1e-6
_NEWTON_STEPS = 20
_MOST_WEIGHT = 20.0


@dataclass(frozen=True)
class Window:
    """A history as it was known at some moment, with its newest rows to test on."""

    spec: "ModelSpec"
    data: "Dataset"
    split: "TimeSplit"
    known: "dict[str, Known]"

    @property
    def repositories(self) -> np.ndarray:
        """A number of each row's repository, from 0 on, (rows,)."""
        return np.unique(self.data.frame["repo_id"].to_numpy(), return_inverse=True)[1]


def windows(spec: "ModelSpec", data: "Dataset") -> list[Window]:
    """The history cut off at each of `ENDS`; those that are too short are left out."""
    from qc_assets.learning.splits import time_split
    from qc_assets.learning.task import task_of

    task, cut = task_of(spec), []
    for share in ENDS:
        rows = np.arange(int(share * len(data)))
        until = data.observed_until[rows]
        if share < 1:
            until = np.minimum(until, data.opened_at[len(rows)])
        columns = {name: getattr(data, name)[rows] for name in ("x", "y", "opened_at", "known_at", "frame")}
        part = replace(data, **columns, observed_until=until)
        try:
            split = time_split(part, spec.maturity)
        except TrainingError:
            continue
        context = task.context(spec, part, split)
        named = split.known_windows.items()
        known = {name: task.known(part, of, split.as_of[name], context) for name, of in named}
        if all(task.why_not(known[name]) is None for name in ("train", "calibration", "before_test")):
            cut.append(Window(spec, part, split, known))
    return cut


def scores(window: Window, kind: str, parameters: dict[str, Any], fitted_to: str, asked: str, **how: Any) -> np.ndarray:
    """What an estimator says of the rows of one window that was fitted to those of another."""
    from qc_assets.learning.task import task_of

    how = {"seed": 0, "threads": 1, "signs": window.spec.signs} | how
    extra = how.pop("extra", None)
    x = window.data.x if extra is None else np.column_stack([window.data.x, extra])
    known = window.known[fitted_to]
    if (half_life := how.pop("half_life", None)) is not None:
        opened = window.data.opened_at[window.split.known_windows[fitted_to]]
        age = (opened.max() - opened) / (opened.max() - opened.min())
        known = replace(known, weights=0.5 ** (age / half_life))
    rows = window.split.known_windows
    estimator = task_of(window.spec).fit(kind, parameters, x[rows[fitted_to]], known, **how)
    return estimator.score(x[rows[asked]])


def with_record_in_the_way(window: Window, kind: str, parameters: dict[str, Any]) -> np.ndarray:
    """As `scores` for the test window, but the head that says which way is taken reads the author's record, too."""
    from qc_assets.learning.task import task_of
    from qc_assets.learning.task.combined import HeadsEstimator

    rows, known = window.split.known_windows["before_test"], window.known["before_test"]
    bound, free = (
        task_of(window.spec).fit(kind, parameters, window.data.x[rows], known, seed=0, threads=1, signs=signs)
        for signs in (window.spec.signs, ())
    )
    if isinstance(bound, HeadsEstimator) and isinstance(free, HeadsEstimator):
        bound = HeadsEstimator((free.parts[0], *bound.parts[1:]))
    return bound.score(window.data.x[window.split.test])


def with_the_young(window: Window, kind: str, parameters: dict[str, Any]) -> np.ndarray:
    """As `scores` for the test window, fitted to what was decided in the gap before it, too.

    A decision stands for those of rows that were opened too late to be watched until it: its weight is the inverse of
    the share of openings that were watched for as long (see `qc_assets.learning.task.duration`), up to `_MOST_WEIGHT`.
    """
    from qc_assets.learning.task import task_of

    task, data, until = task_of(window.spec), window.data, window.split.as_of["before_test"]
    opened = np.flatnonzero(data.opened_at < until)
    rows = opened[data.known_at[opened] < until]
    watched, lasted = np.sort(until - data.opened_at[opened]), data.known_at[rows] - data.opened_at[rows]
    share = 1 - np.searchsorted(watched, lasted) / len(opened)
    known = task.known(data, rows, until, task.context(window.spec, data, window.split))
    known = replace(known, weights=1 / np.maximum(share, 1 / _MOST_WEIGHT))
    split = replace(window.split, before_test=rows)
    young = replace(window, split=split, known={**window.known, "before_test": known})
    return scores(young, kind, parameters, "before_test", "test")


def own_share(window: Window) -> np.ndarray:
    """The share of passes of each row's repository before it, in time-ordered folds, shrunk to that of all, (rows,)."""
    repository = window.repositories
    fitted, y = window.split.before_test, window.known["before_test"].y
    share = np.full(len(window.data), np.nan)
    parts = np.array_split(np.arange(len(fitted)), _FOLDS)
    for part, asked in [*((part[0], fitted[part]) for part in parts[1:]), (len(fitted), window.split.test)]:
        codes, base = repository[fitted[:part]], y[:part].mean()
        count = np.bincount(codes, minlength=repository.max() + 1)
        passed = np.bincount(codes, weights=y[:part], minlength=repository.max() + 1)
        share[asked] = ((passed + _STRANGER * base) / (count + _STRANGER))[repository[asked]]
    return share


def recent_share(data: "Dataset") -> np.ndarray:
    """The share of passes of each row's repository in the 90 days before it, (rows,), as the feature table computes it.

    p0 has that of its own question among its features; the question that is asked where there are no reviews has not.
    """
    share = np.empty(len(data))
    groups = data.frame["repo_id"].to_numpy()
    for repository in np.unique(groups):
        here = np.flatnonzero(groups == repository)
        order = here[np.argsort(data.known_at[here])]
        passed = np.r_[0, np.cumsum(data.y[order])]
        end = np.searchsorted(data.known_at[order], data.opened_at[here])
        start = np.searchsorted(data.known_at[order], data.opened_at[here] - np.timedelta64(90, "D"))
        share[here] = (passed[end] - passed[start] + 1) / (end - start + 2)
    return share


def with_category(window: Window, parameters: dict[str, Any]) -> np.ndarray:
    """Boosted trees of one head that have the repository as a category of LightGBM's own."""
    import lightgbm

    codes = window.repositories
    x, split = np.column_stack([window.data.x, codes]), window.split
    signs = {"monotone_constraints": (*window.spec.signs, *[0] * (x.shape[1] - len(window.spec.signs)))}
    trees = lightgbm.LGBMClassifier(random_state=0, n_jobs=1, verbosity=-1, cat_smooth=_STRANGER, **signs, **parameters)
    trees.fit(x[split.before_test], window.known["before_test"].y, categorical_feature=[x.shape[1] - 1])
    return np.asarray(trees.predict_proba(x[split.test]))[:, 1]


def with_catboost(window: Window) -> np.ndarray:
    """CatBoost with its defaults, one head, the same signs, and the repository as a category of its own kind."""
    from catboost import CatBoostClassifier

    x, split = pl.DataFrame(window.data.x).to_pandas(), window.split
    x["repository"] = window.data.frame["repo_id"].to_numpy().astype(str)
    signs = [*window.spec.signs, *[0] * (x.shape[1] - len(window.spec.signs))]
    trees = CatBoostClassifier(
        random_seed=0, thread_count=1, verbose=False, allow_writing_files=False,
        monotone_constraints=signs, cat_features=["repository"],
    )  # fmt: skip
    trees.fit(x.iloc[split.before_test], window.known["before_test"].y)
    return np.asarray(trees.predict_proba(x.iloc[split.test]))[:, 1]


def at_repositories_levels(window: Window, of_calibration: np.ndarray, of_test: np.ndarray) -> np.ndarray:
    """Answers for the test window, each repository's log-odds moved by its own intercept, (rows,).

    The intercepts are the likeliest ones of the calibration window's labels under a normal prior around zero that says
    as much as `_STRANGER` rows: the more rows a repository has, the less is its intercept shrunk.
    """
    from scipy.special import expit, logit

    codes = window.repositories
    here, y = codes[window.split.calibration], window.known["calibration"].y
    logits, logits_of_test = (logit(np.clip(p, _CLIP, 1 - _CLIP)) for p in (of_calibration, of_test))
    intercepts, prior = np.zeros(codes.max() + 1), _STRANGER * y.mean() * (1 - y.mean())
    for _ in range(_NEWTON_STEPS):
        p = expit(logits + intercepts[here])
        slope = np.bincount(here, y - p, len(intercepts)) - prior * intercepts
        intercepts += slope / (np.bincount(here, p * (1 - p), len(intercepts)) + prior)
    return np.asarray(expit(logits_of_test + intercepts[codes[window.split.test]]))


def answers_of(window: Window, kind: str, parameters: dict[str, Any]) -> dict[str, tuple[np.ndarray, float]]:
    """Answers for the test window by each way and the seconds that they took, by name; the first is ours."""
    from qc_assets.learning.calibration import ProbabilityCalibrator, weights_by_group
    from qc_assets.learning.task import task_of

    groups = window.data.frame["repo_id"].to_numpy()[window.split.calibration]
    calibration = replace(window.known["calibration"], groups=groups)
    one_head = replace(window, known={name: replace(known, way=None) for name, known in window.known.items()})
    answers: dict[str, tuple[np.ndarray, float]] = {}

    def timed(way: str, work: Callable[[], np.ndarray]) -> np.ndarray:
        begun = time.process_time()
        answers[way] = work(), time.process_time() - begun
        return answers[way][0]

    def fitted(
        parameters: dict[str, Any] = parameters,
        kind: str = kind,
        window: Window = window,
        asked: str = "test",
        **how: Any,
    ) -> np.ndarray:
        return scores(window, kind, parameters, "before_test", asked, **how)

    def calibrated(at_levels: bool) -> np.ndarray:
        task, p = task_of(window.spec), fitted()
        level = task.at_new_level(seen, lambda: fitted(asked="calibration"), calibration)
        to_answer = task.calibrate(level, calibration, {}, carries=window.split.carries)
        return at_repositories_levels(window, to_answer(level), to_answer(p)) if at_levels else to_answer(p)

    seen = scores(window, kind, parameters, "train", "calibration")
    timed("ours", lambda: calibrated(at_levels=False))
    timed("each repository at its own level", lambda: calibrated(at_levels=True))
    p = timed("no map", fitted)
    of_old = ProbabilityCalibrator.fit(seen, calibration.y, weights_by_group(groups))
    timed("a map that moves the level, too", lambda: of_old(p) if window.split.carries else p)
    timed("no signs", lambda: fitted(signs=()))
    if window.known["before_test"].way is not None:
        timed("the way is told by the record, too", lambda: with_record_in_the_way(window, kind, parameters))
        timed("one head", lambda: fitted(window=one_head))
    timed("LightGBM with its defaults", lambda: fitted({}, "lightgbm", one_head, signs=()))
    timed("the newest rows count double", lambda: fitted(half_life=1.0))
    timed("the young, too", lambda: with_the_young(window, kind, parameters))
    timed("the repository's share since ever", lambda: fitted(extra=own_share(window)))
    if window.data.x.shape[1] > len(window.spec.features):
        less = replace(window, data=replace(window.data, x=window.data.x[:, :-1]))
        timed("without its share of 90 days", lambda: fitted(window=less))
    if kind == "lightgbm":
        timed("one head, the repository as a category", lambda: with_category(window, parameters))
        if importlib.util.find_spec("catboost"):  # which nothing else here needs
            timed("CatBoost, one head, the repository as a category", lambda: with_catboost(window))
    return answers


def compare(name: str, path: str) -> None:
    """Print each alternative's log loss less ours, for the kinds that compete for p0."""
    from qc_assets.learning.metrics.bootstrap import paired_differences
    from qc_assets.learning.metrics.units import units_of
    from qc_assets.learning.task import dataset_of, labelled, task_of

    spec = SPECS[name]
    data = dataset_of(spec, labelled(spec, pl.read_parquet(path)))
    if spec.target != P0.target:
        data = replace(data, x=np.column_stack([data.x, recent_share(data)]))
    cut = windows(spec, data)
    tested = [window.data.frame[window.split.test] for window in cut]
    y = np.concatenate([window.known["test"].y for window in cut])
    opened = np.concatenate([window.data.opened_at[window.split.test] for window in cut])
    units = units_of(pl.concat(tested), opened)
    task, edges = task_of(spec), np.cumsum([len(part) for part in tested])[:-1]

    def loss(p: np.ndarray, rows: np.ndarray = np.arange(len(y))) -> float:
        return float(task.statistics(y[rows], p[rows])(np.ones((1, len(rows))))["log_loss"][0])

    for candidate in spec.candidates:
        if candidate.kind == "blend" and len(y) > MANY:
            continue
        each = [answers_of(window, candidate.kind, candidate.defaults) for window in cut]
        whole = {way: np.concatenate([answers[way][0] for answers in each]) for way in each[0]}
        ours = whole["ours"]
        print(f"  {candidate.kind}: log loss {loss(ours):.4f} on {len(y):,} rows of {len(cut)} windows", flush=True)
        for way, p in whole.items():
            differences = paired_differences(
                task.statistics(y, p),
                task.statistics(y, ours),
                np.ones(len(y)),
                task.needs,
                resamples=RESAMPLES,
                seed=0,
                units=units,
            )
            parts = np.array_split(np.arange(len(y)), edges)
            by_window = " ".join(f"{loss(p, rows) - loss(ours, rows):+.4f}" for rows in parts)
            seconds = sum(answers[way][1] for answers in each)
            print(f"    {way}: {differences['log_loss']:+.4f}; by window {by_window}; {seconds:.0f} s", flush=True)


def main() -> None:
    folders = asked_histories()
    if not folders:
        return
    with tempfile.TemporaryDirectory() as name:
        for folder in folders:
            state = Path(name) / folder.name
            state.mkdir()
            names, _, _ = isolated(load_rows, str(folder), str(state))
            for asked in names:
                print(f"\n== {folder.name}, {asked}", flush=True)
                isolated(compare, asked, str(state / f"{asked}.parquet"))
