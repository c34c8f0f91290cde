"""Selecting, fitting, calibrating and evaluating the candidates of a spec."""

from dataclasses import replace

import numpy as np

from qc_assets.errors import TrainingError
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.bootstrap import Estimate, evaluate, paired_differences
from qc_assets.learning.missingness import measure_missingness
from qc_assets.learning.monotony import measure_monotony
from qc_assets.learning.pace import Pace, TrainingListener
from qc_assets.learning.reliability import LosingRepositories, losing_repositories, reliability_of
from qc_assets.learning.remaining import remaining_times
from qc_assets.learning.rivals import Rival
from qc_assets.learning.search import balanced, choose, one_head_gain, text_gain, usable_folds
from qc_assets.learning.spec import Candidate, ModelSpec, Parameters
from qc_assets.learning.splits import TimeSplit, time_split
from qc_assets.learning.task import task_of
from qc_assets.learning.task.combined import HeadsEstimator, ProjectEstimator, measured_heads
from qc_assets.learning.task.terms import Estimator, Known
from qc_assets.learning.text.text_features import TextReducer, has_enough_texts
from qc_assets.learning.train_sample import learning_curve, with_fewer_rows
from qc_assets.learning.trained import FittedCandidate, Options, Trained, Trial, Windows
from qc_assets.progress import Milestone, Reporter, unheard

WINDOWS = ("test", "last_30_days")
_IMPORTANCE_ROWS = 2_000
_IMPORTANCE_AT_ONCE = 50_000
# With more rows of its own a project was not seen to gain by what others know (`python -m benchmarks prior`).
_SMALL_PROJECT = 500


def recent_rows(data: Dataset, rows: np.ndarray, days: int = 30) -> np.ndarray:
    """Mask of the rows opened in the last `days` before the newest of them, (len(rows),)."""
    opened = data.opened_at[rows]
    return opened >= opened.max() - np.timedelta64(days, "D")


