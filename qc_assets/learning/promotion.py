"""Gates that a model must pass, and champion against challenger."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from qc_assets.learning.bundle import Bundle
from qc_assets.learning.corrections import GATES as FEEDBACK_GATES
from qc_assets.learning.corrections import feedback_gates, untouched
from qc_assets.learning.metrics.bootstrap import MIN_ROWS, Estimate, paired_differences
from qc_assets.learning.rivals import not_surely_worse
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Gate
from qc_assets.learning.trained import Options, Trained
from qc_assets.learning.training import evaluated_on, evaluation_windows

COMMON_GATES = {
    "enough_labelled_rows": "There are enough labelled rows, over enough time, to train and test on.",
    "calibration_keeps_the_order": "On the test window calibrated answers are ranked as the scores were.",
    "not_surely_worse_than_plain_rivals": "No plain model on the same rows and features surely beats it on the test "
    "window: in its loss, or by more than the margin in another judged metric. Of the same model with one head in "
    "place of two only what is surely beyond the margin counts.",
    "missingness_does_not_tell": "Which features are unknown, by our watching, says nothing of the answer by itself.",
    "no_single_feature_explains_it": "No feature alone explains almost all of what the model knows, as a leak would. "
    "Only warns.",
    "right_in_every_repository_and_month": "In no repository and no month of the test window are the answers, or "
    "the share that intervals hold, surely off. Only warns.",
    **FEEDBACK_GATES,
}
_MONOTONE = "monotone"
_OF_SIGNS = {
    _MONOTONE: "Of a hundred answers at most one moves the wrong way, by a hundredth or more, when a feature takes a "
    "step with which the answer may only rise, or only fall. Only warns.",
}
_LOSING = "no_repository_worse_than_its_base_rate"
_OF_BASE_RATES = {
    _LOSING: "In no repository with 50 rows or more of the test window is the loss "
    "surely above that of the share that was known of this repository before. Only warns.",
}
_MOST_NAMED = 5
_NAMES = {"test": "the test window", "last_30_days": "its last 30 days"}


@dataclass(frozen=True)
class Comparison:
    """One metric of challenger and champion on the same rows.

    Attributes:
        difference, lower, upper: challenger minus champion, with its 95 % interval; None where they do not exist.
        margin: how much worse it may be at most.
        reason: why a number is missing; empty if none is.
    """

    time_window: str
    metric: str
    difference: float | None
    lower: float | None
    upper: float | None
    margin: float
    regression: bool
    reason: str = ""

    @property
    def estimate(self) -> Estimate:
        """The difference."""
        return Estimate(self.difference, self.lower, self.upper, reason=self.reason)

    def __str__(self) -> str:
        return f"{self.metric} {self.estimate:+.4f} on {_NAMES[self.time_window]}"


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes champion, why, and the numbers behind it."""

    promote: bool
    reason: str
    comparisons: tuple[Comparison, ...] = ()


def gate_names(spec: ModelSpec) -> dict[str, str]:
    """What is promised of a model, by name."""
    task = task_of(spec)
    own = (_OF_BASE_RATES if task.is_binary else {}) | (_OF_SIGNS if spec.monotone else {})
    return COMMON_GATES | own | dict(task.gates)


def check_gates(trained: Trained, options: Options = Options()) -> list[Gate]:
    """Check the trained model against its spec."""
    spec, rows, best = trained.spec, len(trained.data), trained.best
    task, dominance, missingness = task_of(spec), trained.dominance, trained.missingness
    tested = int(np.count_nonzero(trained.known["test"].weights))
    moved = task.out_of_order(best.scores, best.predictions, trained.context)
    beats_rivals, against_rivals = not_surely_worse(spec, trained.rivals)
    tells = missingness.tells if missingness else None
    return [
        Gate(
            "enough_labelled_rows",
            rows >= spec.min_rows and tested >= MIN_ROWS,
            f"{rows} labelled rows, at least {spec.min_rows} needed; {tested} of them to test on, at least {MIN_ROWS}",
        ),
        *task.check(spec, best.evaluations["test"], len(trained.split.calibration)),
        Gate(
            "calibration_keeps_the_order",
            moved == 0,
            f"{moved} of {len(best.scores)} rows change places by {best.calibrator.method} calibration",
        ),
        Gate("not_surely_worse_than_plain_rivals", beats_rivals, against_rivals),
        Gate("missingness_does_not_tell", None if tells is None else not tells, str(missingness or "not measured")),
        Gate(
            "no_single_feature_explains_it",
            None if dominance is None or dominance.suspicious is None else not dominance.suspicious,
            "not measured for this kind of answer" if dominance is None else str(dominance),
            blocks=False,
        ),
        _right_everywhere(trained),
        *_better_than_base_rates(trained),
        *_keeps_to_signs(trained),
        *feedback_gates(trained, options.feedback_share, lambda mask: evaluated_on(trained, mask, options)),
    ]


