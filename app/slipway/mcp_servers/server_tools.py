"""The pinned tools of an MCP server, as LangChain tools and as declarations for the registry of tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from langchain_core.tools import BaseTool, StructuredTool

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.mcp_section import McpSection
from slipway.mcp_servers.connection import require_mcp
from slipway.mcp_servers.current_servers import current_server
from slipway.mcp_servers.pinned_list import PinnedList, PinnedTool, read_pinned
from slipway.tool_gateway.declarations import Declaration, ToolOptions
from slipway.tool_gateway.target import ToolTarget
from slipway.value_problems import did_you_mean


@dataclass(frozen=True, slots=True)
class ServerTools:
    """The tools of one server."""

    name: str
    section: McpSection
    folder: Path
    pinned: PinnedList
    declarations: Mapping[str, Declaration]
    """By the name that the tool has in this project."""

    @property
    def names(self) -> list[str]:
        """The names of the tools in this project: `SERVER_TOOL`."""
        return list(self.declarations)

    @property
    def langchain_tools(self) -> list[BaseTool]:
        return [each.target.langchain_tool for each in self.declarations.values()]


_BUILT: Final[dict[tuple[Path, str, str], ServerTools]] = {}
"""By file, server and hash: the graphs hold the objects, so each is made once."""


def server_tools(config: LangGraphJson) -> dict[str, ServerTools]:
    """The tools of all servers in langgraph.json. Raises `ConfigError` if the extra `mcp` is missing, if a list is not
    stored or not pinned, or if a section names a tool that is not in it."""
    if config.mcp:
        require_mcp()
    return {server: tools_of(config, server) for server in config.mcp}


def tools_of(config: LangGraphJson, server: str) -> ServerTools:
    """The tools of one server, as `server_tools`."""
    section = config.mcp[server]
    where = config.where("slipway", "mcp", server)
    pinned = read_pinned(config.folder, server, where, section.pinned)
    key = (config.file, server, f"{pinned.hash} {section!r}")
    if key not in _BUILT:
        known = {tool.name: tool for tool in pinned.tools}
        for member, names in (("tools", section.tools or ()), ("read", section.read)):
            for name in names:
                if name not in known:
                    problem = f"the server has no tool {name!r}{did_you_mean(name, known)}"
                    raise ConfigError(f"{where}: slipway.mcp.{server}.{member}: {problem}")
        chosen = [tool for name, tool in known.items() if section.tools is None or name in section.tools]
        declarations = {_name_of(server, tool): _declared(server, section, tool) for tool in chosen}
        _BUILT[key] = ServerTools(server, section, config.folder, pinned, declarations)
    return _BUILT[key]


def _name_of(server: str, tool: PinnedTool) -> str:
    return f"{server}_{tool.name}"


def _declared(server: str, section: McpSection, tool: PinnedTool) -> Declaration:
    async def call_tool(**args: Any) -> Any:
        return await current_server(server).call(tool.name, args)

    name = _name_of(server, tool)
    structured = StructuredTool(
        name=name,
        description=tool.description or f"The tool {tool.name} of {server}.",
        args_schema=dict(tool.input_schema),
        coroutine=call_tool,
        handle_tool_error=True,
    )
    options = ToolOptions(
        access="read" if tool.name in section.read else "write",
        secrets=section.secrets,
        timeout_s=section.timeout_s,
        args_schema=tool.input_schema,
        result_schema=tool.output_schema,
        fingerprint=PinnedList((tool,)).hash,
    )
    return Declaration(ToolTarget(name, structured), options)