def train(
    spec: ModelSpec,
    data: Dataset,
    options: Options,
    progress: Reporter = unheard,
    listener: TrainingListener = TrainingListener(),
) -> Trained:
    """Train every candidate of a spec and choose one by its validation score, never by the test window.

    Args:
        spec: the model.
        data: labelled rows.
        options: how to train.
        progress: told how far it is.
        listener: told of candidates and trials as they come.

    Raises:
        TrainingError: if a window is empty or holds nothing to learn, or no feature is known at all.
    """
    task = task_of(spec)
    if len(data) > _SMALL_PROJECT:
        options = replace(options, others=None)
    split = time_split(data, spec.maturity)
    context = task.context(spec, data, split)
    known = {name: task.known(data, rows, split.as_of[name], context) for name, rows in split.known_windows.items()}
    for name, labels in known.items():
        reason = task.why_not(labels)
        if reason:
            raise TrainingError(f"{reason} in the {name} window; backfill more days")
    if data.x.dtype == np.float64 and np.isnan(data.x[split.train]).all():
        raise TrainingError("every feature is NULL in the train window: materialize the features anew")
    for name in ("train", "before_test", "labelled"):
        known[name] = balanced(spec, data, split.known_windows[name], known[name])
    for name in ("calibration", "test"):
        rows = split.windows[name]
        groups = data.frame["repo_id"][rows].to_numpy() if "repo_id" in data.frame.columns else None
        known[name] = replace(known[name], groups=groups, units=data.units(rows))
    skipped = {
        candidate.kind: "too slow for a quick training"
        for candidate in spec.candidates
        if options.quick and candidate.is_slow
    }
    if spec.balance:
        reason = f"cannot give the groups of {spec.balance} equal weight"
        skipped |= {candidate.kind: reason for candidate in spec.candidates if not candidate.takes_weights}
    competing = [
        candidate
        for candidate in spec.candidates
        if (not options.candidates or candidate.kind in options.candidates) and candidate.kind not in skipped
    ]
    if not competing:
        raise TrainingError(
            f"none of the candidates is left to train; {spec.name} has {', '.join(c.kind for c in spec.candidates)}"
        )
    trivial = task.trivial(known["calibration"], context)
    windows = with_fewer_rows(Windows(spec, split, known, context, trivial), data, options)
    searched = replace(split, before_test=windows.fitted("before_test")[0])
    folds = usable_folds(spec, data, searched, context, options.n_folds)
    fitted: list[FittedCandidate] = []

    def keep(candidate: FittedCandidate) -> FittedCandidate:
        fitted.append(candidate)
        listener.candidate_fitted(candidate)
        return candidate

    pace = Pace(len(competing), 1 if options.quick else options.n_trials, task.metrics[task.selection], progress)
    for candidate in competing:
        pace.begins(candidate.kind)
        listener.candidate_begins(candidate.kind)

        def told(number: int, trial: Trial, kind: str = candidate.kind) -> None:
            pace.tried(number, trial.validation if trial.stopped_after is None else None)
            listener.trial_ended(kind, number, trial)

        parameters, validation, trials = choose(spec, candidate, data, folds, context, options, told)
        pace.chosen(validation)
        keep(_fit(windows, candidate.kind, parameters, validation, trials, data, options))
    best = max(fitted, key=lambda candidate: task.metrics[task.selection].sign * candidate.validation)
    if known["train"].way is not None:
        one_head = one_head_gain(spec, best.kind, best.parameters, data, folds[-1], context, options)
        progress(Milestone(str(one_head)), 0, 0)
        if one_head.is_certain:
            skipped["two heads"] = str(one_head)
            windows = windows.with_one_head
            known, context = dict(windows.known), dict(windows.context)
            folds = [replace(fold, fit_known=replace(fold.fit_known, way=None)) for fold in folds]
            best = keep(_fit(windows, best.kind, best.parameters, best.validation, best.trials, data, options))
    texts = None
    if spec.texts and not options.quick and has_enough_texts(data.frame[folds[-1].fit], spec.texts):
        gain = text_gain(spec, best.kind, best.parameters, data, folds[-1], context, options)
        progress(Milestone(str(gain)), 0, 0)
        if gain.is_certain:
            texts = TextReducer.fit(data.frame[windows.fitted("train")[0]], spec.texts)
            data = replace(data, x=np.hstack([data.x, texts(data.frame)]))
            spec = replace(spec, features=spec.features + texts.names)
            best = _fit(windows, best.kind, best.parameters, gain.with_it, (), data, options)
            best = keep(replace(best, kind=f"{best.kind}_with_texts"))
        else:
            skipped["with texts"] = str(gain)
    elif spec.texts:
        skipped["with texts"] = "too slow for a quick training" if options.quick else "the rows have too few texts"
    progress(Milestone(f"{best.kind} wins; measuring what matters to it"), 0, 0)
    trained = Trained(spec, data, split, best, tuple(fitted), known, context, trivial, {}, None, skipped, texts)
    importance = permutation_importance(trained, options.seed)
    plain_kind = best.kind.removesuffix("_with_texts")
    progress(f"fitting {len(task.rivals)} plain rivals", 0, 0)
    alone, has_others = replace(options, others=None), isinstance(best.estimator, ProjectEstimator)
    rivals = [_rival(windows.plain, rival, best, data, alone) for rival in task.rivals]
    if has_others:
        # What others know may say nothing of this project.
        by_itself = _rival(windows, Candidate(plain_kind, best.parameters), best, data, alone)
        rivals.append(replace(by_itself, kind=f"{plain_kind} without what others know"))
    if isinstance(best.estimator, HeadsEstimator):
        undivided = _rival(windows.with_one_head, Candidate(plain_kind, best.parameters), best, data, alone)
        # Two heads were kept because one does not gain more than the margin (`one_head_gain`): the same is asked here.
        rivals.append(replace(undivided, kind=f"{plain_kind} with one head", tolerance=1.0))
    progress("judging it by repository and month, and fitting it to all rows", 0, 0)
    tested = data.frame[split.test], data.opened_at[split.test], *task.reliable(known["test"], best.predictions)
    calibrated = best.calibrator(best.calibration_scores)
    return replace(
        trained,
        importance=importance,
        dominance=task.dominant_feature(spec, data, split, best.evaluations["test"], importance),
        rivals=tuple(rivals),
        # Rows of the test window may let others in whom the judged one had left out.
        served=_fitted_to("labelled", windows, plain_kind, best.parameters, data, options if has_others else alone)
        if options.refit and task.refits
        else None,
        heads=_heads(trained, options),
        bounds=task.bounds(known["calibration"], calibrated) if split.carries else None,
        remaining=remaining_times(best.calibration_scores, known["calibration"], context) if spec.left_at else None,
        monotony=measure_monotony(
            spec, data.x[split.test][-_IMPORTANCE_ROWS:], lambda x: best.calibrator(best.estimator.score(x))
        ),
        missingness=measure_missingness(spec, data, split, known, context, options.seed),
        reliability=reliability_of(*tested, resamples=options.resamples, seed=options.seed),
        losing=_losing(trained) if task.is_binary else None,
        curve=learning_curve(windows, plain_kind, best.parameters, data, options, progress),
    )


def _fit(
    windows: "Windows",
    kind: str,
    parameters: Parameters,
    validation: float,
    trials: tuple[Trial, ...],
    data: Dataset,
    options: Options,
) -> FittedCandidate:
    """Fit on the train window, calibrate on the calibration window, fit anew with it, evaluate on the test window.

    The newest rows say most of what comes next, so the estimator sees them once the map from scores to answers has
    been fitted on scores of rows that it had not seen.
    """
    task, split, known, x = task_of(windows.spec), windows.split, windows.known, data.x
    estimator = _fitted_to("train", windows, kind, parameters, data, options)
    calibration_scores, carries = estimator.score(x[split.calibration]), True
    if options.refit and task.refits:
        estimator = _fitted_to("before_test", windows, kind, parameters, data, options)
        refitted = lambda: estimator.score(x[split.calibration])  # noqa: E731  # asked at once, if at all
        calibration_scores = task.at_new_level(calibration_scores, refitted, known["calibration"])
        carries = split.carries
    calibrator = task.calibrate(calibration_scores, known["calibration"], windows.context, carries=carries)
    scores = estimator.score(x[split.test])
    answers = task.answers(calibrator, scores, known["test"].groups)
    evaluations = {
        window: _evaluate(windows.spec, known["test"], answers, windows.trivial, mask, options)
        for window, mask in evaluation_windows(data, split).items()
    }
    return FittedCandidate(
        kind, parameters, validation, estimator, calibrator, calibration_scores, scores, answers, evaluations, trials
    )


