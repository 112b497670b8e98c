"""Reads the structure of a compiled graph.

It takes some milliseconds, calls no code of the project except properties of its channel classes, and never fails: what
cannot be described is `?`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from langgraph.channels import LastValueAfterFinish
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from langgraph.types import RetryPolicy
from pydantic import BaseModel

from slipway.graphs.annotation_text import describe, describe_fields
from slipway.graphs.code_references import BoundFunction
from slipway.graphs.interface import Graph
from slipway.graphs.read_code import read_code
from slipway.graphs.structure import ChannelStructure, Edge, GraphStructure, NodeStructure

_INTERNAL: Final = ("branch:", "join:", "__pregel_")

_PREVIOUS: Final = "__previous__"
"""The channel with what the last run of an `@entrypoint` saved."""

_DEFAULT_RETRIES: Final = RetryPolicy()


def structure_of(graph: Graph, behaviour: str = "", removed_channels: Iterable[str] = ()) -> GraphStructure:
    """The structure of the graph and of its subgraphs. `behaviour` and `removed_channels` are what langgraph.json says
    about it."""
    builder = getattr(graph, "builder", None)
    subgraphs = {name: sub for name, sub in graph.get_subgraphs() if isinstance(sub, Pregel)}
    quiet = set[BoundFunction]()
    return GraphStructure(
        api="functional" if _PREVIOUS in graph.channels else "graph",
        channels=_channels(graph),
        nodes={name: _node(graph, name, subgraphs, quiet) for name in sorted(graph.nodes)},
        edges=tuple(sorted(_edges(graph))),
        input=_schema(getattr(builder, "input_schema", None)),
        output=_schema(getattr(builder, "output_schema", None)),
        context=_schema(graph.context_schema),
        breakpoints=_breakpoints(graph),
        behaviour=behaviour,
        removed_channels=frozenset(removed_channels),
    )


def _node(graph: Graph, name: str, subgraphs: Mapping[str, Graph], quiet: set[BoundFunction]) -> NodeStructure:
    node = graph.nodes[name]
    code = read_code(node.bound, quiet)
    return NodeStructure(
        triggers=tuple(sorted(node.triggers)),
        pauses=code.pauses,
        retries=_retries(node.retry_policy or graph.retry_policy),
        deferred=any(isinstance(graph.channels.get(each), LastValueAfterFinish) for each in node.triggers),
        prompts=code.uses.prompts,
        models=code.uses.models,
        subgraph=structure_of(subgraphs[name]) if name in subgraphs else None,
    )


def _retries(policies: RetryPolicy | Sequence[RetryPolicy] | None) -> tuple[str, ...]:
    """Only members that differ from the library's defaults: an update of the library changes no text."""
    return tuple(map(_retry, [policies] if isinstance(policies, RetryPolicy) else policies or ()))


def _retry(policy: RetryPolicy) -> str:
    members = zip(policy._fields, policy, _DEFAULT_RETRIES, strict=True)
    changed = [f"{name}={_retry_member(value)}" for name, value, default in members if value != default]
    return ", ".join(changed) or "default"


def _retry_member(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "|".join(sorted(map(_name, value)))
    return _name(value) if callable(value) else str(value)


def _channels(graph: Graph) -> dict[str, ChannelStructure]:
    builder = getattr(graph, "builder", None)
    declared: Mapping[str, Any] = graph.channels if builder is None else {**builder.channels, **builder.managed}
    required = _required(builder)
    return {
        name: _channel(each, name in required)
        for name, each in sorted(declared.items())
        if not name.startswith(_INTERNAL)
    }


def _required(builder: Any) -> set[str]:
    """The channels without which the state class of the graph or of a node cannot be created. Typed dicts accept every
    state."""
    if builder is None:
        return set()
    schemas = [builder.state_schema, *(node.input_schema for node in builder.nodes.values())]
    return {name for schema in schemas for name in _fields_without_default(schema)}


def _fields_without_default(schema: object) -> Iterator[str]:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        yield from (name for name, field in schema.model_fields.items() if field.is_required())
    elif isinstance(schema, type) and dataclasses.is_dataclass(schema):
        for field in dataclasses.fields(schema):
            if field.init and field.default is field.default_factory is dataclasses.MISSING:
                yield field.name


def _channel(channel: object, required: bool) -> ChannelStructure:
    if not isinstance(channel, BaseChannel):  # a managed value, such as RemainingSteps: computed, never stored
        return ChannelStructure(kind="managed", type=_name(channel))
    try:
        stored = describe(channel.ValueType)
    except Exception:  # a channel class of the project
        stored = "?"
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    return ChannelStructure(
        type(channel).__name__, stored, required=required, reducer=None if reducer is None else _name(reducer)
    )


def _edges(graph: Graph) -> Iterator[Edge]:
    builder = getattr(graph, "builder", None)
    if builder is None:
        yield from (Edge(each, name, "edge") for name, node in graph.nodes.items() for each in node.triggers)
        return
    yield from (Edge(start, end, "edge") for start, end in builder.edges)
    yield from (Edge("+".join(sorted(starts)), end, "join") for starts, end in builder.waiting_edges)
    for name, node in builder.nodes.items():
        yield from (Edge(name, end, "branch") for end in node.ends or ())  # the targets of the commands that it returns
    for start, branches in builder.branches.items():
        for branch in branches.values():
            for label, end in (branch.ends or {"": "?"}).items():
                yield Edge(start, end, "branch", str(label))


def _breakpoints(graph: Graph) -> tuple[str, ...]:
    places = (("before", graph.interrupt_before_nodes), ("after", graph.interrupt_after_nodes))
    return tuple(sorted(f"{place} {node}" for place, nodes in places for node in ([nodes] if nodes == "*" else nodes)))


def _schema(annotation: object) -> str:
    return "" if annotation is None else describe_fields(annotation)


def _name(target: object) -> str:
    return str(getattr(target, "__name__", None) or type(target).__name__)
