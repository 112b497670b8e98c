"""All tools of a project, each with what an operator wants to know about it: what was declared, who may call it, and
whether calls are made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway.circuit_breakers.record import BreakerRecord
from slipway.circuit_breakers.scripts import BreakerList
from slipway.mcp_servers.project_registry import ProjectTools
from slipway.mcp_servers.server_tools import ServerTools
from slipway.mcp_servers.servers import ACTOR
from slipway.switches.record import OffSwitches, Switch
from slipway.tool_gateway.grants import ALL, Grant
from slipway.tool_gateway.registry import RegisteredTool


@dataclass(frozen=True, slots=True)
class ListedTool:
    """One tool."""

    tool: RegisteredTool
    grants: Sequence[Grant] | None
    """The rules that name it, or all tools. None if every node may call every tool."""
    switch: Switch | None
    """None if it is on."""
    breaker: BreakerRecord | None
    """None if its calls succeed."""
    server: ServerTools | None
    """The MCP server that has it."""

    @property
    def list_has_changed(self) -> bool:
        """Whether the list of its MCP server was not the pinned one when a call compared them, so that Slipway has
        switched the tool off."""
        return self.server is not None and self.switch is not None and self.switch.by == ACTOR

    def public(self) -> dict[str, Any]:
        """The tool as operators receive it. Secrets are names."""
        definition = self.tool.definition
        return {
            "name": definition.name,
            "description": self.tool.target.description,
            "declared_at": definition.declared_at,
            "version": definition.version,
            "access": definition.access,
            "approval": definition.approval.text,
            "grants": None if self.grants is None else [_public(grant) for grant in self.grants],
            "secrets": sorted(definition.secrets),
            "redact": list(definition.redact),
            "timeout_s": definition.timeout_s,
            "retries": definition.retries,
            "fallback": definition.fallback,
            "switch": None if self.switch is None else self.switch.public(),
            "breaker": None if self.breaker is None else self.breaker.public(),
            "mcp": None if self.server is None else self._pin(self.server),
        }

    def _pin(self, server: ServerTools) -> dict[str, Any]:
        return {"server": server.name, "pinned": server.pinned.hash, "list_has_changed": self.list_has_changed}


def _public(grant: Grant) -> dict[str, Any]:
    nodes = None if grant.nodes is None else ["/".join(path) for path in grant.nodes]
    return {"rule": grant.name, "effect": grant.effect, "graph": grant.graph, "nodes": nodes}


def list_tools(project: ProjectTools, off: OffSwitches, breakers: BreakerList) -> list[ListedTool]:
    """By name."""
    by_tool = {name: server for server in project.servers.values() for name in server.names}
    failing = {each.name: each for each in breakers.breakers if each.kind == "tool"}
    grants = project.registry.policy.grants
    return [
        ListedTool(
            tool,
            None if grants is None else [grant for grant in grants if grant.tools & {ALL, name}],
            off.tool(name),
            failing.get(name),
            by_tool.get(name),
        )
        for name, tool in sorted(project.registry.tools.items())
    ]
