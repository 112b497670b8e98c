"""The graphs of all versions of one graph that are known before runs open them, for checks of langgraph.json."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import GraphUnavailable
from slipway.graphs.interface import Graph, Graphs


@dataclass(frozen=True, slots=True)
class KnownGraphs:
    """The versions of one graph that have no factory."""

    graphs: tuple[Graph, ...]
    complete: bool
    """Whether these are all versions. If not, a name that none of them has may be one of another version: its factory
    needs a config, or it failed to load."""


async def known_graphs(graphs: Graphs, graph_id: str) -> KnownGraphs:
    """Raises `NotFound` for an unknown graph. Calls no factory."""
    try:
        spec, versions = graphs.spec(graph_id), graphs.versions(graph_id)
    except GraphUnavailable:
        return KnownGraphs((), complete=False)
    found = []
    for each in versions:
        if not graphs.has_factory(graph_id, each.name):
            async with graphs.open(graph_id, {}, "assistants.read", version=each.name) as graph:
                found.append(graph)
    return KnownGraphs(tuple(found), complete=len(found) == max(1, len(spec.versions)))
