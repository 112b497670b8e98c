"""What the builds of all graphs of a process share: tools, model routes and stored formats."""

from __future__ import annotations

from langgraph.pregel._checkpoint import LATEST_VERSION

from slipway.graphs.builds import BuildParts
from slipway.graphs.models_section import EVERY_NODE, ModelRoute, ModelsConfig
from slipway.model_routes.routes import default_route
from slipway.redis.layout import LAYOUT
from slipway.tool_gateway.registry import ToolRegistry


def build_parts(graph_ids: list[str], models: ModelsConfig, model: str | None, tools: ToolRegistry) -> BuildParts:
    """`model` is the setting of that name, the route of nodes without one of their own."""
    default = default_route(model)
    shared = {} if default is None else {EVERY_NODE: default}
    routes = {graph_id: _by_node({**shared, **models.by_graph.get(graph_id, {})}) for graph_id in graph_ids}
    return BuildParts(
        tools={name: tool.definition.digest for name, tool in sorted(tools.tools.items())},
        routes=routes,
        formats={"layout": LAYOUT, "checkpoint": LATEST_VERSION},
    )


def _by_node(routes: dict[str, ModelRoute]) -> dict[str, list[str]]:
    return {node: [each.model for each in route.models] for node, route in sorted(routes.items())}
