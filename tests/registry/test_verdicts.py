"""Verdicts about threads, from the structures of two versions and the position of the thread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slipway.graphs.structure import ChannelStructure, Edge, GraphStructure, NodeStructure
from slipway.graphs.type_texts import accepts
from slipway.graphs.verdict import PendingTask, Position, VerdictKind
from slipway.graphs.verdicts import NOT_FOR_MIGRATIONS, REASON_CODES, verdict_of

CHANNELS = {
    "amount": ChannelStructure("LastValue", "int"),
    "log": ChannelStructure("BinaryOperatorAggregate", "list[str]", reducer="add"),
    "answer": ChannelStructure("LastValue", "str"),
}


def node(name: str, *joins: str, **members: Any) -> NodeStructure:
    return NodeStructure(triggers=tuple(sorted((f"branch:to:{name}", *joins))), **members)


OLD = GraphStructure(
    api="graph",
    channels=CHANNELS,
    nodes={
        "__start__": NodeStructure(("__start__",)),
        "prepare": node("prepare"),
        "review": node("review", pauses=("interrupt",)),
        "pay": node("pay", "join:prepare+review:pay"),
    },
    edges=(
        Edge("prepare", "review", "edge"),
        Edge("prepare+review", "pay", "join"),
        Edge("review", "pay", "branch", "yes"),
        Edge("review", "prepare", "branch", "again"),
    ),
)

NEXT = PendingTask("review", ("branch:to:review",))
ASKED = replace(NEXT, interrupted=True)
ANSWERED = replace(ASKED, started=True)
VALUES = frozenset({"amount", "log"})
IDLE = Position(channels=VALUES)


def at(*tasks: PendingTask, **members: Any) -> Position:
    return Position(tasks, **{"channels": VALUES, **members})


def codes(new: GraphStructure, position: Position, old: GraphStructure | None = OLD) -> list[str]:
    verdict = verdict_of(old, new, position)
    assert (verdict.kind is VerdictKind.HOLD) == bool(verdict.reasons)
    return [reason.code for reason in verdict.reasons]


def with_nodes(removed: str = "", **nodes: NodeStructure) -> GraphStructure:
    return replace(OLD, nodes={name: each for name, each in {**OLD.nodes, **nodes}.items() if name != removed})


def with_channels(removed: str = "", **channels: ChannelStructure) -> GraphStructure:
    kept = {name: each for name, each in {**OLD.channels, **channels}.items() if name != removed}
    return replace(OLD, channels=kept)


@pytest.mark.parametrize("position", [Position(), IDLE, at(NEXT), at(ASKED), at(ANSWERED)])
def test_the_same_structure_continues_at_every_position(position: Position) -> None:
    assert verdict_of(OLD, OLD, position).kind is VerdictKind.CONTINUE
    assert codes(OLD, position, old=None) == []


def test_edges_nodes_and_channels_may_be_added_under_a_question() -> None:
    new = replace(
        with_nodes(escalate=node("escalate")),
        channels={**CHANNELS, "note": ChannelStructure("LastValue", "str")},
        edges=(*OLD.edges, Edge("review", "escalate", "branch", "no"), Edge("escalate", "pay", "edge")),
    )
    assert codes(new, at(ASKED)) == []


def test_a_thread_between_two_runs_survives_every_change_of_nodes_and_edges() -> None:
    new = replace(OLD, nodes={"__start__": OLD.nodes["__start__"], "other": node("other")}, edges=())
    assert codes(new, replace(IDLE, waiting_joins={"join:prepare+review:pay": ["prepare"]})) == []
    assert codes(replace(OLD, behaviour="2"), IDLE) == []


@pytest.mark.parametrize("old", [OLD, None], ids=["structure", "no structure"])
@pytest.mark.parametrize(
    ("task", "words"), [(NEXT, "is next"), (ASKED, "is under way"), (replace(NEXT, finished=True), "has finished")]
)
def test_a_removed_node_holds_the_threads_that_are_at_it(old: GraphStructure | None, task: Any, words: str) -> None:
    new = with_nodes("review", human_review=node("human_review"))
    verdict = verdict_of(old, new, at(task))
    assert [reason.code for reason in verdict.reasons] == ["node.removed"]
    assert words in verdict.reasons[0].text
    assert ("human_review" in verdict.reasons[0].text) == (old is not None)


def test_a_send_to_a_removed_node_holds() -> None:
    assert codes(with_nodes("review"), at(PendingTask("review", is_send=True))) == ["node.removed"]


def test_a_node_whose_start_is_gone_holds() -> None:
    done = PendingTask("pay", ("join:prepare+review:pay",))
    assert codes(with_nodes(pay=node("pay")), at(done)) == ["node.start_removed"]
    assert codes(with_nodes(pay=node("pay")), at(done), old=None) == ["node.start_removed"]
    assert codes(OLD, at(done)) == []


def test_other_starts_hold_only_a_node_that_is_under_way() -> None:
    new = with_nodes(review=node("review", "join:a+b:review", pauses=("interrupt",)))
    assert codes(new, at(NEXT)) == []
    assert codes(new, at(ASKED)) == ["node.triggers_changed"]
    assert codes(new, at(replace(NEXT, finished=True))) == ["node.triggers_changed"]
    assert codes(new, at(PendingTask("review", is_send=True, interrupted=True))) == []


def test_other_pauses_hold_only_a_node_that_waits_or_has_results() -> None:
    new = with_nodes(review=node("review", pauses=("task quote", "interrupt")))
    assert codes(new, at(NEXT)) == []
    assert codes(new, at(replace(NEXT, finished=True))) == []
    assert codes(new, at(ASKED)) == ["node.pauses_changed"]
    assert codes(new, at(ANSWERED)) == ["node.results_misplaced"]


def test_an_entrypoint_whose_tasks_have_another_order_holds() -> None:
    def flow(*pauses: str) -> GraphStructure:
        return GraphStructure("functional", {}, {"desk": NodeStructure(("__start__",), pauses)}, ())

    under_way = at(PendingTask("desk", ("__start__",), interrupted=True, started=True), channels=frozenset())
    new = flow("task confirm", "task quote")
    assert codes(new, under_way, old=flow("task quote", "task confirm")) == ["node.results_misplaced"]
    assert codes(new, Position(channels=frozenset({"__previous__"})), old=flow("task quote")) == ["channel.removed"]


def test_a_join_that_waits_holds_if_it_is_gone() -> None:
    waiting = {"join:prepare+review:pay": ["prepare"]}
    assert codes(with_nodes(pay=node("pay", "join:review+prepare:pay")), at(NEXT, waiting_joins=waiting)) == [
        "join.removed"
    ]
    assert codes(with_nodes("pay"), at(NEXT, waiting_joins=waiting)) == ["join.removed"]
    assert codes(OLD, at(NEXT, waiting_joins=waiting)) == []


def test_a_node_that_is_deferred_in_one_version_only_holds_if_it_is_next() -> None:
    waiting = {"join:prepare+review:pay": ["prepare"]}
    new = with_nodes(pay=node("pay", "join:prepare+review:pay", deferred=True))
    assert codes(new, at(PendingTask("pay", ("branch:to:pay",)))) == ["node.deferred_changed"]
    assert codes(new, at(NEXT, waiting_joins=waiting)) == ["node.deferred_changed"]
    assert codes(new, at(NEXT)) == []


def test_a_lost_label_holds_the_threads_that_are_before_its_branch() -> None:
    new = replace(OLD, edges=tuple(edge for edge in OLD.edges if edge.label != "again"))
    assert codes(new, at(NEXT)) == ["branch.label_removed"]
    assert codes(new, at(PendingTask("prepare", ("branch:to:prepare",)))) == []
    assert codes(new, IDLE) == []
    anything = replace(OLD, edges=(Edge("review", "?", "branch"),))
    assert codes(anything, at(NEXT)) == []


@pytest.mark.parametrize("position", [IDLE, at(ASKED)], ids=["idle", "asked"])
def test_a_value_that_would_be_lost_holds(position: Position) -> None:
    new = with_channels("amount", total=CHANNELS["amount"])
    verdict = verdict_of(OLD, new, position)
    assert [reason.code for reason in verdict.reasons] == ["channel.removed"]
    assert "total" in verdict.reasons[0].text
    assert codes(new, position, old=None) == ["channel.removed"]
    assert codes(new, replace(position, empty=frozenset({"amount"}))) == []
    assert codes(with_channels("answer"), position) == []
    assert codes(with_channels(amount=ChannelStructure("managed", "int")), position) == ["channel.removed"]


def test_a_value_that_the_project_has_given_up_holds_only_what_is_under_way() -> None:
    new = replace(with_channels("amount"), removed_channels=frozenset({"amount"}))
    assert codes(new, IDLE) == []
    assert codes(new, at(ASKED)) == ["channel.removed"]
    assert new.fingerprint == with_channels("amount").fingerprint


def test_a_value_of_another_type_or_reducer_holds() -> None:
    assert codes(with_channels(amount=ChannelStructure("LastValue", "str")), IDLE) == ["channel.type_changed"]
    assert codes(with_channels(amount=ChannelStructure("LastValue", "None | int")), IDLE) == []
    assert codes(with_channels(answer=ChannelStructure("LastValue", "int")), IDLE) == []
    summed = ChannelStructure("BinaryOperatorAggregate", "int", reducer="add")
    assert codes(with_channels(amount=summed), IDLE) == ["channel.reducer_changed"]
    other = replace(CHANNELS["log"], reducer="merge")
    assert codes(with_channels(log=other), at(NEXT)) == ["channel.reducer_changed"]


def test_a_required_channel_without_a_value_holds_a_thread_that_is_under_way() -> None:
    new = with_channels(customer=ChannelStructure("LastValue", "str", required=True))
    assert codes(new, at(NEXT)) == ["channel.missing"]
    assert codes(new, IDLE) == []
    assert codes(new, at(NEXT, channels=VALUES | {"customer"})) == []


def test_another_behaviour_holds_what_is_under_way() -> None:
    assert codes(replace(OLD, behaviour="2"), at(NEXT)) == ["behaviour.changed"]


INNER = replace(OLD, nodes={"ask": node("ask", pauses=("interrupt",))}, edges=())


def outer(inner: GraphStructure | None) -> GraphStructure:
    return with_nodes(review=node("review", subgraph=inner))


def test_reasons_inside_a_subgraph_name_it() -> None:
    inside = Position((PendingTask("ask", ("branch:to:ask",), interrupted=True),), VALUES)
    position = at(replace(ANSWERED, inside=inside))
    renamed = replace(INNER, nodes={"question": node("question")})
    verdict = verdict_of(outer(INNER), outer(renamed), position)
    assert [reason.code for reason in verdict.reasons] == ["node.removed"]
    assert "node 'ask' in subgraph 'review'" in verdict.reasons[0].text
    assert codes(outer(renamed), position, old=None) == ["node.removed"]
    assert codes(outer(INNER), position, old=outer(INNER)) == []


def test_a_subgraph_that_becomes_a_node_holds_what_is_inside() -> None:
    inside = at(replace(ANSWERED, inside=IDLE))
    assert codes(outer(None), inside, old=outer(INNER)) == ["node.subgraph_changed"]
    assert codes(outer(INNER), at(ASKED), old=outer(None)) == ["node.subgraph_changed"]
    assert codes(outer(INNER), at(NEXT), old=outer(None)) == []
    assert codes(outer(INNER), at(replace(ANSWERED, inside=IDLE)), old=outer(None)) == ["node.subgraph_changed"]


def test_values_of_a_subgraph_that_keeps_its_state_count_between_two_runs() -> None:
    position = replace(IDLE, subgraphs={"review": IDLE})
    lost = replace(INNER, channels={"log": CHANNELS["log"]})
    assert codes(outer(lost), position, old=outer(INNER)) == ["channel.removed"]
    assert codes(with_nodes("review"), position, old=outer(INNER)) == []


def test_an_entrypoint_instead_of_a_graph_holds_every_thread_with_a_state() -> None:
    new = GraphStructure("functional", {}, {"desk": NodeStructure(("__start__",))}, ())
    assert codes(new, IDLE) == ["graph.kind_changed"]
    assert codes(new, Position()) == []


def test_registered_migrations_are_always_applied_unless_they_cannot_help() -> None:
    chain = [("1", "2"), ("2", "3")]
    renamed = with_nodes("review", human_review=node("human_review"))
    for new, position in ((renamed, at(ASKED)), (OLD, at(NEXT)), (OLD, IDLE), (replace(OLD, behaviour="2"), at(NEXT))):
        verdict = verdict_of(OLD, new, position, chain)
        assert (verdict.kind, verdict.migrations) == (VerdictKind.MIGRATE, (("1", "2"), ("2", "3")))
    assert verdict_of(OLD, OLD, Position(), chain).kind is VerdictKind.CONTINUE
    reordered = with_nodes(review=node("review", pauses=("interrupt", "task quote")))
    assert verdict_of(OLD, reordered, at(ASKED), chain).kind is VerdictKind.MIGRATE
    held = verdict_of(OLD, reordered, at(ANSWERED), chain)
    assert (held.kind, held.migrations) == (VerdictKind.HOLD, ())


def test_reasons_are_named_once_and_the_most_severe_first() -> None:
    new = replace(with_nodes("review"), channels={}, behaviour="2")
    assert codes(new, at(NEXT, NEXT)) == ["node.removed", "channel.removed", "channel.removed", "behaviour.changed"]


def test_a_run_with_an_input_drops_the_tasks() -> None:
    position = at(ASKED, subgraphs={"review": at(ASKED)})
    assert codes(with_nodes("review"), position.before_input()) == []
    assert position.before_input().subgraphs["review"].is_idle


def test_the_codes_that_no_migration_can_remove_exist() -> None:
    assert REASON_CODES.keys() >= NOT_FOR_MIGRATIONS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "int"),
        ("int", "Any"),
        ("int", "None | int"),
        ("None | int", "None | int | str"),
        ("Literal['a', 'b, c']", "Literal['a', 'b, c', 'd']"),
        ("Literal['a']", "Literal['a'] | None"),
        ("list[int]", "list[int | str]"),
        ("list[int]", "list"),
        ("dict[str, list[int]]", "dict[str, list[None | int]]"),
        ("dict{a: int, b: str}", "dict{a: int}"),
        ("list[dict{a: int}]", "list[dict{a: None | int}]"),
        ("m.Order{a: int}", "None | m.Order{a: int}"),
        ("dict{}", "dict{}"),
        ("m.Order{a: int}", "m.Order{a: int, b?: int}"),
        ("m.Order{a: int}", "m.Order{a?: int | None}"),
        ("dict{a: int}", "dict{a: int, b?: list[m.Order{c: int}]}"),
        ("list[m.Order{a: int}]", "list[m.Order{a: int, b?: dict[str, int]}]"),
        ("m.Shade{DARK='d'}", "m.Shade{DARK='d', LIGHT='l'}"),
    ],
)
def test_a_wider_type_accepts_stored_values(old: str, new: str) -> None:
    assert accepts(new, old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "str"),
        ("?", "int"),
        ("None | int", "int"),
        ("Any", "int"),
        ("Literal['a', 'b']", "Literal['a']"),
        ("Literal['a | b']", "Literal['a'] | Literal['b']"),
        ("list[int]", "list[str]"),
        ("list", "list[int]"),
        ("list[int]", "set[int]"),
        ("dict{a: int}", "dict{a: int, b: int}"),
        ("dict[str, int]", "dict{a: int}"),
        ("m.Order{a: int}", "m.Order{a: int, b: int}"),
        ("m.Order{a: int, b: list[int]}", "m.Order{a: int}"),
        ("m.Order{a: int, b?: int}", "m.Order{a: int}"),
        ("m.Order{a?: int}", "m.Order{a: int}"),
        ("m.Order{a: int}", "m.Other{a: int, b?: int}"),
        ("dict{a?: int}", "dict{a: int}"),
        ("m.Shade{DARK='d', LIGHT='l'}", "m.Shade{LIGHT='l'}"),
        ("m.Shade{DARK='d'}", "m.Shade{DARK='D'}"),
        ("list[m.Order{a: int}]", "list[m.Order{a: int, b: int}]"),
    ],
)
def test_a_narrower_or_other_type_does_not(old: str, new: str) -> None:
    assert not accepts(new, old)
