"""What differs between two versions of a graph, in words, and which stored threads a difference can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slipway.graphs.structure import ChannelStructure, Edge, GraphStructure, NodeStructure
from slipway.graphs.type_texts import accepts


class Severity(StrEnum):
    """Whom a difference can hurt, the most severe first."""

    THREADS = "threads"
    """Stored threads at certain positions: a verdict may hold them."""
    CLIENTS = "clients"
    """Clients that send or read what has changed."""
    NONE = "none"
    """Nobody: nothing of it is in a checkpoint."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference."""

    code: str
    """Stable. A difference that can hold threads has the code of the reason for which they are held."""
    severity: Severity
    text: str
    """A sentence that names what has changed, and which threads that can hold."""


_ORDER: Final = {severity: rank for rank, severity in enumerate(Severity)}
_SCHEMAS: Final = ("input", "output", "context")


def differences(old: GraphStructure, new: GraphStructure) -> list[Difference]:
    """All differences, the most severe first. Empty if the structures are equal."""
    found = [*_behaviours(old, new), *_in_graph(old, new, "")]
    return sorted(found, key=lambda each: _ORDER[each.severity])


def _behaviours(old: GraphStructure, new: GraphStructure) -> Iterator[Difference]:
    if old.behaviour != new.behaviour:
        yield _threads(
            "behaviour.changed",
            f"the declared behaviour is {new.behaviour or 'none'} instead of {old.behaviour or 'none'}: threads that "
            "are under way are held without a migration",
        )


