"""What each mitigation would cost and gain a model: accuracy and gap on its test window, before and after."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from qc_assets.errors import QcError
from qc_assets.fairness.comparison_kinds import COMPARISON_KINDS, largest_gap
from qc_assets.fairness.expected import Rows
from qc_assets.fairness.mitigator import BiasMitigator, Correction, resampled_rows
from qc_assets.fairness.subject import Subject
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Known
from qc_assets.learning.weights import inverse_frequency
from qc_assets.progress import Reporter, unheard

# A constraint for each of hundreds of groups has no solution: the small ones are one.
_MOST_GROUPS = 20

SCHEMA = {
    "method": pl.String,
    "metric": pl.String,
    "accuracy_before": pl.Float64,
    "accuracy_after": pl.Float64,
    "gap_before": pl.Float64,
    "gap_after": pl.Float64,
    "spread_before": pl.Float64,
    "spread_after": pl.Float64,
    "note": pl.String,
}


@dataclass(frozen=True)
class _State:
    """Error, largest relative gap, and spread of mean predictions between groups."""

    accuracy: float
    gap: float
    spread: float


class _Trial:
    """One model and attribute, and the methods that can be tried on them."""

    def __init__(self, subject: Subject, attribute_of: np.ndarray, *, min_support: int, seed: int) -> None:
        self.subject, self.seed, self.min_support = subject, seed, min_support
        self.groups = {name: attribute_of[rows] for name, rows in subject.windows.items()}
        self.task = task_of(subject.spec)
        train = subject.windows["train"]
        step = slice(None, None, -(-len(train) // self.task.refit_rows))
        self.rows, self.train_groups = train[step], self.groups["train"][step]
        known = subject.known["train"]
        self.known = Known(known.y[step], known.weights[step])
        _, self.inverse, self.sizes = np.unique(self.train_groups, return_inverse=True, return_counts=True)

    def fit(self, rows: np.ndarray, known: Known) -> np.ndarray:
        """Scores of all rows by the version's own kind of estimator, fitted to some."""
        fitted = self.subject.bundle.fitted
        estimator = self.task.fit(
            fitted["kind"],
            fitted["parameters"],
            self.subject.x[rows],
            known,
            seed=self.seed,
            threads=None,
            signs=self.subject.spec.signs,
        )
        return estimator.score(self.subject.x)

    def answers(self, scores: np.ndarray) -> dict[str, np.ndarray]:
        """Calibrated answers for calibration and test window."""
        windows = self.subject.windows
        calibrator = self.task.calibrate(
            scores[windows["calibration"]], self.subject.known["calibration"], self.subject.bundle.context
        )
        return {name: calibrator(scores[windows[name]]) for name in ("calibration", "test")}

    def state(self, answers: np.ndarray) -> _State:
        """How good answers for the test window are, and how equal."""
        known = self.subject.known["test"]
        loss = float(self.task.statistics(known.y, answers)(known.weights[None, :])[self.task.loss][0])
        frame = self.subject.measured(answers)
        names = self.groups["test"][frame["tested_row"].to_numpy()]
        order = np.argsort(names, kind="stable")
        y, p, w = (frame[name].to_numpy().astype(np.float64)[order] for name in ("y_true", "y_pred", "weight"))
        groups, sizes = np.unique(names, return_counts=True)
        rows = Rows(tuple(groups), sizes, y, p, w)
        gap, spread = largest_gap(rows, COMPARISON_KINDS[self.task.groups_as], self.min_support)
        return _State(loss, gap, spread)

    def weighted(self) -> dict[str, np.ndarray]:
        weights = inverse_frequency(self.sizes)[self.inverse]
        return self.answers(self.fit(self.rows, Known(self.known.y, self.known.weights * weights)))

    def resampled(self) -> dict[str, np.ndarray]:
        more = resampled_rows(self.inverse, self.sizes, seed=self.seed, most=self.task.refit_repeats)
        chosen = np.concatenate([np.arange(len(self.rows)), more])
        return self.answers(self.fit(self.rows[chosen], Known(self.known.y[chosen], self.known.weights[chosen])))

    def constrained(self) -> dict[str, np.ndarray]:
        largest = np.argsort(-self.sizes, kind="stable")[:_MOST_GROUPS]
        groups = np.where(np.isin(self.inverse, largest), self.train_groups, "(others)").tolist()
        mixture = BiasMitigator.exponentiated_gradient(self.subject.x[self.rows], self.known.y, groups, seed=self.seed)
        return self.answers(mixture.score(self.subject.x))

    def after(self, plain: dict[str, np.ndarray]) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
        """Methods that change answers, fitted on the calibration window; none for answers that cannot be moved."""
        known, groups = self.subject.known["calibration"], self.groups["calibration"]
        movable = self.task.correctable(plain["calibration"], self.subject.bundle.context)
        if movable is None:
            return
        values, highest = movable
        if self.task.is_binary:
            yield (
                "recalibration by group",
                lambda: BiasMitigator.recalibrate(values, groups, known.y)(plain["test"], self.groups["test"]),
            )
        seen, bounds = known.weights > 0, (0.0, highest)
        chosen, names, truth = values[seen], groups[seen], known.y[seen]
        corrections: dict[str, Correction] = {
            "means as observed": BiasMitigator.equalize_means(chosen, names, truth, bounds=bounds),
            "equal means": BiasMitigator.equalize_means(chosen, names, bounds=bounds),
            "equal variances": BiasMitigator.scale_variances(chosen, names, bounds=bounds),
        }
        for name, correction in corrections.items():
            yield name, partial(self._corrected, correction, plain["test"])

    def _corrected(self, correction: Correction, answers: np.ndarray) -> np.ndarray:
        movable = self.task.correctable(answers, self.subject.bundle.context)
        assert movable is not None
        return self.task.corrected(answers, correction(movable[0], self.groups["test"]))


