"""The model card (Mitchell et al., 2019): what a version is, what it was made from, how good it is, and its limits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from qc_assets.learning.conformal import ROWS_OF_A_REPOSITORY, Intervals
from qc_assets.learning.metrics.bootstrap import MISSING, shown
from qc_assets.learning.promotion import Decision
from qc_assets.learning.task import task_of
from qc_assets.learning.task.combined import ProjectEstimator
from qc_assets.learning.task.terms import Gate
from qc_assets.learning.trained import Trained
from qc_assets.learning.training import WINDOWS
from qc_assets.pages import markdown_table, markdown_text

_FEATURES_SHOWN = 10
_PARTS_SHOWN = 40
_NAMED = 5


def metrics_table(trained: Trained) -> str:
    """Markdown table of the best candidate's metrics with intervals and baselines."""
    task = task_of(trained.spec)
    rows = []
    for name, metric in task.metrics.items():
        for window in WINDOWS:
            measured = trained.best.evaluations[window][name]
            interval = measured.reason or f"{measured.lower:.4f} to {measured.upper:.4f}"
            rows.append([metric.label, _words(window), shown(measured.value), interval, shown(measured.baseline)])
    return markdown_table(["metric", "window", "value", "95 % interval", task.trivial_name], rows)


def candidates_table(trained: Trained) -> str:
    """Markdown table of all candidates: what decided, and how they did on the test window."""
    task = task_of(trained.spec)
    metrics = list(trained.spec.margins)
    labels = [f"test {task.metrics[name].label}" for name in metrics]
    rows = []
    for candidate in trained.candidates:
        values = [shown(candidate.evaluations["test"][name].value) for name in metrics]
        mark = " (chosen)" if candidate is trained.best else ""
        rows.append([_words(candidate.kind) + mark, f"{candidate.validation:.4f}", *values])
    rows += [[_words(kind), reason, *[""] * len(metrics)] for kind, reason in trained.skipped.items()]
    rows += [
        [f"rival: {_words(rival.kind)}", MISSING, *(shown(rival.evaluations[name].value) for name in metrics)]
        for rival in trained.rivals
    ]
    return markdown_table(["candidate", f"validation {task.metrics[task.selection].label}", *labels], rows)


def heads_table(trained: Trained) -> str:
    """A section about each question that the answer is made of, judged by itself; empty if there is one question."""
    if not trained.heads:
        return ""
    rows = [
        [
            _words(name),
            measured["brier"].reason or f"{measured['brier']:.4f}",
            shown(measured["brier"].baseline),
            f"{measured['roc_auc']:.3f}",
        ]
        for name, measured in trained.heads.items()
    ]
    names = [_words(name) for name in trained.heads]
    return f"""
## Its questions one by one

The answer is P({names[0]}) × P({names[1]}) + (1 − P({names[0]})) × P({names[2]}); each is judged on the rows of the
test window that answer it. One head for all of it is among the rivals.

{markdown_table(["question", "Brier score", "of their own share", "ROC AUC"], rows)}
"""


def windows_table(trained: Trained) -> str:
    """Markdown table of the windows: the three, and what the judged and the served estimator are fitted to."""
    task = task_of(trained.spec)
    table = []
    for name, rows in trained.split.known_windows.items():
        opened = trained.data.opened_at[rows]
        first, last = (
            moment.astype("datetime64[D]").astype(datetime).isoformat() for moment in (opened[0], opened[-1])
        )
        labels = task.summary(trained.spec, trained.known[name], trained.context)
        table.append([name.replace("_", " "), f"{len(rows):,}", first, last, labels])
    return markdown_table(["window", "rows", "opened from", "to", "labels"], table)


