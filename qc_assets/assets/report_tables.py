"""Reports: small tables that say where the data goes and how the models do."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from qc_assets.assets import tables
from qc_assets.assets.model_versions import FAILED
from qc_assets.assets.resources import WarehouseResource
from qc_assets.models.specs import SPECS


def report_assets() -> list[dg.AssetsDefinition]:
    """reports_funnel, reports_issue_endings, reports_weekly_activity, reports_calibration and reports_alerts."""
    return [
        _report(
            "funnel",
            "How many pull requests are left at each step on the way to p0.",
            ["features.pull_requests"],
        ),
        _report("issue_endings", "How issues end, and how soon: the share for each way to end.", ["features.issues"]),
        _report(
            "weekly_activity",
            "Volume and pass rate by week: where drift shows first.",
            ["features.pull_requests", "raw.pull_requests", "raw.reviews", "raw.issues"],
        ),
        _report(
            "calibration",
            "The champions' predictions against what happened.",
            [f"models.{spec.name}" for spec in SPECS],
        ),
        _alerts(),
    ]


def _alerts() -> dg.AssetsDefinition:
    """reports_alerts, last of all: everything else of a run is done when it fails because of a model."""
    key = tables.key("reports.alerts")
    others = ["reports.monitoring", "reports.calibration", *(f"models.{spec.name}" for spec in SPECS)]
    loud = [spec.name for spec in SPECS if spec.alerts]

    @dg.multi_asset(
        name="report_alerts",
        specs=[
            tables.spec(
                "reports.alerts",
                "Promises that the newest version of a model broke. The champion stays.",
                group="reports",
                deps=others,
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "no_alert_in_this_run",
                asset=key,
                blocking=True,
                description=f"Every training of this run ended well, and what it trained of {', '.join(loud)} "
                "keeps its promises. Red fails the run.",
            )
        ],
    )
    def alerts(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = store.rebuild("reports/alerts")
        frame = store.query("SELECT * FROM reports.alerts ORDER BY ALL")
        broken = frame.filter((pl.col("dagster_run_id") == context.run_id) & pl.col("model").is_in(loud))
        sentences = [
            f"{row['model']} version {row['version']} broke {row['gate']}: {row['detail']}; "
            + (f"version {row['champion']} stays champion" if row["champion"] else "it has no champion")
            for row in broken.to_dicts()
        ]
        sentences += [
            f"the training of {spec.name} failed: {trouble}"
            for spec in SPECS
            if (trouble := _failed_training(context, tables.key(f"models.{spec.name}")))
        ]
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=tables.row_count(rows) | {"alerts": tables.preview(frame.to_dicts())},
            check_results=[
                dg.AssetCheckResult(
                    check_name="no_alert_in_this_run",
                    passed=not sentences,
                    metadata={"detail": "; ".join(sentences) or "every promise was kept"},
                )
            ],
        )

    return alerts


def _failed_training(context: dg.AssetExecutionContext, key: dg.AssetKey) -> str:
    """What went wrong in this run's training of a model; empty if nothing did."""
    event = context.instance.get_latest_materialization_event(key)
    if event is None or event.run_id != context.run_id or event.asset_materialization is None:
        return ""
    value = event.asset_materialization.metadata.get(FAILED)
    return "" if value is None else str(value.value)


def _report(name: str, description: str, deps: list[str]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"report_{name}", specs=[tables.spec(f"reports.{name}", description, group="reports", deps=deps)]
    )
    def compute(warehouse: WarehouseResource) -> Iterator[dg.MaterializeResult]:
        store = warehouse.open()
        rows = store.rebuild(f"reports/{name}")
        frame = store.query(f"SELECT * FROM reports.{name} ORDER BY ALL")
        yield dg.MaterializeResult(
            asset_key=tables.key(f"reports.{name}"),
            metadata=tables.row_count(rows) | {"rows": tables.preview(frame.tail(20).to_dicts())} | _plot(name, frame),
        )

    return compute


def _plot(name: str, frame: pl.DataFrame) -> dict[str, dg.MarkdownMetadataValue]:
    from qc_assets.learning import plots

    if frame.is_empty():
        return {}
    if name == "funnel":
        steps, counts = frame["step"].to_list(), frame["pull_requests"].to_list()
        title = "From all pull requests to those that p0 learns from"
        return {"plot": tables.png_metadata(plots.funnel(steps, counts, "pull requests", title))}
    if name == "weekly_activity":
        columns = ("prs_opened", "prs_landed", "reviews", "issues_opened", "issues_closed")
        return {
            "plot": tables.png_metadata(plots.weekly(frame["week"].to_list(), {c: frame[c].to_list() for c in columns}))
        }
    return {}
