"""The one place that assembles the code location. Importing it loads nothing heavy."""

import dagster as dg

from qc_assets import automation
from qc_assets.assets.critique import BRANCHES, critique_assets
from qc_assets.assets.critique_reports import critique_report_assets
from qc_assets.assets.fairness import fairness_assets
from qc_assets.assets.features import feature_assets
from qc_assets.assets.github import github_assets
from qc_assets.assets.ingest import ingest_assets
from qc_assets.assets.labels import label_assets
from qc_assets.assets.models import model_assets
from qc_assets.assets.monitoring import monitoring_assets
from qc_assets.assets.reports import report_assets
from qc_assets.assets.serving import journal_assets, serving_assets
from qc_assets.executors import side_by_side
from qc_assets.resources import RegistryResource, WarehouseResource
from qc_assets.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything that Dagster shows and runs, for one set of settings."""
    return dg.Definitions(
        assets=[
            *ingest_assets(settings),
            *github_assets(settings),
            *label_assets(settings),
            *journal_assets(settings),
            *feature_assets(settings),
            *model_assets(settings),
            *fairness_assets(settings),
            *monitoring_assets(settings),
            *report_assets(),
            *serving_assets(settings),
            *critique_assets(settings),
            *critique_report_assets(settings),
        ],
        jobs=automation.jobs(settings),
        schedules=automation.schedules(settings),
        sensors=[
            automation.retraining_sensor(settings),
            automation.critiques_sensor(),
            automation.failure_sensor(settings),
        ],
        resources={
            "warehouse": WarehouseResource.from_settings(settings),
            "registry": RegistryResource.from_settings(settings),
        },
        executor=side_by_side(*BRANCHES),
    )


def resolve_job(name: str) -> dg.JobDefinition:
    """A job by name, for processes that must make it again."""
    return defs.resolve_job_def(name)


defs = build_definitions(load_settings())
