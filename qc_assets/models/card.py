"""The model card (Mitchell et al., 2019): what a version is, what it was made from, how good it is, and its limits."""

from datetime import datetime
from typing import Any

from qc_assets.models.metrics import METRICS
from qc_assets.models.promotion import Decision, Gate
from qc_assets.models.training import WINDOWS, Trained

_NAMES = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece": "calibration error (ECE)",
}


def metrics_table(trained: Trained) -> str:
    """Markdown table of the best candidate's metrics with intervals and baselines."""
    lines = ["| metric | window | value | 95 % interval | base rate alone |", "|---|---|---|---|---|"]
    for metric in METRICS:
        for window in WINDOWS:
            one = trained.best.evaluations[window][metric]
            lines.append(
                f"| {_NAMES[metric]} | {window.replace('_', ' ')} | {one.value:.4f} "
                f"| {one.lower:.4f} to {one.upper:.4f} | {one.baseline:.4f} |"
            )
    return "\n".join(lines)


def windows_table(trained: Trained) -> str:
    """Markdown table of the three windows."""
    lines = [f"| window | rows | opened from | to | {trained.spec.outcome} |", "|---|---|---|---|---|"]
    for name, rows in trained.split.windows.items():
        opened = trained.data.opened_at[rows]
        first, last = (
            moment.astype("datetime64[D]").astype(datetime).isoformat() for moment in (opened[0], opened[-1])
        )
        lines.append(f"| {name} | {len(rows):,} | {first} | {last} | {trained.data.y[rows].mean():.1%} |")
    return "\n".join(lines)


def model_card(trained: Trained, gates: list[Gate], decision: Decision, context: dict[str, Any]) -> str:
    """The card as Markdown.

    Args:
        trained: the training.
        gates: what was checked.
        decision: whether it became champion.
        context: where it came from; each entry becomes a line.
    """
    spec, best = trained.spec, trained.best
    synthetic = (
        "\n> **Synthetic.** Trained on the demo source: never use it for real decisions.\n"
        if context["synthetic"] == "true"
        else ""
    )
    importance = "\n".join(f"| {name} | {drop:+.4f} |" for name, drop in list(trained.importance.items())[:10])
    return f"""# {spec.name}: {spec.question}
{synthetic}
A {best.kind.replace("_", " ")}, selected by ROC AUC on time-ordered folds ({best.validation_auc:.3f}), with balanced
classes and {best.calibrator.method} calibration.

## Metrics

{metrics_table(trained)}

Every row of the test window was opened after all that the model was fitted and calibrated on.

## Data

{windows_table(trained)}

Windows are {spec.maturity.days} days apart, so that labels have matured; {trained.split.immature:,} labelled rows
fall in the gaps and are left out. The base rate is that of the calibration window, {trained.base_rate:.1%}.

## What matters most

| feature | drop of ROC AUC when shuffled |
|---|---|
{importance}

## Gates

{chr(10).join(f"- {'passed' if gate.passed else 'FAILED'}: {gate.name}, {gate.detail}" for gate in gates)}

{"Promoted" if decision.promote else "Not promoted"}: {decision.reason}.

## Limits

{chr(10).join(f"- {limit}" for limit in spec.limits)}
- Fairness between groups has to be judged from the bias report, not from these averages.

## Origin

{chr(10).join(f"- {name}: {value}" for name, value in context.items())}
"""