def _in_graph(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    if old.api != new.api:
        yield _threads(
            "graph.kind_changed", f"the graph{where} is {_api(new)} and was {_api(old)}: every thread is held"
        )
        return
    yield from _channels(old, new, where)
    yield from _nodes(old, new, where)
    yield from _edges(old, new, where)
    yield from _schemas(old, new, where)
    yield from _breakpoints(old, new, where)


def _channels(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    for name, channel in new.channels.items():
        if name not in old.channels:
            yield _added_channel(name, channel, where)
    for name, before in old.channels.items():
        after = new.channels.get(name)
        if after is None:
            yield _threads(
                "channel.removed",
                f"channel {name!r}{where} is removed: threads that have a value of it are held, because it would be "
                "lost",
            )
        else:
            yield from _channel(name, before, after, where)


def _added_channel(name: str, channel: ChannelStructure, where: str) -> Difference:
    if channel.required:
        return _threads(
            "channel.missing",
            f"channel {name!r}{where} ({channel.type}) is added and required: threads that are under way are held",
        )
    return Difference("channel.added", Severity.NONE, f"channel {name!r}{where} ({channel.type}) is added")


def _channel(name: str, before: ChannelStructure, after: ChannelStructure, where: str) -> Iterator[Difference]:
    if not after.combines_as(before):
        yield _threads(
            "channel.reducer_changed",
            f"channel {name!r}{where} is {after} and was {before}: threads that have a value of it are held",
        )
    if not accepts(after.type, before.type):
        yield _threads(
            "channel.type_changed",
            f"channel {name!r}{where} has type {after.type} and had {before.type}: threads that have a value of it are "
            "held",
        )
    elif after.type != before.type:
        yield Difference(
            "channel.widened", Severity.NONE, f"channel {name!r}{where} has type {after.type} and had {before.type}"
        )
    if after.required and not before.required:
        yield _threads(
            "channel.missing",
            f"channel {name!r}{where} has become required: threads that are under way and have no value of it are held",
        )


def _nodes(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    for name in new.nodes.keys() - old.nodes.keys():
        yield Difference("node.added", Severity.NONE, f"node {name!r}{where} is added")
    for name, before in old.nodes.items():
        after = new.nodes.get(name)
        if after is None:
            yield _threads(
                "node.removed",
                f"node {name!r}{where} is removed: threads in which it is next or under way are held, unless a "
                "migration renames it",
            )
        else:
            yield from _node(name, before, after, where)


def _node(name: str, before: NodeStructure, after: NodeStructure, where: str) -> Iterator[Difference]:
    if before.triggers != after.triggers:
        yield _threads(
            "node.triggers_changed",
            f"node {name!r}{where} is started by {', '.join(after.triggers)} and was by {', '.join(before.triggers)}: "
            "threads in which it is under way are held without a migration",
        )
    if before.pauses != after.pauses:
        yield _threads(
            "node.pauses_changed",
            f"node {name!r}{where} calls [{', '.join(after.pauses)}] and called [{', '.join(before.pauses)}]: threads "
            "in which it waits for an answer or has results are held",
        )
    if before.deferred != after.deferred:
        yield _threads(
            "node.deferred_changed",
            f"node {name!r}{where} is {'' if after.deferred else 'not '}deferred: threads in which it is next are held",
        )
    if (before.subgraph is None) != (after.subgraph is None):
        change = "has become a subgraph" if before.subgraph is None else "is no subgraph any more"
        yield _threads(
            "node.subgraph_changed", f"node {name!r}{where} {change}: threads in which it is under way are held"
        )
    if before.subgraph is not None and after.subgraph is not None:
        yield from _in_graph(before.subgraph, after.subgraph, f" in subgraph {name!r}{where}")
    yield from _declared(name, before, after, where)


def _declared(name: str, before: NodeStructure, after: NodeStructure, where: str) -> Iterator[Difference]:
    for prompt in sorted({*before.prompts, *after.prompts}):
        if before.prompts.get(prompt) != after.prompts.get(prompt):
            yield Difference(
                "node.prompt_changed",
                Severity.NONE,
                f"node {name!r}{where} has prompt {prompt!r} {after.prompts.get(prompt, 'no more')} and had "
                f"{before.prompts.get(prompt, 'none')}",
            )
    for code, title, was, now in (
        ("node.models_changed", "models", before.models, after.models),
        ("node.retries_changed", "retries", before.retries, after.retries),
    ):
        if was != now:
            yield Difference(
                code,
                Severity.NONE,
                f"node {name!r}{where} has {title} {', '.join(now) or 'none'} and had {', '.join(was) or 'none'}",
            )


def _edges(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    before, after = set(old.edges), set(new.edges)
    for edge in sorted(after - before):
        yield Difference("edge.added", Severity.NONE, f"{_edge(edge)}{where} is added")
    labels = {(edge.start, edge.label) for edge in after if edge.kind == "branch"}
    open_branches = {edge.start for edge in after if edge.kind == "branch" and edge.end == "?"}
    for edge in sorted(before - after):
        if edge.kind == "join":
            yield _threads(
                "join.removed",
                f"{_edge(edge)}{where} is removed: threads in which it has seen some of its nodes, or has started "
                f"{edge.end!r}, are held",
            )
        elif edge.label and (edge.start, edge.label) not in labels and edge.start not in open_branches:
            yield _threads(
                "branch.label_removed",
                f"{_edge(edge)}{where} is removed with its label: threads in which {edge.start!r} is next are held",
            )
        else:
            yield Difference("edge.removed", Severity.NONE, f"{_edge(edge)}{where} is removed")


def _schemas(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    for name in _SCHEMAS:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            text = f"the {name}{where} is {now or 'not declared'} and was {was or 'not declared'}"
            yield Difference(f"graph.{name}_changed", Severity.NONE if where else Severity.CLIENTS, text)


def _breakpoints(old: GraphStructure, new: GraphStructure, where: str) -> Iterator[Difference]:
    for place in sorted({*old.breakpoints} ^ {*new.breakpoints}):
        change = "is added" if place in new.breakpoints else "is removed"
        yield Difference("graph.breakpoint_changed", Severity.NONE, f"the breakpoint {place}{where} {change}")


def _threads(code: str, text: str) -> Difference:
    return Difference(code, Severity.THREADS, text)


def _api(graph: GraphStructure) -> str:
    return "an @entrypoint" if graph.api == "functional" else "a graph of nodes"


def _edge(edge: Edge) -> str:
    if edge.kind == "join":
        return f"the join of {edge.start.replace('+', ' and ')} into {edge.end!r}"
    label = f" for label {edge.label!r}" if edge.label and edge.label != edge.end else ""
    return f"the {edge.kind} from {edge.start!r} to {edge.end!r}{label}"
