"""What LangGraph does with a stored thread when another version of its graph continues it, and that the verdict holds
the thread wherever LangGraph would lose or repeat something, which it does without an error in most cases."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.graphs.read_structure import structure_of
from slipway.graphs.verdict import Verdict, VerdictKind
from slipway.graphs.verdicts import verdict_of
from slipway.thread_positions.reader import PositionReader

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}

Graph = Any
Build = Callable[[CoreCheckpointer], Graph]


class State(TypedDict, total=False):
    amount: int
    approved: str
    log: Annotated[list[str], operator.add]


class Renamed(TypedDict, total=False):
    amount: int
    confirmed: str
    log: Annotated[list[str], operator.add]


async def verdict(core: CoreCheckpointer, old: Graph, new: Graph) -> Verdict:
    structure = structure_of(old)
    return verdict_of(structure, structure_of(new), await PositionReader(core).read("t", structure))


async def codes(core: CoreCheckpointer, old: Graph, new: Graph) -> list[str]:
    found = await verdict(core, old, new)
    assert found.kind is VerdictKind.HOLD
    return [reason.code for reason in found.reasons]


def note(text: str) -> Any:
    async def node(state: Any) -> dict[str, Any]:
        return {"log": [text]}

    return node


def desk(core: CoreCheckpointer, key: str = "approved", state: Any = State) -> Graph:
    """Asks for a decision until the state has one, then reports it."""

    async def ask(values: Any) -> dict[str, Any]:
        return {"log": ["asked"], key: interrupt("may I pay?")}

    async def confirm(values: Any) -> dict[str, Any]:
        interrupt("really?")
        return {"log": ["confirmed"]}

    builder: Any = StateGraph(state)
    builder.add_node("ask", ask)
    builder.add_node("confirm", confirm)
    builder.add_node("pay", note("paid"))
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "confirm")
    builder.add_conditional_edges("confirm", lambda values: "pay" if values.get(key) else "ask", ["pay", "ask"])
    return builder.compile(core)


async def test_a_state_key_that_is_gone_makes_the_graph_ask_again(core: CoreCheckpointer) -> None:
    """The person has decided, the key of the decision is renamed: LangGraph drops the value and asks a second time."""
    old, new = desk(core), desk(core, "confirmed", Renamed)
    await old.ainvoke({"amount": 5, "log": []}, CONFIG)
    await old.ainvoke(Command(resume="yes"), CONFIG)
    assert await codes(core, old, new) == ["channel.removed"]
    result = await new.ainvoke(Command(resume="yes"), CONFIG)
    assert result["__interrupt__"][0].value == "may I pay?"
    assert "confirmed" not in result


async def test_a_key_that_only_one_node_still_writes_makes_the_graph_ask_for_ever(core: CoreCheckpointer) -> None:
    """The state has lost the key, and a node still writes it. LangGraph ignores what it writes and no answer counts."""
    old, new = desk(core), desk(core, "approved", Renamed)
    await old.ainvoke({"amount": 5, "log": []}, CONFIG)
    await old.ainvoke(Command(resume="yes"), CONFIG)
    assert await codes(core, old, new) == ["channel.removed"]
    for _ in range(3):
        asked = await new.ainvoke(Command(resume="yes"), CONFIG)
        assert asked["__interrupt__"][0].value == "may I pay?"
        asked = await new.ainvoke(Command(resume="yes"), CONFIG)
        assert asked["__interrupt__"][0].value == "really?"


def pair(core: CoreCheckpointer, second: str = "review", **options: Any) -> Graph:
    async def ask(values: Any) -> dict[str, Any]:
        return {"approved": interrupt("may I pay?")}

    builder: Any = StateGraph(State)
    builder.add_node("prepare", note("prepared"))
    builder.add_node(second, ask)
    builder.add_node("pay", note("paid"))
    builder.add_edge(START, "prepare")
    builder.add_edge("prepare", second)
    builder.add_edge(second, "pay")
    return builder.compile(core, **options)


async def test_a_renamed_node_that_is_next_ends_the_run_as_if_it_had_succeeded(core: CoreCheckpointer) -> None:
    old, new = pair(core), pair(core, "human_review")
    await old.ainvoke({"amount": 5, "log": []}, CONFIG)
    assert await codes(core, old, new) == ["node.removed"]
    result = await new.ainvoke(Command(resume="yes"), CONFIG)
    assert (await new.aget_state(CONFIG)).next == ()
    assert result["log"] == ["prepared"], "nothing was paid, and nothing failed"


def sender(core: CoreCheckpointer, target: str) -> Graph:
    builder: Any = StateGraph(State)
    builder.add_node("plan", note("planned"))
    builder.add_node(target, note("checked"))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda values: [Send(target, {}), Send(target, {})], [target])
    return builder.compile(core, interrupt_before=[target])


async def test_a_send_to_a_renamed_node_is_ignored(core: CoreCheckpointer) -> None:
    old, new = sender(core, "check"), sender(core, "verify")
    await old.ainvoke({"log": []}, CONFIG)
    assert await codes(core, old, new) == ["node.removed"]
    assert (await new.ainvoke(None, CONFIG))["log"] == ["planned"]


def router(core: CoreCheckpointer, labels: dict[str, str]) -> Graph:
    """The label is in the state since the first node."""

    async def classify(values: Any) -> dict[str, Any]:
        return {"approved": "escalate"}

    builder: Any = StateGraph(State)
    builder.add_node("classify", classify)
    builder.add_node("wait", note("waited"))
    builder.add_node("pay", note("paid"))
    builder.add_edge(START, "classify")
    builder.add_edge("classify", "wait")
    builder.add_conditional_edges("wait", lambda values: values["approved"], labels)
    builder.add_edge("pay", END)
    return builder.compile(core, interrupt_before=["wait"])


async def test_a_stored_choice_of_a_lost_label_fails_the_run(core: CoreCheckpointer) -> None:
    old, new = router(core, {"escalate": "pay", "yes": "pay"}), router(core, {"yes": "pay"})
    await old.ainvoke({"log": []}, CONFIG)
    assert await codes(core, old, new) == ["branch.label_removed"]
    with pytest.raises(KeyError, match="escalate"):
        await new.ainvoke(None, CONFIG)


def joined(core: CoreCheckpointer, *before_ask: str, starts: list[str]) -> Graph:
    async def ask(values: Any) -> dict[str, Any]:
        return {"approved": interrupt("may I pay?")}

    builder: Any = StateGraph(State)
    for name in ("one", "two"):
        builder.add_node(name, note(name))
        builder.add_edge(START, name)
    builder.add_node("ask", ask)
    builder.add_node("both", note("both"))
    builder.add_edge("two", "ask")
    builder.add_edge(starts, "both")
    if before_ask:
        builder.add_edge(list(before_ask), "ask")
    return builder.compile(core)


async def test_a_join_that_lists_its_nodes_in_another_order_has_forgotten_what_it_has_seen(
    core: CoreCheckpointer,
) -> None:
    old, new = joined(core, starts=["one", "ask"]), joined(core, starts=["ask", "one"])
    await old.ainvoke({"log": []}, CONFIG)
    assert await codes(core, old, new) == ["join.removed"]
    result = await new.ainvoke(Command(resume="yes"), CONFIG)
    assert "both" not in result["log"], "the node after the join is never executed"


async def test_a_new_join_into_a_node_that_asks_makes_it_ask_again(core: CoreCheckpointer) -> None:
    old, new = joined(core, starts=["one", "ask"]), joined(core, "one", "two", starts=["one", "ask"])
    first = await old.ainvoke({"log": []}, CONFIG)
    assert await codes(core, old, new) == ["node.triggers_changed"]
    asked = first["__interrupt__"][0].id
    again = await new.ainvoke(Command(resume={asked: "yes"}), CONFIG)
    assert again["__interrupt__"][0].id != asked


async def test_a_node_that_becomes_deferred_cannot_be_continued(core: CoreCheckpointer) -> None:
    def graph(*, deferred: bool) -> Graph:
        builder: Any = StateGraph(State)
        builder.add_node("pay", note("paid"), defer=deferred)
        builder.add_edge(START, "pay")
        return builder.compile(core, interrupt_before=["pay"])

    old, new = graph(deferred=False), graph(deferred=True)
    await old.ainvoke({"log": []}, CONFIG)
    assert await codes(core, old, new) == ["node.deferred_changed"]
    with pytest.raises(TypeError):
        await new.ainvoke(None, CONFIG)


async def test_another_edge_into_a_node_that_asks_changes_nothing(core: CoreCheckpointer) -> None:
    old, new = pair(core), pair(core)
    new.builder.add_edge("pay", "review")
    new = new.builder.compile(core)
    await old.ainvoke({"amount": 5, "log": []}, CONFIG)
    assert (await verdict(core, old, new)).kind is VerdictKind.CONTINUE
    assert (await new.ainvoke(Command(resume="yes"), CONFIG))["approved"] == "yes"


def flow(core: CoreCheckpointer, *questions: str) -> Graph:
    """An entrypoint that asks these questions in this order."""

    async def desk(values: Any) -> list[str]:
        return [f"{question} {interrupt(question)}" for question in questions]

    return entrypoint(checkpointer=core)(desk)


async def test_answers_of_an_entrypoint_go_to_other_questions_when_their_order_changes(core: CoreCheckpointer) -> None:
    """Both versions have the same calls by name, so only the project can say that their meaning has changed."""
    old, new = flow(core, "amount", "name"), flow(core, "name", "amount")
    await old.ainvoke({}, CONFIG)
    await old.ainvoke(Command(resume="7"), CONFIG)
    assert await new.ainvoke(Command(resume="Ann"), CONFIG) == ["name 7", "amount Ann"]


def tasks(core: CoreCheckpointer, *order: str) -> Graph:
    @task
    async def quote() -> str:
        return "quote"

    @task
    async def book() -> str:
        return "book"

    async def desk(values: Any) -> list[str]:
        done = [await quote()]
        interrupt("go on?")
        return [*done, await book()]

    async def reordered(values: Any) -> list[str]:
        interrupt("go on?")
        return [await book(), await quote()]

    chosen = desk if order == ("quote", "book") else reordered
    chosen.__name__ = "desk"
    return entrypoint(checkpointer=core)(chosen)


async def test_tasks_of_an_entrypoint_in_another_order_hold(core: CoreCheckpointer) -> None:
    old, new = tasks(core, "quote", "book"), tasks(core, "book", "quote")
    await old.ainvoke({}, CONFIG)
    assert await codes(core, old, new) == ["node.results_misplaced"]


async def test_a_value_of_another_type_reaches_the_code_unchanged(core: CoreCheckpointer) -> None:
    class Text(TypedDict, total=False):
        amount: str
        approved: str
        log: Annotated[list[str], operator.add]

    async def spell(values: Any) -> dict[str, Any]:
        return {"log": [values["amount"].upper()]}

    old = desk(core)
    text: Any = StateGraph(Text)
    new = text.add_node("spell", spell).add_edge(START, "spell").compile(core)
    await old.ainvoke({"amount": 5, "log": []}, CONFIG)
    await old.ainvoke(Command(resume="yes"), CONFIG)
    await old.ainvoke(Command(resume="yes"), CONFIG)
    assert await codes(core, old, new) == ["channel.type_changed"]
    with pytest.raises(AttributeError):
        await new.ainvoke({"log": ["next"]}, CONFIG)
