"""Tools: whether arguments are validated, lists of MCP servers pinned, and calls that write registered and approved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langgraph.prebuilt import ToolNode

from slipway.go_live.check import Check, Part
from slipway.go_live.inputs import Inputs
from slipway.go_live.known_structures import known_structures
from slipway.go_live.line import Line, failed, passed, warned
from slipway.graphs.interface import Graph
from slipway.mcp_servers.project_registry import ProjectTools
from slipway.tool_gateway.registry import RegisteredTool

_TYPES: Final = ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const")
"""The members of a JSON schema that restrict a value."""


async def _loaded(inputs: Inputs) -> Sequence[Line]:
    tools, code = inputs.loaded.tools, "tools.load"
    if tools is None:
        return [failed(code, inputs.loaded.tools_problem, "mend langgraph.json or the code, then `slipway release`")]
    return [passed(code, _counted(len(tools.registry.tools), "tool is", "tools are", "registered"))]


async def _schemas(inputs: Inputs) -> Sequence[Line]:
    code = "tools.schemas"
    if (tools := inputs.loaded.tools) is None:
        return [_unknown(code)]
    lines = [line for tool in tools.registry.tools.values() if (line := _schema_line(code, tool))]
    return lines or [passed(code, "the arguments of every tool are validated before its call")]


def _schema_line(code: str, tool: RegisteredTool) -> Line | None:
    if tool.definition.args_schemas:
        return None
    schema: Mapping[str, Any] = tool.target.json_schema
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        untyped = ["all arguments"] if properties is None and tool.target.entrance.signature.parameters else []
    else:
        untyped = [name for name, each in properties.items() if not any(member in each for member in _TYPES)]
    if not untyped:
        return None
    found = f"nothing validates {', '.join(untyped)}: a model may send anything"
    fix = f"type hints in the code, or args_schema in slipway.tools.{tool.name}"
    return (warned if not tool.definition.writes else failed)(code, found, fix, tool.name)


async def _pinned(inputs: Inputs) -> Sequence[Line]:
    code, servers = "tools.pinned", inputs.project.mcp
    unpinned = [name for name, section in servers.items() if section.pinned is None]
    if unpinned:
        return [
            failed(code, "the list of its tools is not pinned", f"slipway tools pin {name}", name) for name in unpinned
        ]
    if inputs.loaded.tools is None and servers:
        return [_unknown(code)]
    if not servers:
        return [passed(code, "no MCP server is used")]
    return [passed(code, _counted(len(servers), "MCP server has", "MCP servers have", "a pinned list of tools"))]


async def _registered(inputs: Inputs) -> Sequence[Line]:
    code = "tools.registered"
    if (tools := inputs.loaded.tools) is None:
        return [_unknown(code)]
    lines, unread = [], []
    async for known in known_structures(inputs):
        if known.graph is None:
            unread.append(known.graph_id)
            continue
        loose = sorted(set(_tools_in(known.graph)) - _names(tools))
        if loose:
            found = (
                f"tools of its nodes pass no gateway: {', '.join(loose)} (no approval, no idempotency key, no record)"
            )
            fix = "decorate them with @slipway.tools.tool, or name them in slipway.tools"
            lines.append(warned(code, found, fix, known.graph_id))
    lines += [
        warned(code, "not checked: a factory builds this graph for each run", "read its code", graph_id)
        for graph_id in dict.fromkeys(unread)
    ]
    return lines or [passed(code, "every tool in a ToolNode is registered; other functions of the code are not known")]


def _tools_in(graph: Graph) -> Iterator[str]:
    """The names of the tools of the `ToolNode`s in a graph and its subgraphs."""
    for _, subgraph in graph.get_subgraphs(recurse=True):
        yield from _tools_of_nodes(subgraph)
    yield from _tools_of_nodes(graph)


def _tools_of_nodes(graph: Any) -> Iterator[str]:
    for node in getattr(graph, "nodes", {}).values():
        if isinstance(node.bound, ToolNode):
            yield from node.bound.tools_by_name


def _names(tools: ProjectTools) -> set[str]:
    return {name for tool in tools.registry.tools.values() for name in (tool.name, tool.target.langchain_tool.name)}


async def _approvals(inputs: Inputs) -> Sequence[Line]:
    code = "tools.approval"
    if (tools := inputs.loaded.tools) is None:
        return [_unknown(code)]
    lines = [
        warned(
            code,
            "writes, and nobody is asked before a call of it",
            f'"slipway": {{"tools": {{"{name}": {{"approval": "always"}}}}}}, or "access": "read" if it only reads',
            name,
        )
        for name, tool in tools.registry.tools.items()
        if tool.definition.writes and tool.definition.approval.kind == "never"
    ]
    if lines:
        return lines
    writing = [name for name, tool in tools.registry.tools.items() if tool.definition.writes]
    return [passed(code, f"have an approval rule: {', '.join(writing)}" if writing else "no registered tool writes")]


async def _grants(inputs: Inputs) -> Sequence[Line]:
    code = "tools.grants"
    if (tools := inputs.loaded.tools) is None:
        return [_unknown(code)]
    if not tools.registry.tools:
        return [passed(code, "no tool is registered")]
    grants = tools.registry.policy.grants
    if grants is None:
        found = "every node of every graph may call every tool"
        fix = '"slipway": {"grants": [{"effect": "permit", "graph": …, "nodes": […], "tools": […]}]}'
        return [warned(code, found, fix)]
    wide = [each for each in inputs.project.tools.grants if each.effect == "permit" and each.nodes is None]
    if wide:
        names = sorted({tool for each in wide for tool in each.tools})
        return [warned(code, f"all nodes of a graph may call: {', '.join(names)}", 'add "nodes" to the rule')]
    return [passed(code, _counted(len(grants), "rule says", "rules say", "which nodes may call which tools"))]


def _counted(number: int, one: str, several: str, rest: str) -> str:
    return f"{number} {one if number == 1 else several} {rest}"


def _unknown(code: str) -> Line:
    return warned(code, "not checked: the tools cannot be loaded", "mend the line tools.load")


PART: Final = Part(
    "tools",
    "Tools",
    (
        Check({"tools.load": "Whether the project's tools, rules and policies are valid."}, _loaded),
        Check({"tools.schemas": "Whether the arguments of each tool are validated."}, _schemas),
        Check({"tools.pinned": "Whether the list of tools of each MCP server is pinned."}, _pinned),
        Check({"tools.registered": "Whether tools of `ToolNode`s pass the gateway."}, _registered),
        Check({"tools.approval": "Whether each tool that writes has an approval rule."}, _approvals),
        Check({"tools.grants": "Whether rules say which nodes may call which tools."}, _grants),
    ),
    needs_code=True,
)
