"""Reports: small tables that say where the data goes and how the models do."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from qc_assets.assets import tables
from qc_assets.assets.models import SPECS
from qc_assets.resources import WarehouseResource


def report_assets() -> list[dg.AssetsDefinition]:
    """reports/funnel, reports/weekly_activity and reports/calibration."""
    return [
        _report(
            "funnel",
            "How many pull requests are left at each step on the way to p0.",
            ["features.pull_requests"],
        ),
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
    ]


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
    from qc_assets.models import plots

    if frame.is_empty():
        return {}
    if name == "funnel":
        return {"plot": tables.picture(plots.funnel(frame["step"].to_list(), frame["pull_requests"].to_list()))}
    if name == "weekly_activity":
        columns = ("prs_opened", "prs_merged", "reviews", "issues_opened", "issues_closed")
        return {"plot": tables.picture(plots.weekly(frame["week"].to_list(), {c: frame[c].to_list() for c in columns}))}
    return {}
