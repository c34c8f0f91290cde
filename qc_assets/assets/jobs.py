"""The jobs: everything at once, or one step of the way."""

from collections.abc import Collection, Sequence

import dagster as dg

from qc_assets.assets import tables
from qc_assets.assets.bias_reports import bias_reports_of
from qc_assets.assets.critique_batches import BATCHES, GROUP, STEPS
from qc_assets.assets.journal_and_exports import PAYOUT_REPORTS
from qc_assets.assets.model_versions import model_and_parts
from qc_assets.assets.notebook_pages import GROUP as NOTEBOOKS
from qc_assets.assets.partitions import daily_partitions
from qc_assets.assets.upkeep import GROUP as UPKEEP
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS
from qc_assets.places import notebooks as notebooks_folder
from qc_assets.settings import Settings
from qc_assets.store.schema import RAW_TABLES


def of_model(spec: ModelSpec) -> list[str]:
    """Names of the assets that belong to one model: its versions, the steps of a training, and its bias reports."""
    return [*model_and_parts(spec), *bias_reports_of(spec)]


def training_job(model: str) -> str:
    """Name of the job that trains one model."""
    return f"training_{model}"


def of_other_models(models: Collection[str]) -> list[str]:
    """Names of the assets that belong to other models only."""
    return [name for spec in SPECS if spec.name not in models for name in of_model(spec)]


def keys_without(definition: dg.JobDefinition, without: Sequence[str]) -> list[dg.AssetKey] | None:
    """Assets of a job but for these, by the names that `tables.key` takes; None for all."""
    if not without:
        return None
    left_out = {tables.key(name) for name in without}
    return [key for key in definition.asset_layer.selected_asset_keys if key not in left_out]


def jobs(settings: Settings) -> list:
    """main (everything), its steps, one for each model that is trained, and one for whom they treat differently."""
    partitions = daily_partitions(settings)
    ingest = dg.AssetSelection.assets(*(tables.key(f"raw.{table}") for table in RAW_TABLES))
    coverage = dg.AssetSelection.assets(tables.key("ops.coverage"), tables.key("ops.machine_accounts"))
    features, models, fairness, reports, monitoring, exports = (
        dg.AssetSelection.groups(tables.group_name(name))
        for name in ("features", "models", "fairness", "reports", "monitoring", "exports")
    )
    kept_up, critiques, notebooks = (
        dg.AssetSelection.groups(tables.group_name(name)) for name in (UPKEEP, GROUP, NOTEBOOKS)
    )
    batches, model = (dg.AssetSelection.assets(tables.key(f"critique.{name}")) for name in ("batches", "model"))
    mining = dg.AssetSelection.assets(*(tables.key(f"critique.{step}") for step in STEPS))
    upkeep = [
        dg.define_asset_job(name, dg.AssetSelection.assets(tables.key(f"ops.{asset}")), description=description)
        for name, asset, description, is_needed in (
            ("discovery", "discovery", "Choose the repositories to read.", settings.traits.states),
            ("revisits", "revisits", "Read again what may have changed silently.", settings.traits.states),
            ("tidying", "lake", "Merge a lake's small files and forget its old snapshots.", settings.has_lake),
        )
        if is_needed
    ]
    training = coverage | features | models | fairness | monitoring | reports | exports
    of_models = [
        dg.define_asset_job(
            training_job(spec.name),
            training - dg.AssetSelection.assets(*map(tables.key, of_other_models([spec.name]))),
            description=f"Train {spec.name}: {spec.question} Computes features on all that has been loaded, trains, "
            "compares with the champion, reports whom it treats differently, and judges it. As `qc train` does.",
        )
        for spec in SPECS
    ]
    looked_at = dg.define_asset_job(
        "notebooks", notebooks, description="Run the notebooks on what there is, to look at."
    )
    return [
        *upkeep,
        dg.define_asset_job(
            "main",
            dg.AssetSelection.all() - kept_up - critiques - notebooks,
            description="Everything: load the days, compute the features, train, report.",
            partitions_def=partitions,
        ),
        dg.define_asset_job("ingest", ingest, description="Load days of activity.", partitions_def=partitions),
        dg.define_asset_job("features", coverage | features, description="Recompute coverage and features."),
        dg.define_asset_job(
            "training",
            training,
            description="Train all models: recompute features on all that is loaded, then train, judge and report.",
        ),
        *of_models,
        dg.define_asset_job(
            "who_is_treated_differently",
            fairness,
            description="Compare groups on the newest version of each model that passed its gates, without training.",
        ),
        dg.define_asset_job(
            "scoring",
            coverage | features | monitoring | exports | dg.AssetSelection.assets(*PAYOUT_REPORTS),
            description="Recompute features, predict what is open, and see whether the champions still hold.",
        ),
        *([looked_at] if notebooks_folder() else []),
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
