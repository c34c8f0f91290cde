"""Dagster's run storage, in which runs that `qc` starts belong to the code location as those of the UI do.

A job that is executed in the process of a command has no origin, and Dagster's first page, its timeline, the pages of
jobs and the sensor of failed runs look for runs by their origin alone.
"""

from functools import cache
from pathlib import Path
from typing import Any

from dagster import DagsterRun, StringSource
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._serdes import ConfigurableClassData

from qc_assets.places import dagster_config

# What Dagster calls the one repository of a module that has Definitions.
_REPOSITORY = "__repository__"


class LocatedRuns(SqliteRunStorage):
    """Dagster's SQLite run storage, in the place where Dagster itself would put it."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """``home`` is DAGSTER_HOME."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "LocatedRuns":
        """The storage of a Dagster home."""
        return cls.from_local(str(Path(config_value["home"]) / "history"), inst_data)

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Store a new run; one without an origin is of the code location that `workspace.yaml` names."""
        return super().add_run(located(dagster_run))


def located(run: DagsterRun) -> DagsterRun:
    """The same run, of the code location that `workspace.yaml` names unless it has an origin."""
    if run.remote_job_origin is not None:
        return run
    repository = _repository_origin()
    location = {CODE_LOCATION_TAG: code_location_name()}
    return run.with_job_origin(repository.get_job_origin(run.job_name)).with_tags({**run.tags, **location})


def code_location_name() -> str:
    """The name that `workspace.yaml` gives to the code location."""
    return _repository_origin().code_location_origin.location_name


@cache
def _repository_origin() -> RemoteRepositoryOrigin:
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    (location,) = WorkspaceFileTarget([str(dagster_config("workspace.yaml"))]).create_origins()
    return RemoteRepositoryOrigin(location, _REPOSITORY)
