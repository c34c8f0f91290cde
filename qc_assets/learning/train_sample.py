"""Fitting to a sample of a window's rows, and what more of them would bring."""

from dataclasses import replace

import numpy as np

from qc_assets.errors import TrainingError
from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.bootstrap import Statistics, paired_differences
from qc_assets.learning.spec import Parameters
from qc_assets.learning.task import task_of
from qc_assets.learning.trained import LearningCurve, Options, Windows
from qc_assets.progress import Milestone, Reporter

# Windows that are fitted to; the others calibrate and judge, on all of their rows.
_FITTED = ("train", "before_test", "labelled")
# So many rows of a repository are worth more than as many of one that has thousands.
_REPOSITORY_ROWS = 20
_SHARES = (8, 4, 2, 1)


def sample_rows(repositories: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose rows evenly over the time of each repository.

    Each repository keeps 20 rows, or all if it has fewer, as far as that takes half of the sample at most; what is
    left is shared out by size. Of one repository any row is as likely as any other, the newest as the oldest.

    Args:
        repositories: id of the repository of each row, in order of time, (n,).
        most: rows to choose.
        seed: of the first row of each repository.

    Returns:
        Positions, ascending, `most` of them or all if there are no more.
    """
    if len(repositories) <= most:
        return np.arange(len(repositories))
    _, repository, sizes = np.unique(repositories, return_inverse=True, return_counts=True)
    quotas = np.minimum(sizes, min(_REPOSITORY_ROWS, most // (2 * len(sizes))))
    share = (most - quotas.sum()) * (sizes - quotas) / max(1, (sizes - quotas).sum())
    quotas = quotas + share.astype(int)
    largest_remainders = np.argsort(share.astype(int) - share, kind="stable")
    quotas[largest_remainders[: most - quotas.sum()]] += 1
    order = np.argsort(repository, kind="stable")
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    start = np.random.default_rng(seed).random(len(sizes))[repository]
    rate = (quotas / sizes)[repository]
    return np.flatnonzero(np.floor((place + 1) * rate + start) > np.floor(place * rate + start))


def with_fewer_rows(windows: Windows, data: Dataset, options: Options) -> Windows:
    """The windows, fitted to at most `Options.train_rows` rows each; as they are if they have no more.

    Raises:
        TrainingError: if nothing can be learnt from so few.
    """
    if not options.train_rows:
        return windows
    sample = {}
    for name in _FITTED:
        rows = windows.split.known_windows[name]
        if len(rows) > options.train_rows:
            sample[name] = sample_rows(_repositories(data, rows), options.train_rows, options.seed)
            if reason := task_of(windows.spec).why_not(windows.known[name][sample[name]]):
                raise TrainingError(f"{reason} in {options.train_rows} rows of the {name} window: raise QC_TRAIN_ROWS")
    return replace(windows, sample=sample)


def learning_curve(
    windows: Windows, kind: str, parameters: Parameters, data: Dataset, options: Options, progress: Reporter
) -> LearningCurve | None:
    """Fit a candidate to an eighth, a quarter and half of its sample, too.

    Args:
        windows: that it was fitted to.
        kind, parameters: of the candidate.
        data: labelled rows.
        options: how to train.
        progress: told of the curve.

    Returns:
        None where all rows are fitted to.
    """
    if not windows.sample:
        return None
    task, judged = task_of(windows.spec), windows.known["calibration"]
    rows, known = windows.fitted("train")
    by_size: dict[int, Statistics] = {}
    for size in sorted({len(rows) // share for share in _SHARES}):
        part = sample_rows(_repositories(data, rows), size, options.seed)
        if task.why_not(known[part]):
            continue
        estimator = task.fit(kind, parameters, data.x[rows[part]], known[part], **options.fitting(windows.spec))
        scores = estimator.score(data.x[windows.split.calibration])
        by_size[size] = task.statistics(judged.y, task.uncalibrated(scores, windows.context))
    half, last_doubling = by_size.get(len(rows) // 2), None
    if half is not None:
        sampling = {"resamples": options.resamples, "seed": options.seed}
        needs = {task.loss: task.needs[task.loss]}
        differences = paired_differences(
            by_size[len(rows)], half, judged.weights, needs, **sampling, units=judged.units
        )
        last_doubling = differences[task.loss]
    weights = judged.weights[None, :]
    sizes = {name: len(part) for name, part in windows.split.known_windows.items()}
    curve = LearningCurve(
        task.metrics[task.loss].label,
        tuple((size, float(measured(weights)[task.loss][0])) for size, measured in by_size.items()),
        last_doubling,
        {name: (len(windows.fitted(name)[0]), sizes[name]) for name in _FITTED},
    )
    progress(Milestone(str(curve)), 0, 0)
    return curve


def _repositories(data: Dataset, rows: np.ndarray) -> np.ndarray:
    if "repo_id" not in data.frame.columns:
        return np.zeros(len(rows), dtype=int)
    return data.frame["repo_id"][rows].to_numpy()
