"""Gates that a model must pass, and champion against challenger."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.metrics.bootstrap import paired_differences
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.task.interface import Gate
from qc_assets.learning.trained import Options, Trained
from qc_assets.learning.training import evaluation_windows

COMMON_GATES = {
    "enough_labelled_rows": "There are enough labelled rows, over enough time, to train and test on.",
    "no_single_feature_explains_it": "No feature alone explains almost all of what the model knows, as a leak would. "
    "Only warns.",
}
_NAMES = {"test": "the test window", "last_30_days": "its last 30 days"}


@dataclass(frozen=True)
class Comparison:
    """One metric of challenger and champion on the same rows.

    Attributes:
        difference, lower, upper: challenger minus champion, with its 95 % interval.
        margin: how much worse it may be at most.
    """

    time_window: str
    metric: str
    difference: float
    lower: float
    upper: float
    margin: float
    regression: bool

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.difference:+.4f} ({self.lower:+.4f} to {self.upper:+.4f}) "
            f"on {_NAMES[self.time_window]}"
        )


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes champion, why, and the numbers behind it."""

    promote: bool
    reason: str
    comparisons: tuple[Comparison, ...] = ()


def gate_names(spec: ModelSpec) -> dict[str, str]:
    """What is promised of a model, by name."""
    return COMMON_GATES | dict(task_of(spec).gates)


def check_gates(trained: Trained) -> list[Gate]:
    """Check the trained model against its spec."""
    spec, rows = trained.spec, len(trained.data)
    dominance = trained.dominance
    return [
        Gate(
            "enough_labelled_rows",
            rows >= spec.min_rows,
            f"{rows} labelled rows, at least {spec.min_rows} needed",
        ),
        *task_of(spec).check(spec, trained.best.evaluations["test"], len(trained.split.calibration)),
        Gate(
            "no_single_feature_explains_it",
            dominance is None or not dominance.suspicious,
            "not measured for this kind of answer" if dominance is None else str(dominance),
            blocks=False,
        ),
    ]


def decide_promotion(
    trained: Trained, passed: list[Gate], champion: Bundle | None, *, is_synthetic: bool, options: Options
) -> Decision:
    """Promote unless a gate failed or a paired bootstrap finds a regression against the champion.

    Both models predict the same rows of the challenger's test window. A regression is a judged metric that is
    worse by more than the spec's margin, or whose 95 % interval lies wholly on the bad side, on the whole window or
    on its last 30 days.

    A model trained on made-up data never replaces one trained on real data, and always gives way to one.
    """
    failed = [gate for gate in passed if gate.blocks and not gate.passed]
    if failed:
        return Decision(False, "; ".join(f"{gate.name} failed: {gate.detail}" for gate in failed))
    if champion is None:
        return Decision(True, "the first version to pass its gates")
    if champion.is_synthetic and not is_synthetic:
        return Decision(True, "the champion was trained on synthetic data")
    if is_synthetic and not champion.is_synthetic:
        return Decision(False, "trained on synthetic data, and the champion on real data")
    compared = compare_with_champion(trained, champion, options)
    worse = [str(comparison) for comparison in compared if comparison.regression]
    if worse:
        return Decision(False, f"worse than the champion: {'; '.join(worse)}", compared)
    return Decision(True, f"no regression against the champion: {'; '.join(map(str, compared))}", compared)


def is_no_better(trained: Trained, taken_down: Bundle, options: Options) -> bool:
    """Whether a challenger surely gains nothing, on any judged metric of its test window, over a version.

    A person put another in the place of that version: without a gain the challenger would only undo the decision.
    """
    metrics = task_of(trained.spec).metrics
    for comparison in compare_with_champion(trained, taken_down, options):
        sign = 1 if metrics[comparison.metric].higher_is_better else -1
        if comparison.time_window == "test" and min(sign * comparison.lower, sign * comparison.upper) > 0:
            return False
    return True


def falls_behind(trained: Trained, evaluations: pl.DataFrame) -> str | None:
    """Where a challenger is surely worse on its test window than a version was on its own, in words; None if nowhere.

    On the same rows the two may be alike all the same, as when the rows have become worse. Where nobody serves, that
    is for a person to decide.

    Args:
        trained: the challenger.
        evaluations: of the version: time_window, metric, value, lower and upper.
    """
    metrics = task_of(trained.spec).metrics
    earlier = {row["metric"]: row for row in evaluations.filter(time_window="test").to_dicts()}
    for name in trained.spec.margins.keys() & earlier.keys():
        now, before = trained.best.evaluations["test"][name], earlier[name]
        sign = 1 if metrics[name].higher_is_better else -1
        # The windows are others, so the errors are independent: half widths of 95 % intervals add as their squares.
        half_width = math.hypot(now.upper - now.lower, before["upper"] - before["lower"]) / 2
        if sign * (now.value - before["value"]) < -half_width:
            return f"{name} fell from {before['value']:.3f} to {now.value:.3f}"
    return None


def answers_alike(challenger: Bundle, version: Bundle, rows: pl.DataFrame) -> bool:
    """Whether two versions are the same to the last digit of every answer to some rows."""
    if (challenger.features, challenger.is_synthetic) != (version.features, version.is_synthetic):
        return False
    return bool(np.array_equal(challenger.predict(rows), version.predict(rows), equal_nan=True))


def compare_with_champion(trained: Trained, champion: Bundle, options: Options) -> tuple[Comparison, ...]:
    """The judged metrics of challenger and champion on the same rows, by window.

    Features that are no more are unknown to the champion, as they are when it serves.
    """
    task = task_of(trained.spec)
    theirs = champion.predict(champion.with_unknown(trained.data.frame[trained.split.test]))
    known = trained.known["test"]
    comparisons = []
    for window, mask in evaluation_windows(trained.data, trained.split).items():
        y = known.y[mask]
        differences = paired_differences(
            task.statistics(y, trained.best.predictions[mask]),
            task.statistics(y, theirs[mask]),
            known.weights[mask],
            resamples=options.resamples,
            seed=options.seed,
        )
        for metric, margin in trained.spec.margins.items():
            difference, lower, upper = differences[metric]
            sign = 1 if task.metrics[metric].higher_is_better else -1
            surely_worse = max(sign * lower, sign * upper) < 0
            regression = surely_worse or sign * difference < -margin
            comparisons.append(Comparison(window, metric, difference, lower, upper, margin, regression))
    return tuple(comparisons)