def _right_everywhere(trained: Trained) -> Gate:
    name = "right_in_every_repository_and_month"
    judged = [part for part in trained.reliability if part.is_off is not None]
    if not judged:
        return Gate(name, None, "no repository and no month has enough rows", blocks=False)
    off = [part for part in judged if part.is_off]
    named = "; ".join(map(str, off[:_MOST_NAMED])) + (f"; and {len(off) - _MOST_NAMED} more" * (len(off) > _MOST_NAMED))
    detail = f"surely off in {len(off)} of {len(judged)} repositories and months: {named}" if off else ""
    return Gate(name, not off, detail or f"off in none of {len(judged)} repositories and months", blocks=False)


def _better_than_base_rates(trained: Trained) -> list[Gate]:
    losing = trained.losing
    if losing is None:
        return []
    named = "; ".join(losing.names[:_MOST_NAMED])
    detail = f"surely worse in {len(losing.names)} of {losing.judged} repositories: {named}" if losing.names else ""
    passed = not losing.names if losing.judged else None
    return [Gate(_LOSING, passed, detail or f"surely worse in none of {losing.judged} repositories", blocks=False)]


def _keeps_to_signs(trained: Trained) -> list[Gate]:
    monotony = trained.monotony
    return [] if monotony is None else [Gate(_MONOTONE, monotony.holds, str(monotony), blocks=False)]


def decide_promotion(
    trained: Trained,
    passed: list[Gate],
    champion: Bundle | None,
    *,
    is_synthetic: bool,
    options: Options,
    is_vacant: bool = False,
) -> Decision:
    """Promote what passes its gates and is surely better than the champion, or as good where the champion has aged.

    Both models predict the same rows of the challenger's test window. A regression is a judged metric that is
    worse by more than the spec's margin, or whose 95 % interval lies wholly on the bad side, on the whole window or
    on its last 30 days. A gain is one whose interval lies wholly on the good side of the whole window.

    A model trained on made-up data never replaces one trained on real data, and always gives way to one.

    Args:
        trained: the challenger.
        passed: its gates.
        champion: what it is compared with; None if there never was one.
        is_synthetic: whether its rows are made up.
        options: of the bootstrap.
        is_vacant: nobody serves, as the champion was removed: then as good is good enough.
    """
    failed = [gate for gate in passed if gate.forbids]
    if failed:
        return Decision(False, "; ".join(f"{gate.name} failed: {gate.detail}" for gate in failed))
    unknown = [name for name in trained.spec.margins if trained.best.evaluations["test"][name].value is None]
    if unknown:
        return Decision(False, f"nobody becomes champion unseen: {', '.join(unknown)} could not be judged")
    if champion is None:
        return Decision(True, "the first version to pass its gates")
    if champion.is_synthetic and not is_synthetic:
        return Decision(True, "the champion was trained on synthetic data")
    if is_synthetic and not champion.is_synthetic:
        return Decision(False, "trained on synthetic data, and the champion on real data")
    compared = compare_with_champion(trained, champion, options)
    numbers = "; ".join(map(str, compared))
    worse = [str(comparison) for comparison in compared if comparison.regression]
    if worse:
        return Decision(False, f"worse than the champion: {'; '.join(worse)}", compared)
    gains = [str(comparison) for comparison in _gains(trained.spec, compared)]
    clean = untouched(trained)
    if not clean.all():
        without = compare_with_champion(trained, champion, options, only=clean)
        worse = [str(comparison) for comparison in without if comparison.regression]
        if worse or (gains and not _gains(trained.spec, without)):
            why = f"worse without corrected labels: {'; '.join(worse)}" if worse else "better on corrected labels only"
            return Decision(False, f"{why}: a person may promote it, with `qc rollback {trained.spec.name}`", compared)
    if gains:
        return Decision(True, f"surely better than the champion: {'; '.join(gains)}", compared)
    if is_vacant:
        return Decision(True, f"no regression against the champion: {numbers}", compared)
    older = _age(trained, champion)
    age = "of unknown age" if older is None else f"{older.days} days older" if older.days > 0 else "as new"
    if older is None or older >= trained.spec.refresh_after:
        return Decision(True, f"no regression against the champion, whose data are {age}: {numbers}", compared)
    return Decision(
        False,
        f"no sure gain over the champion, whose data are {age} ({trained.spec.refresh_after.days} days older "
        f"count as aged): {numbers}",
        compared,
    )