def try_mitigations(
    subject: Subject,
    attribute_of: np.ndarray,
    *,
    min_support: int = 30,
    seed: int = 0,
    progress: Reporter = unheard,
) -> pl.DataFrame:
    """Accuracy and gap of a model on its test window without and with each mitigation.

    Every method starts from a plain fit on the same rows (at most 20,000 of the train window, 2,000 if they are
    texts, evenly thinned), so that only the method differs. `gap` is the largest relative gap of a supported group:
    of the observed rate against what was predicted, or of the mean error; `spread` is between the highest and the
    lowest mean prediction of supported groups.

    Args:
        subject: the model.
        attribute_of: group of every row of `subject.frame`, (rows,) of str.
        min_support: groups with fewer test rows do not count.
        seed: of fits and resampling.
        progress: told which method is tried.

    Returns:
        One row a method, with the columns of `SCHEMA`; a method that failed says why in `note`.
    """
    trial = _Trial(subject, attribute_of, min_support=min_support, seed=seed)
    if len(trial.sizes) < 2:
        return pl.DataFrame(schema=SCHEMA)
    plain = trial.answers(trial.fit(trial.rows, trial.known))
    before = trial.state(plain["test"])
    methods: list[tuple[str, Callable[[], np.ndarray]]] = [
        ("weights", lambda: trial.weighted()["test"]),
        ("resampling", lambda: trial.resampled()["test"]),
    ]
    if trial.task.is_binary:
        methods.append(("exponentiated gradient", lambda: trial.constrained()["test"]))
    methods += list(trial.after(plain))
    rows = []
    for number, (name, method) in enumerate(methods):
        progress(f"what would help, {number + 1} of {len(methods)} ({name})", number, len(methods))
        row = {
            "method": name,
            "metric": trial.task.loss,
            "accuracy_before": before.accuracy,
            "gap_before": before.gap,
            "spread_before": before.spread,
        }
        try:
            after = trial.state(method())
        except (QcError, ValueError) as error:  # of too few rows or classes; a report says so and goes on
            rows.append(row | {"note": str(error)})
            continue
        rows.append(row | {"accuracy_after": after.accuracy, "gap_after": after.gap, "spread_after": after.spread})
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))
