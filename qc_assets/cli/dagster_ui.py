"""Dagster's UI on a Unix socket, which its own command cannot listen on: `python -m qc_assets.cli.dagster_ui`."""

import sys

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

# As `dagster dev` has it.
_POLLED_MS = 2000


def main(socket: str, workspace: str) -> None:
    """Serve the instance of DAGSTER_HOME under /dagster until SIGINT.

    Args:
        socket: where to listen; its folder decides who may connect.
        workspace: the file that names the code.
    """
    target = WorkspaceFileTarget([workspace])
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target, version=__version__, read_only=False) as context,
    ):
        app = create_app_from_workspace_process_context(context, "/dagster", _POLLED_MS)
        uvicorn.run(app, uds=socket, ws="none", log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
