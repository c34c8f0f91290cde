"""The model card (Mitchell et al., 2019): what a version is, what it was made from, how good it is, and its limits."""

from datetime import datetime
from typing import Any

from qc_assets.learning.promotion import Decision
from qc_assets.learning.task import task_of
from qc_assets.learning.task.interface import Gate
from qc_assets.learning.trained import Trained
from qc_assets.learning.training import WINDOWS


def metrics_table(trained: Trained) -> str:
    """Markdown table of the best candidate's metrics with intervals and baselines."""
    task = task_of(trained.spec)
    lines = [f"| metric | window | value | 95 % interval | {task.trivial_name} |", "|---|---|---|---|---|"]
    for metric, about in task.metrics.items():
        for window in WINDOWS:
            one = trained.best.evaluations[window][metric]
            lines.append(
                f"| {about.label} | {window.replace('_', ' ')} | {one.value:.4f} "
                f"| {one.lower:.4f} to {one.upper:.4f} | {one.baseline:.4f} |"
            )
    return "\n".join(lines)


def candidates_table(trained: Trained) -> str:
    """Markdown table of all candidates: what decided, and how they did on the test window."""
    task = task_of(trained.spec)
    metrics = list(trained.spec.margins)
    names = " | ".join(f"test {task.metrics[name].label}" for name in metrics)
    lines = [
        f"| candidate | validation {task.metrics[task.selection].label} | {names} |",
        "|---|---|" + "---|" * len(metrics),
    ]
    for one in trained.candidates:
        values = " | ".join(f"{one.evaluations['test'][name].value:.4f}" for name in metrics)
        mark = " (chosen)" if one is trained.best else ""
        lines.append(f"| {one.kind.replace('_', ' ')}{mark} | {one.validation:.4f} | {values} |")
    lines += [f"| {kind.replace('_', ' ')} | {why} |{' |' * len(metrics)}" for kind, why in trained.skipped.items()]
    return "\n".join(lines)


def windows_table(trained: Trained) -> str:
    """Markdown table of the three windows."""
    task = task_of(trained.spec)
    lines = ["| window | rows | opened from | to | labels |", "|---|---|---|---|---|"]
    for name, rows in trained.split.windows.items():
        opened = trained.data.opened_at[rows]
        first, last = (
            moment.astype("datetime64[D]").astype(datetime).isoformat() for moment in (opened[0], opened[-1])
        )
        labels = task.summary(trained.spec, trained.known[name], trained.context)
        lines.append(f"| {name} | {len(rows):,} | {first} | {last} | {labels} |")
    return "\n".join(lines)


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
    importance = "\n".join(f"| {name} | {drop:+.4f} |" for name, drop in list(trained.importance.items())[:10])
    return f"""# {spec.name}: {spec.question}
{synthetic}
A {best.kind.replace("_", " ")}, selected by {measure} on time-ordered folds ({best.validation:.3f}), {task.method},
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

| feature | loss of {measure} when shuffled |
|---|---|
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


def _verdict(gate: Gate) -> str:
    return "passed" if gate.passed else "FAILED" if gate.blocks else "WARNING"
