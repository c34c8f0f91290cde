"""What some sources and warehouses need: choosing repositories, reading again what may have changed, tidying a lake."""

from datetime import timedelta

import dagster as dg

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.ingestion import POOL
from qc_assets.assets.resources import WarehouseResource
from qc_assets.settings import Settings

GROUP = "upkeep"


def upkeep_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Discovery and revisits for a source of states, which does not tell of every change itself; a lake's tidying."""
    return [*(_states_assets(settings) if settings.traits.states else []), *_lake_assets(settings)]


def _lake_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    if not settings.has_lake:
        return []

    @dg.asset(
        key=tables.key("ops.lake"),
        group_name=tables.group_name(GROUP),
        owners=tables.OWNERS,
        kinds={"duckdb", "parquet"},
        pool=POOL,
        description="Merges the lake's small files, forgets its snapshots that are older than "
        f"{settings.lake_keep_days:g} days (QC_LAKE_KEEP_DAYS), and removes files that nothing refers to.",
    )
    def lake(warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.store.lake_upkeep import tidy_lake

        return dg.MaterializeResult(metadata=dict(tidy_lake(warehouse.open(), timedelta(days=settings.lake_keep_days))))

    return [lake]


def _states_assets(settings: Settings) -> list[dg.AssetsDefinition]:
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
