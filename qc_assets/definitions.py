"""The one place that assembles the code location. Importing it loads nothing heavy."""

import dagster as dg

from qc_assets.assets.bias_reports import fairness_assets
from qc_assets.assets.champion_reports import monitoring_assets
from qc_assets.assets.code_links import linked_to_code
from qc_assets.assets.comment_labels import label_assets
from qc_assets.assets.critique_batches import BRANCHES, critique_assets
from qc_assets.assets.critique_outputs import critique_report_assets
from qc_assets.assets.executors import executor_of
from qc_assets.assets.feature_tables import feature_assets
from qc_assets.assets.freshness import with_freshness
from qc_assets.assets.ingestion import ingest_assets
from qc_assets.assets.jobs import jobs
from qc_assets.assets.journal_and_exports import journal_assets, serving_assets
from qc_assets.assets.model_versions import model_assets
from qc_assets.assets.notebook_pages import notebook_assets
from qc_assets.assets.report_tables import report_assets
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.assets.schedules import schedules
from qc_assets.assets.sensors import sensors
from qc_assets.assets.upkeep import upkeep_assets
from qc_assets.assets.work_lists import work_list_assets
from qc_assets.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster shows and runs, for one set of settings."""
    assets = [
        *ingest_assets(settings),
        *upkeep_assets(settings),
        *label_assets(settings),
        *journal_assets(settings),
        *feature_assets(settings),
        *model_assets(settings),
        *fairness_assets(settings),
        *monitoring_assets(settings),
        *report_assets(),
        *work_list_assets(),
        *serving_assets(settings),
        *critique_assets(settings),
        *critique_report_assets(settings),
        *notebook_assets(settings),
    ]
    return dg.Definitions(
        assets=with_freshness(linked_to_code(assets), settings),
        jobs=jobs(settings),
        schedules=schedules(settings),
        sensors=sensors(settings),
        resources={
            "warehouse": WarehouseResource.from_settings(settings),
            "registry": RegistryResource.from_settings(settings),
        },
        executor=executor_of(settings, *BRANCHES),
    )


def resolve_job(name: str) -> dg.JobDefinition:
    """A job by name, for processes that must make it again."""
    return defs.resolve_job_def(name)


defs = build_definitions(load_settings())