def _gains(spec: ModelSpec, compared: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons of the whole test window in which the challenger is surely better."""
    metrics = task_of(spec).metrics
    return [
        each
        for each in compared
        if each.time_window == "test" and each.estimate.times(metrics[each.metric].sign).is_surely_above(0)
    ]


def _age(trained: Trained, champion: Bundle) -> timedelta | None:
    """How much older the data are that a champion was fitted and calibrated on; None if it does not say."""
    until = champion.fitted.get("as_of", {}).get("calibration")
    if until is None:
        return None
    seconds = (trained.split.as_of["calibration"] - np.datetime64(until, "us")) / np.timedelta64(1, "s")
    return timedelta(seconds=float(seconds))


def is_no_better(trained: Trained, taken_down: Bundle, options: Options) -> bool:
    """Whether a challenger surely gains nothing, on any judged metric of its test window, over a version.

    A person put another in the place of that version: without a gain the challenger would only undo the decision.
    """
    return not _gains(trained.spec, compare_with_champion(trained, taken_down, options))


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
        # What does not exist is NaN here, and no NaN is below anything.
        value, lower, upper = np.array([now.value, now.lower, now.upper], dtype=float)
        old_value, old_lower, old_upper = np.array([before["value"], before["lower"], before["upper"]], dtype=float)
        # The windows are others, so the errors are independent: half widths of 95 % intervals add as their squares.
        half_width = math.hypot(upper - lower, old_upper - old_lower) / 2
        if metrics[name].sign * (value - old_value) < -half_width:
            return f"{name} fell from {old_value:.3f} to {value:.3f}"
    return None


def answers_alike(challenger: Bundle, version: Bundle, rows: pl.DataFrame) -> bool:
    """Whether two versions are the same to the last digit of every answer to some rows, and of its interval."""
    about = [(each.features, each.is_synthetic, each.bounds) for each in (challenger, version)]
    if about[0] != about[1]:
        return False
    return bool(np.array_equal(challenger.predict(rows), version.predict(rows), equal_nan=True))


def compare_with_champion(
    trained: Trained, champion: Bundle, options: Options, *, only: np.ndarray | None = None
) -> tuple[Comparison, ...]:
    """The judged metrics of challenger and champion on the same rows, by window; `only` on some, if that is given.

    Features that are no more are unknown to the champion, as they are when it serves.
    """
    task = task_of(trained.spec)
    champion = champion.as_judged
    theirs = champion.predict(champion.with_unknown(trained.data.frame[trained.split.test]))
    comparisons = []
    for window, whole in evaluation_windows(trained.data, trained.split).items():
        mask = whole if only is None else whole & only
        known = trained.known["test"][mask]
        differences = paired_differences(
            task.statistics(known.y, trained.best.predictions[mask]),
            task.statistics(known.y, theirs[mask]),
            known.weights,
            task.needs,
            resamples=options.resamples,
            seed=options.seed,
            units=known.units,
        )
        for metric, margin in trained.spec.margins.items():
            difference = differences[metric]
            gain = difference.times(task.metrics[metric].sign)
            is_regression = gain.is_surely_below(0) or (gain.value is not None and gain.value < -margin)
            numbers = difference.value, difference.lower, difference.upper
            comparisons.append(Comparison(window, metric, *numbers, margin, is_regression, difference.reason))
    return tuple(comparisons)