def rows_that_were_fitted(trained: Trained) -> str:
    """How many rows of how many were fitted to, and what more would bring; empty if it was all of them."""
    curve = trained.curve
    if curve is None:
        return ""
    windows = [
        f"{rows:,} of {total:,} ({_words(name)})" for name, (rows, total) in curve.fitted.items() if rows < total
    ]
    points = markdown_table(
        ["rows", f"{curve.label} on the calibration window"],
        ([f"{rows:,}", f"{loss:.4f}"] for rows, loss in curve.points),
    )
    return f"""
**Fitted to a sample** (`QC_TRAIN_ROWS`): {", ".join(windows)} rows, of each repository evenly over its time. What
calibrates and judges saw every row. {curve.brought[0].upper()}{curve.brought[1:]}; one more brings less, as a rule.

{points}
"""


def calibration_table(trained: Trained) -> str:
    """Markdown table of what was promised (a probability, an interval) and observed by repository and month."""
    verdicts = {True: "SURELY OFF", False: "within chance", None: "too few rows to say"}
    rows = [
        [
            f"{each.part} {each.name}",
            f"{each.rows:,}",
            f"{each.predicted:.1%}",
            f"{each.observed:.1%}",
            f"{each.gap:+.3f}" if each.is_off is not None else MISSING,
            f"{each.ece:.3f}" if each.is_off is not None else MISSING,
            verdicts[each.is_off],
        ]
        for each in trained.reliability[:_PARTS_SHOWN]
    ]
    header = ["part", "rows", "predicted", "observed", "gap", "ECE", "verdict"]
    more = len(trained.reliability) - len(rows)
    return markdown_table(header, rows) + (f"\n\n{more} more are in `ml.reliability`." if more else "")


def how_sure(trained: Trained) -> str:
    """What the intervals of probabilities say of the test window, in fifths by prediction; of durations, where from."""
    if trained.bounds is None:
        return _by_own_residuals(trained)
    predicted, observed = trained.best.predictions, trained.known["test"].y
    lower, upper = trained.bounds(predicted)
    rows = [
        [f"{len(part):,}", *(f"{values[part].mean():.3f}" for values in (predicted, lower, upper, observed))]
        for part in np.array_split(np.argsort(predicted, kind="stable"), 5)
    ]
    return f"""
## How sure it is

An interval is what the probability would be with one more failure, or one more success, among the
{trained.bounds.rows:,} calibration rows at this score (Venn-Abers), widened to hold the probability. Its median width
on the test window is {np.median(upper - lower):.3f}. It is wide where calibration rows are few; it is no confidence
interval of the true probability, and knows nothing of changes since.

{markdown_table(["rows", "predicted", "lower", "upper", "observed"], rows)}
"""


def _by_own_residuals(trained: Trained) -> str:
    intervals = trained.best.calibrator
    if not isinstance(intervals, Intervals):
        return ""
    return f"""
## How sure it is

Intervals come from residuals of calibration rows: of the repository's own in {len(intervals.by_repository)} that have
at least {ROWS_OF_A_REPOSITORY} of them, of all rows elsewhere. The table above says how often they held.
"""


def works_for(trained: Trained) -> str:
    """For whom the answers are right on average, by repository, in three sentences."""
    parts = [part for part in trained.reliability if part.part == "repository"]
    if not parts:
        return "By repository nothing is measured: no probability is promised, or the rows name no repository."
    off = [part for part in parts if part.is_off]
    right = [part.name for part in parts if part.is_off is False]
    few = len(parts) - len(off) - len(right)
    wrong = [f"{part.name} ({part.predicted:.0%} said, {part.observed:.0%} came true)" for part in off]
    return (
        f"Its answers are right on average, as far as chance lets tell, in {len(right)} of {len(parts)} repositories"
        f"{_listed(right)}. They are surely off in {len(off) or 'none'}{_listed(wrong)}. "
        f"Of {few} it had too few rows to tell, and of repositories that are not among these nothing is known."
    )


def gaming(trained: Trained) -> str:
    """A sentence about the features that can be changed without a better item; empty if there are none."""
    own = {name: change for name, change in trained.spec.changes.items() if name in trained.spec.features}
    if not own:
        return ""
    ways = ", ".join(f"{name} (by {change.gaming})" for name, change in own.items())
    return f"\n- These can be gamed, and a reason that names one is no advice: {ways}."


