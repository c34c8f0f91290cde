"""The jobs: everything at once, or one step of the way."""

from collections.abc import Collection, Sequence

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.bias_reports import bias_report_keys
from qc_assets.assets.critique_batches import BATCHES, GROUP, STEPS
from qc_assets.assets.journal_and_exports import PAYOUT_REPORTS
from qc_assets.assets.partitions import daily_partitions
from qc_assets.assets.upkeep import GROUP as UPKEEP
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings
from qc_assets.store.schema import RAW_TABLES


def of_other_models(models: Collection[str]) -> list[str]:
    """Names of the assets that belong to other models only: their versions and their bias reports."""
    others = [spec for spec in SPECS if spec.name not in models]
    reports = [key.to_user_string() for spec in others for key in bias_report_keys(spec)]
    return [*(f"models/{spec.name}" for spec in others), *reports]


def keys_without(definition: dg.JobDefinition, without: Sequence[str]) -> list[dg.AssetKey] | None:
    """Assets of a job but for these, by name, and what lies below them; None for all."""
    if not without:
        return None
    left_out = tuple(f"{name}/" for name in without)
    keys = definition.asset_layer.selected_asset_keys
    return [key for key in keys if not f"{key.to_user_string()}/".startswith(left_out)]


def jobs(settings: Settings) -> list:
    """main (everything), ingest, features, training and scoring."""
    partitions = daily_partitions(settings)
    ingest = dg.AssetSelection.assets(*(tables.key(f"raw.{table}") for table in RAW_TABLES))
    coverage = dg.AssetSelection.assets(tables.key("ops.coverage"), tables.key("ops.machine_accounts"))
    features, models, fairness, reports, monitoring, exports = (
        dg.AssetSelection.groups(name)
        for name in ("features", "models", "fairness", "reports", "monitoring", "exports")
    )
    kept_up, critiques = dg.AssetSelection.groups(UPKEEP), dg.AssetSelection.groups(GROUP)
    batches, model = (dg.AssetSelection.assets(["critique", name]) for name in ("batches", "model"))
    mining = dg.AssetSelection.assets(*(["critique", step] for step in STEPS))
    upkeep = [
        dg.define_asset_job(name, dg.AssetSelection.assets(["ops", asset]), description=description)
        for name, asset, description in (
            ("discovery", "discovery", "Choose the repositories to read."),
            ("revisits", "revisits", "Read again what may have changed silently."),
        )
        if settings.traits.states
    ]
    return [
        *upkeep,
        dg.define_asset_job(
            "main",
            dg.AssetSelection.all() - kept_up - critiques,
            description="Everything: load the days, compute the features, train, report.",
            partitions_def=partitions,
        ),
        dg.define_asset_job("ingest", ingest, description="Load days of activity.", partitions_def=partitions),
        dg.define_asset_job("features", coverage | features, description="Recompute coverage and features."),
        dg.define_asset_job(
            "training",
            coverage | features | models | fairness | monitoring | reports | exports,
            description="Recompute features on all that has been loaded, then train, judge and report.",
        ),
        dg.define_asset_job(
            "scoring",
            coverage | features | monitoring | exports | dg.AssetSelection.assets(*PAYOUT_REPORTS),
            description="Recompute features, predict what is open, and see whether the champions still hold.",
        ),
        dg.define_asset_job("critique_batches", batches, description="Give repositories with comments a batch."),
        dg.define_asset_job(
            "critique",
            mining,
            description="Mine the comments of a batch: filter, then summaries and diffs side by side.",
            partitions_def=BATCHES,
        ),
        dg.define_asset_job(
            "critique_reports",
            dg.AssetSelection.assets(tables.key("features.comments")) | (critiques - batches - mining - model),
            description="Join what all batches have, report their errors, and write the data set.",
        ),
        dg.define_asset_job("critique_model", model, description="Fine-tune a language model on the data set."),
    ]
