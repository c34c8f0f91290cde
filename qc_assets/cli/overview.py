"""Where everything stands, as the command line tells it."""

from qc_assets.cli import console
from qc_assets.cli.run_summary import SYNTHETIC, Summary
from qc_assets.cli.runs import open_instance
from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

_EDGES = ("covered_from", "covered_until")


def _champions_by_mlflow(settings: Settings, warehouse: Warehouse) -> list[str]:
    """Bring the warehouse's tables after the registry; returns what somebody should know of the champions."""
    from qc_assets.assets.resources import RegistryResource
    from qc_assets.registry.mirror import sync_mirror, what_differs

    if not settings.mlflow_tracking_uri and not settings.mlflow_database.is_file():
        return []
    sentences = []
    try:
        if not warehouse.engine.exists():  # to look is not to make one, perhaps at a name that was mistyped
            return []
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
        console.table("Models", sections["versions"], ["model", "version", "status", "candidate", "test_rows"]),
        *([console.marked(SYNTHETIC)] if any(row["is_synthetic"] for row in sections["versions"]) else []),
    ]
