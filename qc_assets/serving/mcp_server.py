"""The tools over the Model Context Protocol, for assistants on this machine (stdio)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from qc_assets import __version__
from qc_assets.errors import QcError
from qc_assets.serving.model_tools import STRANGERS, ModelTools

_INSTRUCTIONS = (
    "qc-assets answers questions about code review from the history of repositories: p0 is how likely a pull request "
    "is to pass its first review. Probabilities are calibrated and describe the past; they judge nobody. Say the "
    f"interval with p0, and what is unknown. Nothing is changed by any tool. {STRANGERS}"
)


def make_mcp_server(tools: ModelTools) -> Any:
    """A server (`mcp.server.mcpserver.MCPServer`) with the tools, all of which only read.

    Raises:
        QcError: if the library is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise QcError("the library mcp is not installed: pip install 'qc-assets[mcp]'") from error

    def told(tool: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(tool)
        def asked(*arguments: Any, **named: Any) -> Any:
            try:
                return tool(*arguments, **named)
            except QcError as error:
                raise ToolError(str(error)) from error

        return asked

    server = MCPServer("qc-assets", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.predict, tools.explain, tools.scoreboard, tools.sql):
        server.tool(annotations=reads)(told(tool))
    return server
