"""When what Dagster shows is out of date: by the schedules that would keep it fresh, where days still come."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from qc_assets.assets import tables
from qc_assets.settings import Settings

# A morning that was missed is worth a look, three are no accident.
_EVERY_MORNING = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(hours=36))


def with_freshness(assets: Sequence[Any], settings: Settings) -> list[Any]:
    """The same assets, with what is late for each group; as they are if the days have an end, as the demo's have."""
    if settings.fixed_last_date is not None:
        return list(assets)
    due = timedelta(days=settings.retrain_after_days)
    of_models = dg.FreshnessPolicy.time_window(fail_window=2 * due, warn_window=due + timedelta(days=1))
    policies = dict.fromkeys(map(tables.group_name, ("ingest", "features", "monitoring", "exports")), _EVERY_MORNING)
    policies |= dict.fromkeys(map(tables.group_name, ("models", "fairness")), of_models)

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        policy = policies.get(str(spec.group_name))
        return spec if policy is None else spec.replace_attributes(freshness_policy=policy)

    return [asset.map_asset_specs(with_policy) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets]