def validation_against_test(trained: Trained) -> str:
    """A sentence where the folds and the test window say surely different things of the model; else empty."""
    task = task_of(trained.spec)
    label, test = task.metrics[task.selection].label, trained.best.evaluations["test"][task.selection]
    validation = trained.best.validation
    if not (test.is_surely_above(validation) or test.is_surely_below(validation)):
        return ""
    better = test.times(task.metrics[task.selection].sign).is_surely_above(
        task.metrics[task.selection].sign * validation
    )
    return (
        f"\n**{label} is {validation:.3f} on the folds and {test:.3f} on the test window.** The window is "
        f"{'easier' if better else 'harder'} than the time before it, by more than chance: another mix of "
        "repositories and authors, or another time. Expect neither number of the time to come.\n"
    )


def model_card(trained: Trained, gates: list[Gate], decision: Decision, context: dict[str, Any]) -> str:
    """The card as Markdown.

    Args:
        trained: the training.
        gates: what was checked.
        decision: whether it became champion.
        context: where it came from; each entry becomes a line.
    """
    spec, best, task = trained.spec, trained.best, task_of(trained.spec)
    measure = task.metrics[task.selection].label
    synthetic = (
        "\n> **Synthetic.** Trained on the demo source: never use it for real decisions.\n"
        if context["synthetic"] == "true"
        else ""
    )
    most_important = list(trained.importance.items())[:_FEATURES_SHOWN]
    lost = f"loss of {task.metrics[task.quality].label} when shuffled"
    importance = markdown_table(["feature", lost], ([name, f"{drop:+.4f}"] for name, drop in most_important))
    method = best.calibrator.method
    calibrated = "uncalibrated, as no calibration was better" if method == "none" else f"with {method} calibration"
    with_others = (
        f" Half of each answer, in log-odds, is what the {spec.name} of other projects knows, at the level of this one."
        if isinstance(best.estimator, ProjectEstimator)
        else ""
    )
    return f"""# {spec.name}: {spec.question}
{synthetic}
A {_words(best.kind)}, selected by {measure} on time-ordered folds ({best.validation:.3f}), {task.method},
{calibrated}.{with_others}

## Metrics

{metrics_table(trained)}

Every row of the test window was opened after all that the model was fitted and calibrated on.
{validation_against_test(trained)}{heads_table(trained)}
## Candidates

{candidates_table(trained)}

Rivals are plain models, fitted to the same rows and features; {
        "; ".join(rival.compared(spec) for rival in trained.rivals) or "there is none"
    }.

## Whom it works for

{works_for(trained)}

## Calibration by repository and month

{calibration_table(trained)}
{how_sure(trained)}
## Data

{windows_table(trained)}

Windows are {spec.maturity.days} days apart, so that labels have matured; {trained.split.immature:,} labelled rows
fall in the gaps and are left out. What a prediction that knows nothing says comes from the calibration window.
{rows_that_were_fitted(trained)}
## What matters most

{importance}

## Gates

{chr(10).join(f"- {_verdict(gate)}: {gate.name}, {gate.detail}" for gate in gates)}

{"Promoted" if decision.promote else "Not promoted"}: {decision.reason}.

## Limits

{chr(10).join(f"- {limit}" for limit in spec.limits)}{gaming(trained)}
- Fairness between groups has to be judged from the bias report, not from these averages.

## Origin

{chr(10).join(f"- {name}: {value}" for name, value in context.items())}
"""


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f": {', '.join([*map(markdown_text, names[:_NAMED]), *more])}" if names else ""


def _words(name: str) -> str:
    return name.replace("_", " ")


def _verdict(gate: Gate) -> str:
    if gate.passed is None:
        return "not judged"
    return "passed" if gate.passed else "FAILED" if gate.blocks else "WARNING"
