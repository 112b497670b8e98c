"""What `slipway tools` prints: the tools of the project, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from slipway.commands.lists import text_table
from slipway.commands.operator_commands import opened
from slipway.serialization.json_encoding import dumps

if TYPE_CHECKING:
    from slipway.run_operations.tool_list import ListedTool
    from slipway.settings import Settings

_COLUMNS: Final = (
    "tool",
    "version",
    "access",
    "approval",
    "rules",
    "secrets",
    "timeout",
    "retries",
    "fallback",
    "state",
)


async def read_tools(settings: Settings) -> list[ListedTool]:
    """The tools of the project in this folder, with their switches and circuit breakers in Redis. Raises `ConfigError`,
    and `StoreUnavailable`."""
    from slipway.circuit_breakers.scripts import BreakerScripts
    from slipway.clock import Clock
    from slipway.graphs.langgraph_json import read
    from slipway.graphs.registry import Registry
    from slipway.mcp_servers.project_registry import load_project_tools
    from slipway.run_operations.tool_list import list_tools
    from slipway.switches.scripts import SwitchScripts
    from slipway.switches.store import SwitchStore

    graphs = await Registry.load(settings.config, release=settings.release)
    project = await load_project_tools(read(settings.config), graphs)
    async with opened(settings, "tools", seals=False) as (pipeline, shards):
        off = await SwitchStore(SwitchScripts(pipeline, shards), Clock()).all()
        breakers = await BreakerScripts(pipeline, shards.processes).list_all()
    return list_tools(project, off, breakers)


def as_json(tools: Sequence[ListedTool]) -> str:
    """One line of JSON for each tool, with the members that `GET /ops/tools` returns."""
    return "\n".join(dumps(each.public()).decode() for each in tools)


def as_table(tools: Sequence[ListedTool]) -> str:
    """One line for each tool."""
    return text_table([_COLUMNS, *map(_row, tools)]) if tools else "the project has no tools"


def _row(listed: ListedTool) -> tuple[str, ...]:
    definition = listed.tool.definition
    return (
        definition.name,
        definition.version,
        definition.access,
        definition.approval.text,
        _rules(listed),
        ",".join(sorted(definition.secrets)) or "-",
        "-" if definition.timeout_s is None else f"{definition.timeout_s:g} s",
        str(definition.retries),
        definition.fallback or "-",
        _state(listed),
    )


def _rules(listed: ListedTool) -> str:
    """Such as `permit desk:pay; forbid *`."""
    if listed.grants is None:
        return "every node"
    texts = []
    for grant in listed.grants:
        nodes = "" if grant.nodes is None else ":" + ",".join("/".join(path) for path in grant.nodes)
        texts.append(f"{grant.effect} {grant.graph}{nodes}")
    return "; ".join(texts) or "no node"


def _state(listed: ListedTool) -> str:
    if listed.list_has_changed and listed.server is not None:
        return f"off: the list of MCP server {listed.server.name} has changed"
    if listed.switch is not None:
        return f"off by {listed.switch.by}" + (f": {listed.switch.reason}" if listed.switch.reason else "")
    if listed.breaker is not None and listed.breaker.state != "closed":
        return f"breaker {listed.breaker.state.replace('_', ' ')}: {listed.breaker.problem}"
    return "on"
