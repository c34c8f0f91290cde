"""Parameters by Optuna on time-ordered folds of what was known before the test window."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qc_assets.errors import TrainingError
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.bootstrap import Estimate, paired_differences
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit, time_folds
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Known
from qc_assets.learning.text.text_features import TextReducer
from qc_assets.learning.trained import Options, Trial
from qc_assets.learning.weights import group_weights

# A trial goes on to its next fold if it is among the best third of those that came so far, once so many have seen all.
_BEST_PERCENT, _WHOLE_TRIALS = 100 / 3, 5


@dataclass(frozen=True)
class Fold:
    """Rows to fit and to validate on, with their labels as they were known at the instant between them, or later."""

    fit: np.ndarray
    fit_known: Known
    validate: np.ndarray
    validate_known: Known


def usable_folds(
    spec: ModelSpec, data: Dataset, split: TimeSplit, context: Mapping[str, Any], n_folds: int
) -> list[Fold]:
    """The folds of all that was known before the test window on which something can be learnt and judged.

    Raises:
        TrainingError: if there is none.
    """
    task = task_of(spec)
    end = split.as_of["before_test"]
    folds = [
        Fold(
            fit,
            balanced(spec, data, fit, task.known(data, fit, start, context)),
            validate,
            replace(task.known(data, validate, end, context), units=data.units(validate)),
        )
        for fit, validate, start in time_folds(data, split.before_test, spec.maturity, n_folds)
    ]
    usable = [fold for fold in folds if not (task.why_not(fold.fit_known) or task.why_not(fold.validate_known))]
    if not usable:
        raise TrainingError(
            f"what was known before the test window ({len(split.before_test)} rows) cannot be split into folds with "
            "enough different labels; backfill more days"
        )
    return usable


def balanced(spec: ModelSpec, data: Dataset, rows: np.ndarray, known: Known) -> Known:
    """Weights that make each group of `spec.balance` count alike, multiplied with those that there are.

    Raises:
        TrainingError: if the feature table has no such column.
    """
    if not spec.balance:
        return known
    if spec.balance not in data.frame.columns:
        raise TrainingError(f"{spec.name} is to be balanced by {spec.balance}, which {spec.table} does not have")
    weights = group_weights(data.frame[spec.balance][rows])
    return replace(known, weights=known.weights * weights)


def choose(
    spec: ModelSpec,
    candidate: Candidate,
    data: Dataset,
    folds: list[Fold],
    context: Mapping[str, Any],
    options: Options,
    told: Callable[[int, Trial], None] = lambda number, trial: None,
) -> tuple[Parameters, float, tuple[Trial, ...]]:
    """Search parameters over the folds; quick, or without a space: score the defaults on the last one.

    Trials that are worse than most after the same folds are given up (Optuna's percentile pruner).

    Args:
        spec: the model.
        candidate: one of its candidates.
        data: labelled rows.
        folds: of all that was known before the test window.
        context: what was settled before fitting.
        options: how to train.
        told: called after each trial of a search.

    Returns:
        The parameters, their validation metric on the last fold, and every trial in order.
    """
    # Candidates are compared on the last fold with all of its rows: fewer would favour what is simple.
    whole = replace(options, search_rows=len(data))
    if options.quick or candidate.space is None:
        (value,) = _validations(spec, candidate.kind, candidate.defaults, data, folds[-1:], context, whole)
        return candidate.defaults, value, (Trial(candidate.defaults, value),)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task, space = task_of(spec), candidate.space
    direction = "maximize" if task.metrics[task.selection].higher_is_better else "minimize"
    pruner = optuna.pruners.PercentilePruner(_BEST_PERCENT, n_startup_trials=_WHOLE_TRIALS)
    sampler = optuna.samplers.TPESampler(seed=options.seed)
    study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
    trials: list[Trial] = []

    def objective(trial: "optuna.Trial") -> float:
        parameters, values, is_stopped = space(trial), [], False
        for value in _validations(spec, candidate.kind, parameters, data, folds, context, options):
            values.append(value)
            trial.report(float(np.mean(values)), len(values))
            is_stopped = options.prune and len(values) < len(folds) and trial.should_prune()
            if is_stopped:
                break
        trials.append(Trial(parameters, float(np.mean(values)), len(values) if is_stopped else None))
        told(len(trials) - 1, trials[-1])
        if is_stopped:
            raise optuna.TrialPruned
        return trials[-1].validation

    study.optimize(objective, n_trials=options.n_trials)
    best = trials[study.best_trial.number]
    (value,) = _validations(spec, candidate.kind, best.parameters, data, folds[-1:], context, whole)
    return best.parameters, value, tuple(trials)


def _validations(
    spec: ModelSpec,
    kind: str,
    parameters: Parameters,
    data: Dataset,
    folds: list[Fold],
    context: Mapping[str, Any],
    options: Options,
) -> Iterator[float]:
    """The selection metric on each fold, one after the other."""
    task = task_of(spec)
    for fold in folds:
        # Evenly thinned, so that the fold keeps its span of time.
        step = slice(None, None, -(-len(fold.fit) // options.search_rows))
        known = fold.fit_known[step]
        estimator = task.fit(kind, parameters, data.x[fold.fit[step]], known, **options.fitting(spec))
        answers = task.uncalibrated(estimator.score(data.x[fold.validate]), context)
        statistics = task.statistics(fold.validate_known.y, answers)
        yield float(statistics(fold.validate_known.weights[None, :])[task.selection][0])


@dataclass(frozen=True)
class Gain:
    """What a change to a candidate adds to the selection metric on a fold, with its 95 % interval.

    Attributes:
        change: what is changed, in words.
        metric: its label.
        without, with_it: the metric.
        gain: with the change minus without, positive if better.
        least: a gain that is not surely larger is not worth the change.
    """

    change: str
    metric: str
    without: float
    with_it: float
    gain: Estimate
    least: float = 0.0

    @property
    def is_certain(self) -> bool:
        return self.gain.is_surely_above(self.least)

    def __str__(self) -> str:
        verdict = "taken" if self.is_certain else "not taken"
        return f"{self.change} change {self.metric} by {self.gain:+.4f} on the last fold: {verdict}"


def text_gain(
    spec: ModelSpec,
    kind: str,
    parameters: Parameters,
    data: Dataset,
    fold: Fold,
    context: Mapping[str, Any],
    options: Options,
) -> Gain:
    """Fit a candidate on a fold with and without the numbers of its texts, which are fitted on the same rows.

    Returns:
        The gain on the fold's validation rows, by paired bootstrap.
    """
    reducer = TextReducer.fit(data.frame[fold.fit], spec.texts)
    both = np.concatenate([fold.fit, fold.validate])
    numbers = reducer(data.frame[both])
    fit_numbers, validate_numbers = numbers[: len(fold.fit)], numbers[len(fold.fit) :]
    x, x_new = data.x[fold.fit], data.x[fold.validate]
    with_texts = np.hstack([x, fit_numbers]), np.hstack([x_new, validate_numbers])
    fits = [(x, x_new, fold.fit_known), (*with_texts, fold.fit_known)]
    return _gain("texts", spec, kind, parameters, fits, fold, context, options)


def one_head_gain(
    spec: ModelSpec,
    kind: str,
    parameters: Parameters,
    data: Dataset,
    fold: Fold,
    context: Mapping[str, Any],
    options: Options,
) -> Gain:
    """Fit a candidate on a fold with its heads and with one head; see `qc_assets.learning.task.combined`.

    Two heads tell people more, and so much better how a review ends if there is one, that one head has to gain more
    than the spec's margin.

    Returns:
        What one head gains on the fold's validation rows, by paired bootstrap.
    """
    x, x_new = data.x[fold.fit], data.x[fold.validate]
    fits = [(x, x_new, fold.fit_known), (x, x_new, replace(fold.fit_known, way=None))]
    gain = _gain("one head in place of two would", spec, kind, parameters, fits, fold, context, options)
    return replace(gain, least=spec.margins.get(task_of(spec).selection, 0.0))


def _gain(
    change: str,
    spec: ModelSpec,
    kind: str,
    parameters: Parameters,
    fits: list[tuple[np.ndarray, np.ndarray, Known]],
    fold: Fold,
    context: Mapping[str, Any],
    options: Options,
) -> Gain:
    task, statistics = task_of(spec), []
    for x, x_new, known in fits:
        estimator = task.fit(kind, parameters, x, known, **options.fitting(spec))
        answers = task.uncalibrated(estimator.score(x_new), context)
        statistics.append(task.statistics(fold.validate_known.y, answers))
    weights, units = fold.validate_known.weights, fold.validate_known.units
    metric = task.metrics[task.selection]
    sampling = {"resamples": options.resamples, "seed": options.seed}
    differences = paired_differences(statistics[1], statistics[0], weights, task.needs, **sampling, units=units)
    without, with_it = (float(measured(weights[None, :])[task.selection][0]) for measured in statistics)
    return Gain(change, metric.label, without, with_it, differences[task.selection].times(metric.sign))
