"""Summaries for the command line: what a run did, and where everything stands."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from qc_assets.cli import console
from qc_assets.cli.runs import JobResult, open_instance
from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

_EDGES = ("covered_from", "covered_until")
Summary = tuple[dict[str, Any], list[Table | Text | str]]


def after_run(warehouse: Warehouse, result: JobResult, models: Sequence[str] = ()) -> Summary:
    """Funnel, metrics with intervals, checks, and how long each step took; of `models`, or of all."""
    from qc_assets.assets.model_versions import NOTHING_TRAINED

    funnel = warehouse.sql_file("reports/overview", section="funnel").to_dicts()
    parameters = {"models": list(models)}
    metrics = warehouse.sql_file("reports/overview", parameters, section="latest_metrics").to_dicts()
    versions = warehouse.sql_file("reports/overview", parameters, section="newest_versions").to_dicts()
    steps = [{"step": name, "seconds": round(seconds, 2)} for name, seconds in result.seconds.items()]
    checks = [{"check": name, "passed": passed} for name, (passed, _) in result.checks.items()]
    failed = [
        console.marked("[red]check failed[/red] {}: {}", name, metadata.get("detail", metadata))
        for name, (passed, metadata) in result.checks.items()
        # Why nothing was trained another check of the model says.
        if not passed and metadata.get("detail") != NOTHING_TRAINED
    ]
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
    verdict = [f"{v['model']} version {v['version']} is {v['status']}: {v['reason']}" for v in versions]
    warning = "[yellow]Synthetic data: these numbers say nothing about any real project.[/yellow]"
    note = [console.marked(warning)] if synthetic else []
    return document, [
        console.table("Pull requests on the way to p0", funnel),
        *(
            _on_test_window(model, [row for row in metrics if row["model"] == model and row["time_window"] == "test"])
            for model in dict.fromkeys(row["model"] for row in metrics)
        ),
        console.table("Time of each step", steps),
        *verdict,
        *failed,
        f"{sum(passed for passed, _ in result.checks.values())} of {len(checks)} checks passed",
        *note,
    ]


def _on_test_window(model: str, metrics: Sequence[dict[str, Any]]) -> Table | str:
    """The metrics of a model's test window, or the one reason why there are none."""
    reasons = {row["reason"] for row in metrics}
    if len(reasons) == 1 and all(row["value"] is None for row in metrics):
        return f"{model} cannot be judged on its test window: {reasons.pop()}"
    columns = ["metric", "value", "lower", "upper", "baseline", *(["reason"] if any(reasons) else [])]
    return console.table(f"{model} on its test window (95 % bootstrap intervals)", list(metrics), columns)


def _champions_by_mlflow(settings: Settings, warehouse: Warehouse) -> list[str]:
    """Bring the warehouse's tables after the registry; returns what somebody should know of the champions."""
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.registry.mirror import sync_mirror, what_differs

    if not settings.mlflow_tracking_uri and not settings.mlflow_database.is_file():
        return []
    sentences = []
    try:
        registry = RegistryResource.from_settings(settings).open()
        for spec in SPECS:
            try:
                sync_mirror(warehouse, registry, spec.name)
            except WarehouseBusyError as error:  # it is written to: what differs is said all the same
                sentences.append(str(error))
            sentences.append(what_differs(warehouse, registry, spec.name) or "")
    except QcError as error:
        sentences.append(str(error))
    return list(dict.fromkeys(filter(None, sentences)))


def status(settings: Settings, warehouse: Warehouse) -> Summary:
    """Coverage by source, the last loads, the last Dagster runs, and the champions."""
    champions = _champions_by_mlflow(settings, warehouse)
    try:
        sections = {
            section: warehouse.sql_file("reports/overview", section=section).to_dicts()
            for section in ("coverage", "loads", "versions")
        }
    except WarehouseMissingError as error:
        sections = {"coverage": [], "loads": [], "versions": []}
        missing = [console.marked("[yellow]{}[/yellow]", error)]
    else:
        missing = []
    with open_instance(settings) as instance:
        runs = [
            {
                "run": run.dagster_run.run_id[:8],
                "job": run.dagster_run.job_name,
                "status": run.dagster_run.status.value,
                "started": run.create_timestamp.replace(tzinfo=None, microsecond=0),
            }
            for run in instance.get_run_records(limit=5)
        ]
    return sections | {"runs": runs, "champions": champions}, [
        *missing,
        *(console.marked("[yellow]{}[/yellow]", sentence) for sentence in champions),
        console.table(
            "Coverage", [row | {name: f"{row[name]:%Y-%m-%d}" for name in _EDGES} for row in sections["coverage"]]
        ),
        console.table(
            "Loads",
            sections["loads"],
            ["source", "status", "days", "first_day", "last_day", "observations", "bad_lines"],
        ),
        console.table("Last runs", runs),
        # The reasons are long: `qc sql "FROM ml.model_versions"` or --json has them.
        console.table(
            "Models", sections["versions"], ["model", "version", "status", "candidate", "is_synthetic", "test_rows"]
        ),
    ]
