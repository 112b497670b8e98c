"""Reads the structure of a compiled graph.

It takes some milliseconds, calls no code of the project except properties of its channel classes, and never fails: what
cannot be described is `?`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel

from slipway.graphs.annotation_text import describe
from slipway.graphs.interface import Graph
from slipway.graphs.structure import ChannelStructure, Edge, GraphStructure, NodeStructure

_INTERNAL: Final = ("branch:", "join:", "__pregel_")


def structure_of(graph: Graph, behaviour: str = "") -> GraphStructure:
    """The structure of the graph and of its subgraphs. `behaviour` is what langgraph.json says about it."""
    builder = getattr(graph, "builder", None)
    subgraphs = {name: sub for name, sub in graph.get_subgraphs() if isinstance(sub, Pregel)}
    return GraphStructure(
        api="functional" if builder is None else "graph",
        channels=_channels(graph),
        nodes={name: _node(graph, name, subgraphs) for name in sorted(graph.nodes)},
        edges=tuple(sorted(_edges(graph))),
        input=_schema(getattr(builder, "input_schema", None)),
        output=_schema(getattr(builder, "output_schema", None)),
        context=_schema(graph.context_schema),
        breakpoints=_breakpoints(graph),
        behaviour=behaviour,
    )


def _node(graph: Graph, name: str, subgraphs: Mapping[str, Graph]) -> NodeStructure:
    return NodeStructure(
        triggers=tuple(sorted(graph.nodes[name].triggers)),
        subgraph=structure_of(subgraphs[name]) if name in subgraphs else None,
    )


def _channels(graph: Graph) -> dict[str, ChannelStructure]:
    builder = getattr(graph, "builder", None)
    declared: Mapping[str, Any] = graph.channels if builder is None else {**builder.channels, **builder.managed}
    return {name: _channel(each) for name, each in sorted(declared.items()) if not name.startswith(_INTERNAL)}


def _channel(channel: object) -> ChannelStructure:
    if not isinstance(channel, BaseChannel):  # a managed value, such as RemainingSteps: computed, never stored
        return ChannelStructure(kind="managed", type=_name(channel))
    try:
        stored = describe(channel.ValueType)
    except Exception:  # a channel class of the project
        stored = "?"
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    return ChannelStructure(type(channel).__name__, stored, reducer=None if reducer is None else _name(reducer))


def _edges(graph: Graph) -> Iterator[Edge]:
    builder = getattr(graph, "builder", None)
    if builder is None:
        yield from (Edge(each, name, "edge") for name, node in graph.nodes.items() for each in node.triggers)
        return
    yield from (Edge(start, end, "edge") for start, end in builder.edges)
    yield from (Edge("+".join(sorted(starts)), end, "join") for starts, end in builder.waiting_edges)
    for start, branches in builder.branches.items():
        for branch in branches.values():
            for label, end in (branch.ends or {"": "?"}).items():
                yield Edge(start, end, "branch", str(label))


def _breakpoints(graph: Graph) -> tuple[str, ...]:
    places = (("before", graph.interrupt_before_nodes), ("after", graph.interrupt_after_nodes))
    return tuple(sorted(f"{place} {node}" for place, nodes in places for node in ([nodes] if nodes == "*" else nodes)))


def _schema(annotation: object) -> str:
    return "" if annotation is None else describe(annotation)


def _name(target: object) -> str:
    return str(getattr(target, "__name__", None) or type(target).__name__)
