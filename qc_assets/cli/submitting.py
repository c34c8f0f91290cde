"""Runs for the queue of the Dagster instance: whoever serves it executes them, on whatever machine that is."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qc_assets.cli import console
from qc_assets.errors import QcError
from qc_assets.places import dagster_config

if TYPE_CHECKING:
    from qc_assets.settings import Settings

Submit = Annotated[
    bool,
    typer.Option(
        "--submit", help="Put runs into Dagster's queue, for whatever machine serves it, instead of running here."
    ),
]


def workspace_file(settings: "Settings") -> Path:
    """The workspace.yaml that somebody wrote into QC_HOME/dagster, such as for a code server elsewhere; else ours."""
    from qc_assets.cli.runs import dagster_home

    own = dagster_home(settings) / "workspace.yaml"
    return own if own.exists() else dagster_config("workspace.yaml")


def submit_backfill(settings: "Settings", days: Sequence[date], ops: Mapping[str, Any], *, is_named: bool) -> None:
    """Put runs that load days into the queue, of QC_MAX_PARTITIONS_PER_RUN days each, and say what became of it.

    Raises:
        QcError: if a source or repositories were named, which the runs would not know of.
    """
    if is_named:
        raise QcError("--submit: runs read what whoever executes them is set to (QC_SOURCE, QC_REPOS): set it there")
    most = settings.max_partitions_per_run
    submit_to_queue(settings, "ingest", [days[first : first + most] for first in range(0, len(days), most)], ops)


def submit_to_queue(settings: "Settings", job: str, parts: Sequence[Sequence[date]], ops: Mapping[str, Any]) -> None:
    """`submit_runs`, and say what became of it."""
    document = submit_runs(settings, job, parts, ops=ops)
    lines = [
        console.marked("[bold]{}[/bold]  {}", run, url)
        for run, url in zip(document["runs"], document["urls"], strict=True)
    ]
    warnings = [console.marked("[yellow]{}[/yellow]", document["warning"])] if document["warning"] else []
    console.emit(document, f"{len(lines)} of {job} in the queue of {settings.home / 'dagster'}", *lines, *warnings)


def submit_runs(
    settings: "Settings", job: str, parts: Sequence[Sequence[date]] = ((),), *, ops: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Put one run of a job for each part of the days into the queue; nothing of it is executed here.

    Args:
        settings: of the instance; runs have the settings of whoever executes them.
        job: name of the job.
        parts: consecutive days for each run; one run without days by default.
        ops: configuration by op name.

    Returns:
        ``runs``, their ids in the order of the parts; ``urls`` of their pages; ``warning``, empty if a daemon serves
        the queue.

    Raises:
        QcError: if the workspace does not have the job, or its code server does not answer.
    """
    from dagster._cli.job import _create_run  # as `dagster job launch` does
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    from qc_assets.cli.runs import days_as_tags, is_queue_served, open_instance

    workspace = workspace_file(settings)
    with (
        open_instance(settings) as instance,
        # What a code server says of its start is no part of our answer.
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([str(workspace)]), code_server_log_level="WARNING"
        ) as process,
    ):
        context = process.create_request_context()
        having = [
            (location, repository)
            for location in context.code_locations
            for repository in location.get_repositories().values()
            if repository.has_job(job)
        ]
        if not having:
            loads = [entry.load_error for entry in context.get_code_location_entries().values()]
            errors = [error.message.strip() for error in loads if error is not None]
            raise QcError(f"{workspace} has no job {job}: {'; '.join(errors) or 'its code is another version'}")
        location, repository = having[0]
        configured = {"ops": dict(ops or {})}
        runs = []
        for days in parts:
            run = _create_run(
                instance, location, repository, repository.get_full_job(job), configured, days_as_tags(days), None, None
            )
            runs.append(instance.submit_run(run.run_id, context).run_id)
        served = is_queue_served(instance)
    pages = settings.beyond_the_gate(settings.dagster_url).rstrip("/")
    warning = "" if served else "nobody takes runs from the queue: start `qc up`, or `dagster-daemon run` where they go"
    return {"runs": runs, "urls": [f"{pages}/runs/{run}" for run in runs], "warning": warning}
