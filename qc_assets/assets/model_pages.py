"""What Dagster shows of a training: a sentence first, then plots, then numbers."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from qc_assets.assets import tables
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.pages import markdown_text

if TYPE_CHECKING:
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.learning.trained import Trained
    from qc_assets.registry.lifecycle import TrainingOutcome

# Steps of a training: what their pages say, and where it is kept.
PARTS = {
    "training_set": ("Which rows were fitted to, calibrated and tested on.", "duckdb"),
    "candidates": ("The estimators that competed, and what chose between them.", "mlflow"),
    "evaluation": ("Metrics of the chosen one on its test window, with intervals, baselines and plots.", "duckdb"),
    "promotion": ("Whether it became champion, and the numbers that decided.", "duckdb"),
}
IN_SHORT = "in short"
# What says most at a glance, by kind of answer: the first of these that there is.
_FIRST_PICTURES = ("calibration", "residuals")


def model_page(
    spec: ModelSpec, outcome: "TrainingOutcome", registry: "RegistryResource", dagster_url: str
) -> dict[str, Any]:
    """Metadata of a model: what it is, how good, against what, promoted or not and why, and what to look at next."""
    page: dict[str, Any] = {
        IN_SHORT: dg.MetadataValue.md(in_short(spec, outcome, dagster_url)),
        **_first_picture(outcome),
        "decision": outcome.decision.reason,
        "promoted": outcome.decision.promote,
    }
    if outcome.trained is None or outcome.logged is None:
        return page
    return page | {
        "version": outcome.logged.version,
        "candidate": outcome.trained.best.kind,
        "MLflow run": tables.link(
            outcome.logged.run_id[:8], registry.run_url(outcome.logged.experiment_id, outcome.logged.run_id)
        ),
        **_test_metrics(outcome.trained),
        "model card": dg.MetadataValue.md(outcome.card),
    }


def step_pages(spec: ModelSpec, outcome: "TrainingOutcome", snapshot: str) -> dict[str, dict[str, Any]]:
    """Metadata of the steps of a training; none where nothing was trained."""
    trained = outcome.trained
    if trained is None:
        return {}
    from qc_assets.registry import card

    pictures = {name: tables.png_metadata(image) for name, image in outcome.figures.items()}
    compared = [
        {name: str(value) for name, value in vars(comparison).items()} for comparison in outcome.decision.comparisons
    ]
    seen = trained.split.windows | {"gap": trained.split.gap}
    windows = {f"{name} rows": len(rows) for name, rows in seen.items()}
    return {
        "training_set": {
            "windows": dg.MetadataValue.md(card.windows_table(trained)),
            "table": "ml.training_rows",
            "snapshot": snapshot,
            **windows,
        },
        "candidates": {
            "chosen": trained.best.kind,
            "performance": pictures.pop("performance"),
            "candidates": dg.MetadataValue.md(card.candidates_table(trained)),
        },
        "evaluation": {
            IN_SHORT: _how_good(spec, trained),
            **{name.replace("_", " "): picture for name, picture in pictures.items()},
            "metrics": dg.MetadataValue.md(card.metrics_table(trained)),
            **_test_metrics(trained),
            "table": "ml.evaluations",
        },
        "promotion": {
            "decision": outcome.decision.reason,
            "promoted": outcome.decision.promote,
            **({"against the champion": tables.preview(compared)} if compared else {}),
            "table": "ml.promotions",
        },
    }


def in_short(spec: ModelSpec, outcome: "TrainingOutcome", dagster_url: str) -> str:
    """The model in a few sentences of Markdown."""

    def link(name: str) -> str:
        key = tables.key(name).to_user_string()
        return f"[{key}]({dagster_url.rstrip('/')}/assets/{key})"

    # The numbers behind it stand below.
    reason = markdown_text(outcome.decision.reason.partition(": ")[0])
    if outcome.trained is None:
        return (
            f"**Nothing was trained.** {spec.question} {reason}. A champion of before, if there is one, "
            f"stays. Look next at {link(spec.table)}: which rows are left out, and why."
        )
    version = f"{spec.name} version {outcome.logged.version}" if outcome.logged else f"This {spec.name}"
    verdict = "is champion" if outcome.decision.promote else "is not champion"
    broken = [gate.name for gate in outcome.gates if gate.passed is False]
    if broken:
        look = f"the checks that are not green: {', '.join(broken)}"
    elif outcome.decision.promote:
        reports = [link(f"models.{spec.name}.bias_by_{attribute}") for attribute in spec.sensitive[:1]]
        look = " and ".join(
            [
                f"{link(f'models.{spec.name}.evaluation')} (is it right?)",
                *(f"{report} (whom does it treat differently?)" for report in reports),
            ]
        )
    else:
        look = f"{link(f'models.{spec.name}.promotion')}: the numbers against the champion"
    return " ".join(
        [
            f"**{version} {verdict}**: {reason}.",
            f"{spec.question} {task_of(spec).answers_with}.",
            _how_good(spec, outcome.trained),
            f"Look next at {look}.",
        ]
    )


def _how_good(spec: ModelSpec, trained: "Trained") -> str:
    """The metrics that decide: value, interval, and what a prediction that knows nothing has."""
    task = task_of(spec)
    measured = {task.metrics[name].label: trained.best.evaluations["test"][name] for name in spec.margins}
    told = [
        f"its {label} is {metric.value:.3g}"
        + ("" if metric.lower is None else f" ({metric.lower:.3g} to {metric.upper:.3g})")
        + ("" if metric.baseline is None else f", against {metric.baseline:.3g} of the {task.trivial_name}")
        for label, metric in measured.items()
        if metric.value is not None
    ]
    untold = [
        f" Its {label} cannot be told: {markdown_text(metric.reason or '')}."
        for label, metric in measured.items()
        if metric.value is None
    ]
    rows = len(trained.split.windows["test"])
    return (f"On {rows} test rows {', and '.join(told)}." if told else "") + "".join(untold)


def _first_picture(outcome: "TrainingOutcome") -> dict[str, dg.MarkdownMetadataValue]:
    """One plot that is seen without a click."""
    named = [name for name in (*_FIRST_PICTURES, *outcome.figures) if name in outcome.figures]
    return {name.replace("_", " "): tables.png_metadata(outcome.figures[name]) for name in named[:1]}


def _test_metrics(trained: "Trained") -> dict[str, dg.FloatMetadataValue]:
    """Of three digits: MLflow and ml.evaluations have all."""
    metrics = trained.best.evaluations["test"]
    return {
        f"test {name}": dg.MetadataValue.float(float(f"{m.value:.3g}"))
        for name, m in metrics.items()
        if m.value is not None
    }