def _fitted_to(
    window: str, windows: "Windows", kind: str, parameters: Parameters, data: Dataset, options: Options
) -> Estimator:
    rows, known = windows.fitted(window)
    return task_of(windows.spec).fit(kind, parameters, data.x[rows], known, **options.fitting(windows.spec))


def _heads(trained: Trained, options: Options) -> dict[str, dict[str, Estimate]]:
    estimator, heads = trained.best.estimator, trained.spec.heads
    if heads is None or not isinstance(estimator, HeadsEstimator):
        return {}
    p, needs = estimator.all_scores(trained.data.x[trained.split.test]), task_of(trained.spec).needs
    return measured_heads(heads, p, trained.known["test"], needs, resamples=options.resamples, seed=options.seed)


def _losing(trained: Trained) -> LosingRepositories:
    frame, split, known = trained.data.frame, trained.split, trained.known
    before, tested = ((frame[split.known_windows[name]], known[name]) for name in ("before_test", "test"))
    return losing_repositories(before, tested, trained.best.predictions)


def _rival(windows: "Windows", rival: Candidate, best: FittedCandidate, data: Dataset, options: Options) -> Rival:
    """Fit a plain model as the candidates are fitted, and compare the best of these with it."""
    task, test = task_of(windows.spec), windows.known["test"]
    fitted = _fit(windows, rival.kind, rival.defaults, np.nan, (), data, options)
    differences = paired_differences(
        task.statistics(test.y, best.predictions),
        task.statistics(test.y, fitted.predictions),
        test.weights,
        task.needs,
        resamples=options.resamples,
        seed=options.seed,
        units=test.units,
    )
    name = rival.kind if rival.defaults else f"{rival.kind} with its defaults"
    return Rival(name, fitted.evaluations["test"], differences)


def evaluation_windows(data: Dataset, split: TimeSplit) -> dict[str, np.ndarray]:
    """Masks of the test window's rows: all of it, and its last 30 days."""
    recent = recent_rows(data, split.test)
    return dict(zip(WINDOWS, (np.ones_like(recent), recent), strict=True))


def _evaluate(
    spec: ModelSpec, known: Known, answers: np.ndarray, trivial: np.ndarray, mask: np.ndarray, options: Options
) -> dict[str, Estimate]:
    task, known = task_of(spec), known[mask]
    constant = np.repeat(trivial, len(known.y), axis=0)
    return evaluate(
        task.statistics(known.y, answers[mask]),
        task.statistics(known.y, constant),
        known.weights,
        task.needs,
        resamples=options.resamples,
        seed=options.seed,
        units=known.units,
    )


def evaluated_on(trained: Trained, mask: np.ndarray, options: Options) -> dict[str, Estimate]:
    """The metrics of the best candidate on some rows of the test window only, (rows,) of booleans."""
    return _evaluate(trained.spec, trained.known["test"], trained.best.predictions, trained.trivial, mask, options)


def permutation_importance(trained: Trained, seed: int, repeats: int = 3) -> dict[str, float]:
    """Loss of the quality that is watched when a feature is shuffled (Breiman, 2001), on the newest rows tested."""
    task, data = task_of(trained.spec), trained.data
    newest = slice(-_IMPORTANCE_ROWS, None)
    rows = trained.split.test[newest]
    known = trained.known["test"][newest]
    if task.why_not(known):
        return {}
    sign = task.metrics[task.quality].sign

    def metric(answers: np.ndarray) -> float:
        return sign * float(task.statistics(known.y, answers)(known.weights[None, :])[task.quality][0])

    def answers_to(x: np.ndarray) -> np.ndarray:
        return trained.best.calibrator(trained.best.estimator.score(x))

    x = data.x[rows]
    whole, rng = metric(answers_to(x)), np.random.default_rng(seed)
    # All repeats of many features are asked about at once: each question to a forest costs as much as many rows.
    at_once = max(1, _IMPORTANCE_AT_ONCE // (repeats * len(x)))
    drops = {}
    for start in range(0, x.shape[1], at_once):
        features = range(start, min(start + at_once, x.shape[1]))
        shuffled_rows = np.tile(x, (len(features) * repeats, 1))
        for block, index in zip(np.split(shuffled_rows, len(features)), features, strict=True):
            block[:, index] = np.concatenate([rng.permutation(x[:, index]) for _ in range(repeats)])
        shuffled = [metric(part) for part in np.split(answers_to(shuffled_rows), len(features) * repeats)]
        for place, index in enumerate(features):
            drop = whole - float(np.mean(shuffled[place * repeats : (place + 1) * repeats]))
            drops[trained.spec.features[index]] = drop
    return dict(sorted(drops.items(), key=lambda item: -item[1]))
