"""The model card (Mitchell et al., 2019): what a version is, what it was made from, how good it is, and its limits."""

from datetime import datetime
from typing import Any

from qc_assets.learning.promotion import Decision
from qc_assets.learning.task import task_of
from qc_assets.learning.task.interface import Gate
from qc_assets.learning.trained import Trained
from qc_assets.learning.training import WINDOWS
from qc_assets.pages import markdown_table

_FEATURES_SHOWN = 10


def metrics_table(trained: Trained) -> str:
    """Markdown table of the best candidate's metrics with intervals and baselines."""
    task = task_of(trained.spec)
    rows = []
    for name, metric in task.metrics.items():
        for window in WINDOWS:
            measured = trained.best.evaluations[window][name]
            interval = f"{measured.lower:.4f} to {measured.upper:.4f}"
            rows.append([metric.label, _words(window), f"{measured.value:.4f}", interval, f"{measured.baseline:.4f}"])
    return markdown_table(["metric", "window", "value", "95 % interval", task.trivial_name], rows)


def candidates_table(trained: Trained) -> str:
    """Markdown table of all candidates: what decided, and how they did on the test window."""
    task = task_of(trained.spec)
    metrics = list(trained.spec.margins)
    labels = [f"test {task.metrics[name].label}" for name in metrics]
    rows = []
    for candidate in trained.candidates:
        values = [f"{candidate.evaluations['test'][name].value:.4f}" for name in metrics]
        mark = " (chosen)" if candidate is trained.best else ""
        rows.append([_words(candidate.kind) + mark, f"{candidate.validation:.4f}", *values])
    rows += [[_words(kind), reason, *[""] * len(metrics)] for kind, reason in trained.skipped.items()]
    return markdown_table(["candidate", f"validation {task.metrics[task.selection].label}", *labels], rows)


def windows_table(trained: Trained) -> str:
    """Markdown table of the three windows."""
    task = task_of(trained.spec)
    table = []
    for name, rows in trained.split.windows.items():
        opened = trained.data.opened_at[rows]
        first, last = (
            moment.astype("datetime64[D]").astype(datetime).isoformat() for moment in (opened[0], opened[-1])
        )
        labels = task.summary(trained.spec, trained.known[name], trained.context)
        table.append([name, f"{len(rows):,}", first, last, labels])
    return markdown_table(["window", "rows", "opened from", "to", "labels"], table)


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
    importance = markdown_table(
        ["feature", f"loss of {measure} when shuffled"], ([name, f"{drop:+.4f}"] for name, drop in most_important)
    )
    return f"""# {spec.name}: {spec.question}
{synthetic}
A {_words(best.kind)}, selected by {measure} on time-ordered folds ({best.validation:.3f}), {task.method},
with {best.calibrator.method} calibration.

## Metrics

{metrics_table(trained)}

Every row of the test window was opened after all that the model was fitted and calibrated on.

## Candidates

{candidates_table(trained)}

## Data

{windows_table(trained)}

Windows are {spec.maturity.days} days apart, so that labels have matured; {trained.split.immature:,} labelled rows
fall in the gaps and are left out. What a prediction that knows nothing says comes from the calibration window.

## What matters most

{importance}

## Gates

{chr(10).join(f"- {_verdict(gate)}: {gate.name}, {gate.detail}" for gate in gates)}

{"Promoted" if decision.promote else "Not promoted"}: {decision.reason}.

## Limits

{chr(10).join(f"- {limit}" for limit in spec.limits)}
- Fairness between groups has to be judged from the bias report, not from these averages.

## Origin

{chr(10).join(f"- {name}: {value}" for name, value in context.items())}
"""


def _words(name: str) -> str:
    return name.replace("_", " ")


def _verdict(gate: Gate) -> str:
    return "passed" if gate.passed else "FAILED" if gate.blocks else "WARNING"
