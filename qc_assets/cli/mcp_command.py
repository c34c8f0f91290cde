"""`qc mcp`: the champions and the warehouse for an assistant, over the Model Context Protocol."""

import contextlib
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from qc_assets.cli.command_context import command_settings


def mcp() -> None:
    """Answer an assistant (MCP over stdio): predict, explain, scoreboard and sql, all of which only read."""
    from qc_assets.serving.mcp_server import make_mcp_server
    from qc_assets.serving.model_tools import ModelTools
    from qc_assets.serving.service import Serving

    # A server may be running, whose journal only it may write.
    with tempfile.TemporaryDirectory() as scratch:
        # Standard output is the protocol's: what a library prints meanwhile must not get there.
        with contextlib.redirect_stdout(sys.stderr):
            serving = Serving(command_settings(), journal=Path(scratch) / "journal.db")
            server = make_mcp_server(ModelTools(serving))
        with closing(serving):
            server.run("stdio")
