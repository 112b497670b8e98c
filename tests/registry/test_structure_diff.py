"""What differs between two versions of a graph, in words. A difference that hurts nobody holds no thread."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from slipway.commands.graph_diff import as_text
from slipway.graphs.structure import ChannelStructure, Edge, GraphStructure, NodeStructure
from slipway.graphs.structure_diff import Severity, differences
from slipway.graphs.verdict import PendingTask, Position, VerdictKind
from slipway.graphs.verdicts import verdict_of
from tests.registry.test_verdicts import CHANNELS, OLD, node, with_channels, with_nodes


def found(new: GraphStructure, old: GraphStructure = OLD) -> list[tuple[str, str]]:
    return [(each.code, each.severity) for each in differences(old, new)]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (with_channels("amount"), "channel.removed"),
        (with_channels(amount=ChannelStructure("LastValue", "str")), "channel.type_changed"),
        (with_channels(log=replace(CHANNELS["log"], reducer="merge")), "channel.reducer_changed"),
        (with_channels(amount=replace(CHANNELS["amount"], required=True)), "channel.missing"),
        (with_channels(name=ChannelStructure("LastValue", "str", required=True)), "channel.missing"),
        (with_nodes("review"), "node.removed"),
        (with_nodes(review=node("review", "join:a:review", pauses=("interrupt",))), "node.triggers_changed"),
        (with_nodes(review=node("review")), "node.pauses_changed"),
        (with_nodes(review=node("review", pauses=("interrupt",), subgraph=OLD)), "node.subgraph_changed"),
        (with_nodes(pay=node("pay", "join:prepare+review:pay", deferred=True)), "node.deferred_changed"),
        (replace(OLD, edges=OLD.edges[:1] + OLD.edges[2:]), "join.removed"),
        (replace(OLD, edges=OLD.edges[:-1]), "branch.label_removed"),
        (replace(OLD, behaviour="2"), "behaviour.changed"),
        (replace(OLD, api="functional"), "graph.kind_changed"),
    ],
)
def test_a_difference_that_can_hold_threads_has_the_code_of_the_reason(new: GraphStructure, code: str) -> None:
    assert found(new) == [(code, Severity.THREADS)]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (with_channels(name=ChannelStructure("LastValue", "str")), "channel.added"),
        (with_channels(amount=ChannelStructure("LastValue", "None | int")), "channel.widened"),
        (with_nodes(other=node("other")), "node.added"),
        (with_nodes(prepare=node("prepare", retries=("3 attempts",))), "node.retries_changed"),
        (with_nodes(prepare=node("prepare", prompts={"letter": "7"})), "node.prompt_changed"),
        (with_nodes(prepare=node("prepare", models=("openai:gpt-5",))), "node.models_changed"),
        (replace(OLD, edges=(*OLD.edges, Edge("pay", "prepare", "edge"))), "edge.added"),
        (replace(OLD, edges=OLD.edges[1:]), "edge.removed"),
        (replace(OLD, breakpoints=("before pay",)), "graph.breakpoint_changed"),
    ],
)
def test_what_is_in_no_checkpoint_hurts_nobody(new: GraphStructure, code: str) -> None:
    assert found(new) == [(code, Severity.NONE)]


def test_another_schema_hurts_clients_only() -> None:
    assert found(replace(OLD, input="dict{amount: str}")) == [("graph.input_changed", Severity.CLIENTS)]


def test_differences_in_a_subgraph_name_it_and_are_sorted() -> None:
    outer = with_nodes(review=node("review", subgraph=OLD))
    new = with_nodes(review=node("review", subgraph=with_nodes("pay")))
    new = replace(new, input="dict{}", nodes={**new.nodes, "new": node("new")})
    listed = differences(outer, new)
    assert [each.severity for each in listed] == [Severity.THREADS, Severity.CLIENTS, Severity.NONE]
    assert "node 'pay' in subgraph 'review' is removed" in listed[0].text
    text = as_text("desk@1", "desk@2", listed)
    assert text.splitlines()[:3] == [
        "desk@1 → desk@2:",
        "  can hold stored threads:",
        f"    {listed[0].text} (node.removed)",
    ]
    assert as_text("desk", "desk", []) == "desk: no differences"


def test_equal_structures_have_no_differences() -> None:
    assert found(OLD) == []


def random_graph(random: Random, depth: int = 1) -> GraphStructure:
    names = [name for name in "abc" if random.random() < 0.7]
    branches = {(random.choice("abc"), random.choice(["yes", "no"])) for _ in range(random.randint(0, 3))}
    return GraphStructure(
        api="graph",
        channels={
            name: ChannelStructure(
                random.choice(["LastValue", "BinaryOperatorAggregate"]),
                random.choice(["int", "str", "None | int"]),
                required=random.random() < 0.3,
                reducer=random.choice([None, "add"]),
            )
            for name in "xyz"
            if random.random() < 0.7
        },
        nodes={"__start__": NodeStructure(("__start__",))} | {name: random_node(random, name, depth) for name in names},
        edges=tuple(Edge(start, random.choice("abc"), "branch", label) for start, label in sorted(branches)),
        behaviour=random.choice(["", "", "2"]),
    )


def random_node(random: Random, name: str, depth: int) -> NodeStructure:
    return node(
        name,
        *([f"join:a+b:{name}"] if random.random() < 0.3 else []),
        deferred=random.random() < 0.2,
        pauses=random.choice([(), ("interrupt",), ("interrupt", "task b")]),
        subgraph=random_graph(random, depth - 1) if depth and random.random() < 0.3 else None,
    )


def random_position(random: Random, graph: GraphStructure) -> Position:
    """A position in this graph."""
    tasks = [random_task(random, name, each) for name, each in graph.nodes.items() if random.random() < 0.5]
    filled = {name for name, each in graph.channels.items() if each.required or random.random() < 0.7}
    joins = {channel for each in graph.nodes.values() for channel in each.triggers if channel.startswith("join")}
    return Position(
        tuple(tasks),
        frozenset(filled),
        frozenset(name for name in filled if random.random() < 0.2),
        {channel: ["a"] for channel in sorted(joins) if random.random() < 0.5},
        {
            name: random_position(random, each.subgraph)
            for name, each in graph.nodes.items()
            if each.subgraph is not None and random.random() < 0.5
        },
    )


def random_task(random: Random, name: str, each: NodeStructure) -> PendingTask:
    return PendingTask(
        name,
        (random.choice(each.triggers),),
        interrupted=random.random() < 0.4,
        started=random.random() < 0.4,
        finished=random.random() < 0.2,
        inside=random_position(random, each.subgraph) if each.subgraph is not None and random.random() < 0.5 else None,
    )


SAME_CAUSE = {
    "node.results_misplaced": {"node.pauses_changed"},
    "node.start_removed": {"node.triggers_changed"},
    "node.subgraph_changed": {"node.removed"},
    "join.removed": {"node.triggers_changed", "node.removed"},
}
"""Reasons that name the same difference from the point of view of a thread."""


@pytest.mark.parametrize("seed", range(4))
def test_a_thread_is_held_only_for_reasons_that_the_differences_name(seed: int) -> None:
    random, held = Random(seed), 0
    for _ in range(1000):
        old, new = random_graph(random), random_graph(random)
        position = random_position(random, old)
        named = {each.code for each in differences(old, new) if each.severity is Severity.THREADS}
        for reason in verdict_of(old, new, position).reasons:
            assert ({reason.code} | SAME_CAUSE.get(reason.code, set())) & named, (reason, named)
            held += 1
        assert verdict_of(old, old, position).kind is VerdictKind.CONTINUE
    assert held > 1000
