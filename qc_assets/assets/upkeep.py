"""What only a source of states needs: choosing repositories, and reading again what may have changed silently."""

import dagster as dg

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.ingestion import POOL
from qc_assets.assets.resources import WarehouseResource
from qc_assets.settings import Settings

GROUP = "upkeep"


def upkeep_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Discovery and revisits; none for a source of events, which tells of every change itself."""
    if not settings.traits.states:
        return []

    @dg.asset(
        key=tables.key("ops.discovery"),
        group_name=tables.group_name(GROUP),
        owners=tables.OWNERS,
        kinds={settings.source, "duckdb"},
        pool=POOL,
        description="Chooses the repositories to read and stores them in raw.repositories with the reason.",
    )
    def discovery(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.sources.registry import open_kept_up

        store = warehouse.open()
        counts = open_kept_up(settings).discover(store, settings, progress.logged(context.log.info))
        rows = store.query(
            "SELECT name, stars, language, selection_reason FROM raw.repositories WHERE is_selected "
            "ORDER BY stars DESC, repo_id LIMIT 10"
        )
        return dg.MaterializeResult(metadata=counts | {"most stars": tables.preview(rows.to_dicts())})

    @dg.asset(
        key=tables.key("ops.revisits"),
        group_name=tables.group_name(GROUP),
        owners=tables.OWNERS,
        kinds={settings.source, "duckdb"},
        pool=POOL,
        description=f"Reads open pull requests again after {settings.revisit_open_days} days, and closed ones weekly "
        f"for {settings.revisit_closed_days} days; marks comments that are gone.",
    )
    def revisits(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.sources.registry import open_kept_up

        counts = open_kept_up(settings).revisit(warehouse.open(), settings, progress.logged(context.log.info))
        return dg.MaterializeResult(metadata=dict(counts))

    return [discovery, revisits]
