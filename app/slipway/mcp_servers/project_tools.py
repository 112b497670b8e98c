"""The tools of MCP servers for the project's code."""

from __future__ import annotations

from langchain_core.tools import BaseTool

from slipway.errors import ConfigError
from slipway.graphs.current_project import current_project
from slipway.mcp_servers.server_tools import tools_of
from slipway.value_problems import did_you_mean


def mcp_tools(server: str) -> list[BaseTool]:
    """The LangChain tools of a server in `slipway.mcp` of langgraph.json, for `create_agent`, `ToolNode` or
    `bind_tools`. They come from the pinned list, so this connects to nothing and may be called while a module is
    imported. Raises `ConfigError` for an unknown server."""
    config = current_project("slipway.tools.mcp_tools")
    if server not in config.mcp:
        raise ConfigError(f"there is no MCP server {server!r} in slipway.mcp{did_you_mean(server, config.mcp)}")
    return tools_of(config, server).langchain_tools
