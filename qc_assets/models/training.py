"""Selecting, fitting, calibrating and evaluating the candidates of a spec."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from qc_assets.errors import TrainingError
from qc_assets.models import estimators
from qc_assets.models.calibration import Calibrator
from qc_assets.models.dataset import Dataset
from qc_assets.models.metrics import Estimate, evaluate
from qc_assets.models.spec import Candidate, ModelSpec, Parameters
from qc_assets.models.splits import TimeSplit, time_folds, time_split

WINDOWS = ("test", "last_30_days")
_IMPORTANCE_ROWS = 2_000


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        quick: the defaults of each candidate, without a search.
        n_trials: Optuna trials for each candidate otherwise.
        n_folds: time-ordered folds of each trial.
        resamples: bootstrap resamples behind every interval.
        seed: seed of search, estimators and bootstrap.
        threads: None means all cores.
    """

    quick: bool = False
    n_trials: int = 30
    n_folds: int = 3
    resamples: int = 500
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class FittedCandidate:
    """A candidate that was fitted on the train window and calibrated on the calibration window.

    Attributes:
        validation_auc: mean ROC AUC over the time-ordered folds of the train window; decides the selection.
        predictions: calibrated probabilities of the test window, (rows,).
        evaluations: metrics by window (``test``, ``last_30_days``).
    """

    kind: str
    parameters: Parameters
    validation_auc: float
    estimator: estimators.Estimator
    calibrator: Calibrator
    predictions: np.ndarray
    evaluations: dict[str, dict[str, Estimate]]


@dataclass(frozen=True)
class Trained:
    """The outcome of a training.

    Attributes:
        best: the candidate with the highest validation AUC.
        candidates: all of them.
        base_rate: share of positive labels in the calibration window.
        importance: mean drop of the test window's ROC AUC when a feature is shuffled, by feature, largest first.
    """

    spec: ModelSpec
    data: Dataset
    split: TimeSplit
    best: FittedCandidate
    candidates: tuple[FittedCandidate, ...]
    base_rate: float
    importance: dict[str, float]


def recent_rows(data: Dataset, rows: np.ndarray, days: int = 30) -> np.ndarray:
    """Mask of the rows opened in the last `days` before the newest of them, (len(rows),)."""
    opened = data.opened_at[rows]
    return opened >= opened.max() - np.timedelta64(days, "D")


def train(
    spec: ModelSpec, data: Dataset, options: Options, progress: Callable[[str], None] = lambda message: None
) -> Trained:
    """Train every candidate of a spec and choose one by its validation score, never by the test window.

    Args:
        spec: the model.
        data: labelled rows.
        options: how to train.
        progress: called with a sentence now and then.

    Raises:
        TrainingError: if a window is empty or holds only one class.
    """
    split = time_split(data, spec.maturity)
    for name, rows in split.windows.items():
        if len(np.unique(data.y[rows])) < 2:
            raise TrainingError(f"all {len(rows)} rows of the {name} window have the same label; backfill more days")
    base_rate = float(data.y[split.calibration].mean())
    fitted = []
    for candidate in spec.candidates:
        parameters, auc = _select(spec, candidate, data, split.train, options)
        progress(f"{candidate.kind}: validation ROC AUC {auc:.3f}")
        fitted.append(_fit(candidate.kind, parameters, auc, data, split, base_rate, options))
    best = max(fitted, key=lambda one: one.validation_auc)
    progress(f"{best.kind} wins")
    importance = _importance(spec, best, data, split.test, options.seed)
    return Trained(spec, data, split, best, tuple(fitted), base_rate, importance)


def _select(
    spec: ModelSpec, candidate: Candidate, data: Dataset, rows: np.ndarray, options: Options
) -> tuple[Parameters, float]:
    """Search parameters with Optuna over time-ordered folds; quick: score the defaults on the last fold."""
    folds = _usable_folds(data, rows, spec.maturity, options.n_folds)
    if options.quick:
        return candidate.defaults, _validate(candidate.kind, candidate.defaults, data, folds[-1:], options)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=options.seed))
    study.optimize(
        lambda trial: _validate(candidate.kind, candidate.space(trial), data, folds, options),
        n_trials=options.n_trials,
    )
    return candidate.space(optuna.trial.FixedTrial(study.best_params)), float(study.best_value)


def _usable_folds(
    data: Dataset, rows: np.ndarray, maturity: timedelta, n_folds: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = list(time_folds(data, rows, maturity, n_folds))
    usable = [pair for pair in folds if all(len(np.unique(data.y[part])) == 2 for part in pair)]
    if not usable:
        raise TrainingError(
            f"the train window ({len(rows)} rows) cannot be split into folds with both labels; backfill more days"
        )
    return usable


def _validate(
    kind: str,
    parameters: Parameters,
    data: Dataset,
    folds: list[tuple[np.ndarray, np.ndarray]],
    options: Options,
) -> float:
    from sklearn.metrics import roc_auc_score

    scores = []
    for fit, validate in folds:
        estimator = estimators.fit(
            kind, parameters, data.x[fit], data.y[fit], seed=options.seed, threads=options.threads
        )
        scores.append(roc_auc_score(data.y[validate], estimator.score(data.x[validate])))
    return float(np.mean(scores))


def _fit(
    kind: str,
    parameters: Parameters,
    auc: float,
    data: Dataset,
    split: TimeSplit,
    base_rate: float,
    options: Options,
) -> FittedCandidate:
    x, y = data.x, data.y
    estimator = estimators.fit(
        kind, parameters, x[split.train], y[split.train], seed=options.seed, threads=options.threads
    )
    calibrator = Calibrator.fit(estimator.score(x[split.calibration]), y[split.calibration])
    predictions = calibrator(estimator.score(x[split.test]))
    recent = recent_rows(data, split.test)
    evaluations = {
        window: evaluate(
            y[split.test][mask],
            predictions[mask],
            base_rate=base_rate,
            resamples=options.resamples,
            seed=options.seed,
        )
        for window, mask in (("test", np.ones_like(recent)), ("last_30_days", recent))
    }
    return FittedCandidate(kind, parameters, auc, estimator, calibrator, predictions, evaluations)


def _importance(spec: ModelSpec, best: FittedCandidate, data: Dataset, rows: np.ndarray, seed: int) -> dict[str, float]:
    """Permutation importance (Breiman, 2001) on the newest rows of the test window."""
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import roc_auc_score

    class _Scorer:
        def fit(self, x: np.ndarray, y: np.ndarray) -> "_Scorer":
            return self

    rows = rows[-_IMPORTANCE_ROWS:]
    if len(np.unique(data.y[rows])) < 2:
        return {}
    found = permutation_importance(
        _Scorer(),
        data.x[rows],
        data.y[rows],
        scoring=lambda _, x, y: roc_auc_score(y, best.estimator.score(x)),
        n_repeats=3,
        random_state=seed,
    )
    order = np.argsort(-found.importances_mean)
    return {spec.features[index]: float(found.importances_mean[index]) for index in order}
