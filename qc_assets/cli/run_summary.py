"""What a run of the main job or of a training came to, as the command line tells it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from qc_assets.cli import console
from qc_assets.cli.runs import JobResult
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.models.specs import SPECS
from qc_assets.store.warehouse import Warehouse

SYNTHETIC = "[yellow]Synthetic data: these numbers say nothing about any real project.[/yellow]"
_COSTS = ("API requests", "API points", "seconds waiting for limits")
_NUMBERS = ("value", "lower", "upper", "baseline")
Summary = tuple[dict[str, Any], list[Table | Text | str]]


def after_run(
    warehouse: Warehouse, result: JobResult, models: Sequence[str] = (), *, with_details: bool = False
) -> Summary:
    """A line for each model of `models`, or of all, with its verdict against its baseline, and the checks that failed.

    Args:
        warehouse: where the run wrote.
        result: of the run.
        models: names; all if none is given.
        with_details: also the funnel, all metrics with intervals, and how long each step took.
    """
    from qc_assets.assets.model_versions import NOTHING_TRAINED

    parameters = {"models": list(models)}
    with warehouse.at_one_time() as now:
        funnel = now.sql_file("reports/overview", section="funnel").to_dicts()
        metrics = now.sql_file("reports/overview", parameters, section="latest_metrics").to_dicts()
        versions = now.sql_file("reports/overview", parameters, section="newest_versions").to_dicts()
    checks: list[dict[str, Any]] = [{"check": name, "passed": passed} for name, (passed, _) in result.checks.items()]
    # Why nothing was trained another check of the model says.
    failed = {
        name: metadata.get("detail") or metadata_in_words(metadata)
        for name, (passed, metadata) in result.checks.items()
        if not passed and metadata.get("detail") != NOTHING_TRAINED
    }
    loaded = [str(values.get("source")) for values in result.metadata.values()]
    synthetic = any(version["is_synthetic"] for version in versions) or any("(synthetic)" in name for name in loaded)
    document = {
        "run_id": result.run_id,
        "synthetic": synthetic,
        "funnel": funnel,
        "metrics": metrics,
        "versions": versions,
        "checks": checks,
        "seconds": result.seconds,
    }
    on_test_window = {
        spec.name: [row for row in metrics if row["model"] == spec.name and row["time_window"] == "test"]
        for spec in SPECS
    }
    newest = {version["model"]: version for version in versions}
    shown = [spec for spec in SPECS if not models or spec.name in models]
    details = [
        console.table("Pull requests on the way to p0", funnel),
        *(_all_metrics(spec, rows) for spec in shown if (rows := on_test_window[spec.name])),
        console.table("Time of each step", [{"step": name, "seconds": s} for name, s in result.seconds.items()]),
    ]
    return document, [
        *(details if with_details else []),
        _verdicts(shown, newest, on_test_window),
        f"{sum(check['passed'] for check in checks)} of {len(checks)} checks passed",
        *(console.marked("[red]check failed[/red] {}: {}", *check) for check in failed.items()),
        *([console.marked(SYNTHETIC)] if synthetic else []),
    ]


def after_backfill(result: JobResult) -> Summary:
    """The rows of each table, what the load cost, and the checks that failed."""
    from qc_assets.assets.ingestion import ROWS_OF_ALL_DAYS

    counts = {name.replace("_", ".", 1): values[ROWS_OF_ALL_DAYS] for name, values in result.metadata.items()}
    cost = result.metadata["raw_pull_requests"]
    failed = {name: measured for name, (passed, measured) in result.checks.items() if not passed}
    spent = {name: cost[name] for name in (*_COSTS, "repositories read") if name in cost}
    letters = cost["dead letters"]
    parts: list[Table | Text | str] = [
        console.table("In the warehouse now", [{"table": name, "rows": count} for name, count in counts.items()])
    ]
    if spent:
        parts.append(", ".join(f"{name}: {value}" for name, value in spent.items()))
    if letters:
        parts.append(f"{letters} things could not be taken as they are: SELECT * FROM ops.dead_letters says why")
    parts += [
        console.marked("[yellow]{}[/yellow]: {}", name, metadata_in_words(measured))
        for name, measured in failed.items()
    ]
    return {"rows": counts, "failed_checks": failed, "spent": spent, "dead_letters": letters}, parts


def metadata_in_words(metadata: Mapping[str, Any]) -> str:
    """What a check found, as people read it."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in metadata.items()
    )


def _verdicts(
    specs: Sequence[ModelSpec], newest: Mapping[str, Any], on_test_window: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Table:
    rows = []
    for spec in specs:
        version = newest.get(spec.name)
        standing = "none"
        if version:  # the numbers behind the reason are in ml.promotions
            reason = version["reason"].partition(": ")[0]
            standing = f"version {version['version']}, {version['status']}: {reason}"
        rows.append(
            {
                "model": spec.name,
                "newest version": standing,
                "on its test window, against its baseline": against_baseline(spec, on_test_window[spec.name]),
            }
        )
    return console.table("The models, the most important first", rows)


def against_baseline(spec: ModelSpec, evaluations: Sequence[Mapping[str, Any]]) -> str:
    """A version's loss beside that of an answer that knows nothing, and every metric in which it is the worse of both.

    Args:
        spec: of the model.
        evaluations: rows of ``ml.evaluations`` of the version's test window.
    """
    task = task_of(spec)
    by_metric = {row["metric"]: row for row in evaluations}
    loss = by_metric.get(task.loss)
    if loss is None:
        return "nothing was trained"
    if loss["value"] is None or loss["baseline"] is None:
        return f"cannot be judged: {loss['reason']}"
    is_better, is_sure = task.metrics[task.loss].beside(*(loss[name] for name in _NUMBERS))
    word = ("better" if is_better else "worse") if is_sure else f"{'better' if is_better else 'worse'}, not surely"
    interval = "" if loss["upper"] is None else f" ({loss['lower']:.3g} to {loss['upper']:.3g})"
    label = task.metrics[task.loss].label
    sentence = f"{label} {loss['value']:.3g}{interval}, baseline {loss['baseline']:.3g}: {word}"
    worse = [
        f"{metric.label} {row['value']:.3g} (baseline {row['baseline']:.3g})"
        for name, metric in task.metrics.items()
        if name != task.loss
        and (row := by_metric.get(name)) is not None
        and metric.beside(*(row[number] for number in _NUMBERS))[0] is False
    ]
    return f"{sentence}; worse than it in {', '.join(worse)}" if worse else sentence


def _all_metrics(spec: ModelSpec, metrics: Sequence[dict[str, Any]]) -> Table | str:
    """The metrics of a model's test window, or the one reason why there are none."""
    reasons = {row["reason"] for row in metrics}
    if len(reasons) == 1 and all(row["value"] is None for row in metrics):
        return f"{spec.name} cannot be judged on its test window: {reasons.pop()}"
    columns = ["metric", "value", "lower", "upper", "baseline", *(["reason"] if any(reasons) else [])]
    return console.table(f"{spec.name} on its test window (95 % bootstrap intervals)", list(metrics), columns)
