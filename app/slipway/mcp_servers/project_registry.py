"""All tools of a project: those of its code, and those of its MCP servers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.mcp_servers.server_tools import ServerTools, server_tools
from slipway.tool_gateway.loading import load_tools
from slipway.tool_gateway.registry import NO_TOOLS, ToolRegistry


@dataclass(frozen=True, slots=True)
class ProjectTools:
    """The tools by name, and the MCP servers by name."""

    registry: ToolRegistry
    servers: Mapping[str, ServerTools]


NONE = ProjectTools(NO_TOOLS, {})


async def load_project_tools(config: LangGraphJson, graphs: Graphs) -> ProjectTools:
    """Connects to no server. Its graphs are loaded already. Raises `ConfigError`."""
    servers = await asyncio.to_thread(server_tools, config)
    declarations = [each for server in servers.values() for each in server.declarations.values()]
    return ProjectTools(await load_tools(config, graphs, declarations), servers)
