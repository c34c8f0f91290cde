"""What only the github source needs: choosing repositories, and reading again what may have changed silently."""

import dagster as dg

from qc_assets import progress
from qc_assets.assets import tables
from qc_assets.assets.ingestion import POOL
from qc_assets.assets.resources import WarehouseResource
from qc_assets.settings import Settings

GROUP = "github"


def github_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Discovery and revisits; none for another source."""
    if settings.source != "github":
        return []

    @dg.asset(
        name="discovery",
        key_prefix="ops",
        group_name=GROUP,
        owners=tables.OWNERS,
        kinds={"github", "duckdb"},
        pool=POOL,
        description="Chooses the repositories to read and stores them in raw.repositories with the reason.",
    )
    def discovery(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.sources.github.discovery import discover
        from qc_assets.sources.github.source import GitHubSource

        store, source = warehouse.open(), GitHubSource.from_settings(settings)
        found = discover(store, source, settings, progress.logged(context.log.info))
        rows = store.query(
            "SELECT name, stars, language, selection_reason FROM raw.repositories WHERE is_selected "
            "ORDER BY stars DESC, repo_id LIMIT 10"
        )
        return dg.MaterializeResult(metadata=found | {"most stars": tables.preview(rows.to_dicts())})

    @dg.asset(
        name="revisits",
        key_prefix="ops",
        group_name=GROUP,
        owners=tables.OWNERS,
        kinds={"github", "duckdb"},
        pool=POOL,
        description=f"Reads open pull requests again after {settings.revisit_open_days} days, and closed ones weekly "
        f"for {settings.revisit_closed_days} days; marks comments that are gone.",
    )
    def revisits(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        from qc_assets.sources.github.revisit import revisit
        from qc_assets.sources.github.source import GitHubSource

        source = GitHubSource.from_settings(settings)
        found = revisit(warehouse.open(), source, settings, progress.logged(context.log.info))
        return dg.MaterializeResult(metadata=dict(found))

    return [discovery, revisits]
