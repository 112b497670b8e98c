"""A rewritten thread continues on the graph of the new version where it stood, and repeats nothing."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.errors import GraphDrained
from langgraph.func import task
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from slipway.graphs.interface import Graph
from slipway.migrations import PendingSend, StoredState, migration
from slipway.thread_moves.errors import CannotMove, MigrationFailed
from tests.thread_moves.conftest import MovedThread


class Killed(BaseException):
    """Ends an attempt at once: nothing is stored of the task that raises it."""


class Old(TypedDict, total=False):
    name: str
    log: Annotated[list[str], operator.add]


class New(TypedDict, total=False):
    first_name: str
    last_name: str
    log: Annotated[list[str], operator.add]


@migration(from_version="1", to_version="2")
def split_name(stored: StoredState) -> StoredState:
    assert stored.pending == ("review",)
    first, _, last = stored.values.pop("name").partition(" ")
    stored.values |= {"first_name": first, "last_name": last}
    stored.rename_node("review", "human_review")
    return stored


def asking(node: str, state: type, done: list[str]) -> Graph:
    """draft, then `node`, which asks, then send."""
    builder: Any = StateGraph(state)

    def draft(given: Any) -> Any:
        done.append("draft")
        return {"log": ["draft"]}

    def review(given: Any) -> Any:
        answer = interrupt("ok?")
        done.append(node)
        return {"log": [f"{node}:{answer}"]}

    def send(given: Any) -> Any:
        done.append("send")
        return {"log": ["send"]}

    builder.add_node("draft", draft)
    builder.add_node(node, review)
    builder.add_node("send", send)
    builder.add_edge(START, "draft")
    builder.add_edge("draft", node)
    builder.add_edge(node, "send")
    builder.add_edge("send", END)
    graph: Graph = builder.compile()
    return graph


async def test_a_renamed_node_gets_the_answer_to_its_question(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})
    asked = await thread.questions()
    new = asking("human_review", New, thread.done)

    await thread.move(new, split_name)

    assert await thread.questions() == asked  # clients and reviews know the question by its id
    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result == {"first_name": "Ada", "last_name": "Lovelace", "log": ["draft", "human_review:yes", "send"]}
    assert thread.done == ["draft", "human_review", "send"]


async def test_the_original_is_the_parent(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})
    original = await thread.saver.latest("t")
    assert original is not None

    await thread.move(asking("human_review", New, thread.done), split_name)

    moved = await thread.saver.latest("t")
    assert moved is not None
    assert moved.parent_config == original.config
    again = await thread.saver.aget_tuple(original.config)
    assert again is not None
    assert again.checkpoint == original.checkpoint
    move = moved.metadata["slipway_migration"]  # type: ignore[typeddict-item]
    assert (move["from"], move["to"], move["of"]) == ("1", "2", original.checkpoint["id"])
    assert moved.metadata["source"] == "update"
    assert moved.metadata["step"] == original.metadata["step"]


async def test_an_idle_thread_is_migrated(thread: MovedThread) -> None:
    old: Any = StateGraph(Old)
    old.add_node("greet", lambda state: {"log": [f"hello {state['name']}"]})
    old.add_edge(START, "greet")
    await thread.run(old.compile(), {"name": "Ada Lovelace"})
    new: Any = StateGraph(New)
    new.add_node("greet", lambda state: {"log": [f"hello {state['first_name']}"]})
    new.add_edge(START, "greet")

    @migration(from_version="1", to_version="2")
    async def split(stored: StoredState) -> StoredState:
        assert stored.pending == ()
        first, _, last = stored.values.pop("name").partition(" ")
        return StoredState({**stored.values, "first_name": first, "last_name": last})

    await thread.move(new.compile(), split)

    result = await thread.run(new.compile(), {"last_name": "Byron"})
    assert result == {"first_name": "Ada", "last_name": "Byron", "log": ["hello Ada Lovelace", "hello Ada"]}


def fan_out(name: str, done: list[str], prefix: str = "") -> Graph:
    """Sends three items to `name`; the second asks."""
    builder: Any = StateGraph(Old)

    def item(given: Any) -> Any:
        answer = interrupt(given["name"]) if given["name"] == f"{prefix}b" else "-"
        done.append(given["name"])
        return {"log": [f"{given['name']}:{answer}"]}

    builder.add_node("plan", lambda state: None)
    builder.add_node(name, item)
    builder.add_node("end", lambda state: {"log": ["end"]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send(name, {"name": each}) for each in ("a", "b", "c")])
    builder.add_edge(name, "end")
    graph: Graph = builder.compile()
    return graph


async def test_sends_that_are_done_are_not_repeated(thread: MovedThread) -> None:
    await thread.run(fan_out("item", thread.done), {})
    assert sorted(thread.done) == ["a", "c"]
    asked = await thread.questions()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        assert stored.sends is not None
        assert [each.node for each in stored.sends] == ["item"] * 3
        stored.rename_node("item", "line")
        for each in stored.sends:
            each.input = {"name": f"new {each.input['name']}"}
        return stored

    new = fan_out("line", thread.done, "new ")
    await thread.move(new, rename)

    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["log"] == ["a:-", "new b:yes", "c:-", "end"]
    assert sorted(thread.done) == ["a", "c", "new b"]


def nested(outer: str, inner: str, done: list[str]) -> Graph:
    """A subgraph in a subgraph, whose node asks; the node before it must not be repeated."""
    innermost: Any = StateGraph(Old)

    def before(state: Any) -> Any:
        done.append("before")
        return {"log": ["before"]}

    def ask(state: Any) -> Any:
        first = interrupt("first?")
        second = interrupt("second?")
        done.append(inner)
        return {"log": [f"{first}+{second}"]}

    innermost.add_node("before", before)
    innermost.add_node(inner, ask)
    innermost.add_edge(START, "before")
    innermost.add_edge("before", inner)
    middle: Any = StateGraph(Old)
    middle.add_node("deep", innermost.compile())
    middle.add_edge(START, "deep")
    root: Any = StateGraph(Old)
    root.add_node(outer, middle.compile())
    root.add_node("end", lambda state: {"log": ["end"]})
    root.add_edge(START, outer)
    root.add_edge(outer, "end")
    graph: Graph = root.compile()
    return graph


async def test_a_subgraph_continues_where_it_was(thread: MovedThread) -> None:
    old = nested("sub", "ask", thread.done)
    await thread.run(old, {"name": "Ada"})
    first = await thread.questions()
    await thread.run(old, Command(resume={first[0]: "1"}))
    second = await thread.questions()
    assert first != second
    assert thread.done == ["before"]

    @migration(from_version="1", to_version="2")
    def outer(stored: StoredState) -> StoredState:
        stored.rename_node("sub", "work")
        return stored

    @migration(from_version="1", to_version="2", for_subgraph="sub|deep")
    def inner(stored: StoredState) -> StoredState:
        assert stored.pending == ("ask",)
        assert stored.values["log"] == ["before"]
        stored.rename_node("ask", "question")
        stored.values["log"] = ["migrated"]
        return stored

    new = nested("work", "question", thread.done)
    await thread.move(new, outer, inner)
    assert await thread.questions() == second

    result = await thread.run(new, Command(resume={second[0]: "2"}))
    assert thread.done == ["before", "question"]
    assert result["log"] == ["migrated", "1+2", "end"]


async def test_one_of_several_questions_keeps_its_id_when_another_is_answered(thread: MovedThread) -> None:
    def graph(names: tuple[str, str]) -> Graph:
        builder: Any = StateGraph(Old)
        for name in names:
            builder.add_node(name, lambda state, name=name: {"log": [f"{name}:{interrupt(name)}"]})
            builder.add_edge(START, name)
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph(("one", "two")), {"name": "Ada"})
    one, two = await thread.questions()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        stored.rename_node("one", "uno")
        stored.rename_node("two", "due")
        return stored

    new = graph(("uno", "due"))
    await thread.move(new, rename)
    await thread.run(new, Command(resume={one: "1"}))
    assert set(await thread.questions()) == {one, two}  # the first is answered, and its stored question remains

    result = await thread.run(new, Command(resume={two: "2"}))
    assert sorted(result["log"]) == ["due:2", "uno:1"]


async def test_a_thread_moves_twice_and_keeps_its_questions(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})
    asked = await thread.questions()

    @migration(from_version="2", to_version="3")
    def again(stored: StoredState) -> StoredState:
        stored.rename_node("human_review", "approval")
        return stored

    await thread.move(asking("human_review", New, thread.done), split_name)
    new = asking("approval", New, thread.done)
    await thread.move(new, again, versions=("2", "3"))

    assert await thread.questions() == asked
    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["log"] == ["draft", "approval:yes", "send"]


async def test_two_migrations_are_one_move(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})
    asked = await thread.questions()

    @migration(from_version="2", to_version="3")
    def again(stored: StoredState) -> StoredState:
        assert stored.pending == ("human_review",)
        stored.rename_node("human_review", "approval")
        stored.values["first_name"] += "!"
        return stored

    new = asking("approval", New, thread.done)
    await thread.move(new, split_name, again, versions=("1", "3"))

    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result == {"first_name": "Ada!", "last_name": "Lovelace", "log": ["draft", "approval:yes", "send"]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda stored: stored.values.update(first_name=1), r"channel 'first_name' has the wrong type: .*string"),
        (lambda stored: stored.values.update(age=1), r"it returned channel 'age', which version 2 does not have"),
        (lambda stored: stored.values["missing"], r"KeyError: 'missing' \(.*test_rewriting\.py:\d+\)"),
        (lambda stored: stored.sends.append(None), r"sends of what it returned must be a list of PendingSend"),
        (lambda stored: stored.sends.append(PendingSend("a", 1)), r"it returned 1 sends, and 0 are pending"),
    ],
)
async def test_a_migration_that_fails_changes_nothing(thread: MovedThread, change: Any, problem: str) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})
    before = await thread.saver.latest("t")

    @migration(from_version="1", to_version="2")
    def wrong(stored: StoredState) -> StoredState:
        stored.values.pop("name", None)
        stored.rename_node("review", "human_review")
        change(stored)
        return stored

    with pytest.raises(MigrationFailed, match=f"migration 1 → 2 failed: .*{problem}"):
        await thread.move(asking("human_review", New, thread.done), wrong)
    assert await thread.saver.latest("t") == before


async def test_a_pending_node_must_exist(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})

    with pytest.raises(CannotMove, match="the new version would not start it") as raised:
        await thread.move(asking("human_review", Old, thread.done))
    assert raised.value.reason.code == "node.pending_lost"


async def test_a_value_without_a_channel_is_not_lost_silently(thread: MovedThread) -> None:
    await thread.run(asking("review", Old, thread.done), {"name": "Ada Lovelace"})

    with pytest.raises(CannotMove, match="channel 'name' has a value"):
        await thread.move(asking("review", New, thread.done))


async def test_the_results_of_tasks_that_a_node_has_called_are_kept(thread: MovedThread) -> None:
    def graph(name: str) -> Graph:
        @task
        def price(item: str) -> int:
            thread.done.append(f"price {item}")
            return len(item)

        @task
        async def both(item: str) -> int:
            return await price(item) + 1

        async def buy(state: Any) -> Any:
            total = await price("ab") + await both("abc")
            return {"log": [f"{total}:{interrupt('buy?')}"]}

        builder: Any = StateGraph(Old)
        builder.add_node(name, buy)
        builder.add_edge(START, name)
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph("buy"), {"name": "Ada"})
    asked = await thread.questions()
    thread.done.clear()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        stored.rename_node("buy", "purchase")
        return stored

    with pytest.raises(CannotMove, match="its result cannot be carried over"):
        await thread.move(graph("purchase"), rename)
    new = graph("purchase")
    await thread.move(new, rename, calls=["other", "both", "price"])

    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["log"] == ["6:yes"]
    assert thread.done == []


async def test_a_crash_within_a_subgraph_repeats_only_its_superstep(thread: MovedThread) -> None:
    """Nothing is stored of the task of the root graph, except the checkpoints of its subgraph."""
    failing = [True]

    def graph(name: str) -> Graph:
        def second(state: Any) -> Any:
            if failing:
                raise Killed
            thread.done.append("second")
            return {"log": ["second"]}

        inner: Any = StateGraph(Old)
        inner.add_node("first", lambda state: thread.done.append("first"))
        inner.add_node("second", second)
        inner.add_edge(START, "first")
        inner.add_edge("first", "second")
        builder: Any = StateGraph(Old)
        builder.add_node("plan", lambda state: None)
        builder.add_node(name, inner.compile())
        builder.add_edge(START, "plan")
        builder.add_conditional_edges("plan", lambda _: [Send(name, {"name": "Ada"})])
        compiled: Graph = builder.compile()
        return compiled

    with pytest.raises(Killed):
        await thread.run(graph("sub"), {"name": "Ada"})
    failing.clear()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        stored.rename_node("sub", "work")
        return stored

    new = graph("work")
    await thread.move(new, rename)

    await thread.run(new, None)
    assert thread.done == ["first", "second"]


async def test_another_join_before_a_waiting_node_changes_nothing_for_it(thread: MovedThread) -> None:
    """Its task has another id, because it has another trigger."""

    def graph(*, joined: bool) -> Graph:
        builder: Any = StateGraph(Old)
        builder.add_node("ask", lambda state: {"log": [interrupt("ok?")]})
        builder.add_node("a", lambda state: None)
        builder.add_node("b", lambda state: None)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", "a")
        builder.add_edge("ask", "b")
        if joined:
            builder.add_conditional_edges("a", lambda _: END, ["ask", END])
            builder.add_edge(["a", "b"], "ask")
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph(joined=False), {"name": "Ada"})
    asked = await thread.questions()

    new = graph(joined=True)
    await thread.move(new)
    await thread.run(new, Command(resume={asked[0]: "yes"}))

    found = await thread.saver.latest("t")
    assert found is not None
    assert found.checkpoint["channel_values"]["log"] == ["yes"]


async def test_a_join_that_waits_keeps_what_it_has_seen(thread: MovedThread) -> None:
    def graph(first: str, second: str) -> Graph:
        builder: Any = StateGraph(Old)
        builder.add_node(first, lambda state: thread.done.append("first"))
        builder.add_node("step", lambda state: None)
        builder.add_node(second, lambda state: {"log": [interrupt("ok?")]})
        builder.add_node("end", lambda state: {"log": ["end"]})
        builder.add_edge(START, first)
        builder.add_edge(START, "step")
        builder.add_edge("step", second)
        builder.add_edge([first, second], "end")
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph("first", "second"), {"name": "Ada"})
    asked = await thread.questions()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        stored.rename_node("first", "uno")
        stored.rename_node("second", "due")
        return stored

    new = graph("uno", "due")
    await thread.move(new, rename)

    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["log"] == ["yes", "end"]
    assert thread.done == ["first"]


async def test_a_delta_channel_is_stored_completely(thread: MovedThread) -> None:
    class Deltas(TypedDict, total=False):
        log: Annotated[list[str], DeltaChannel(lambda log, writes: log + [each for write in writes for each in write])]

    def graph(name: str) -> Graph:
        builder: Any = StateGraph(Deltas)
        builder.add_node("begin", lambda state: {"log": ["begin"]})
        builder.add_node(name, lambda state: {"log": [interrupt("ok?")]})
        builder.add_edge(START, "begin")
        builder.add_edge("begin", name)
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph("ask"), {"log": ["input"]})
    asked = await thread.questions()

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        assert stored.values == {"log": ["input", "begin"]}
        stored.rename_node("ask", "question")
        stored.values["log"].append("migrated")
        return stored

    new = graph("question")
    await thread.move(new, rename)

    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["log"] == ["input", "begin", "migrated", "yes"]


async def test_a_result_of_the_superstep_goes_to_the_renamed_channel(thread: MovedThread) -> None:
    class Renamed(TypedDict, total=False):
        name: str
        lines: Annotated[list[str], operator.add]

    def graph(state: type, channel: str) -> Graph:
        builder: Any = StateGraph(state)
        builder.add_node("done", lambda state: {channel: ["done"]})
        builder.add_node("ask", lambda state: {channel: [interrupt("ok?")]})
        builder.add_edge(START, "done")
        builder.add_edge(START, "ask")
        compiled: Graph = builder.compile()
        return compiled

    await thread.run(graph(Old, "log"), {"name": "Ada", "log": ["input"]})
    asked = await thread.questions()
    new = graph(Renamed, "lines")

    @migration(from_version="1", to_version="2")
    def moves_value(stored: StoredState) -> StoredState:
        stored.values["lines"] = stored.values.pop("log")
        return stored

    with pytest.raises(CannotMove, match="has written to channel 'log'"):
        await thread.move(new, moves_value)

    @migration(from_version="1", to_version="2")
    def rename(stored: StoredState) -> StoredState:
        stored.rename_channel("log", "lines")
        return stored

    await thread.move(new, rename)
    result = await thread.run(new, Command(resume={asked[0]: "yes"}))
    assert result["lines"] == ["input", "yes", "done"]


async def test_the_input_of_a_run_that_has_not_begun_is_migrated(thread: MovedThread) -> None:
    def graph(state: type) -> Graph:
        builder: Any = StateGraph(state)
        builder.add_node("first", lambda given: {"log": ["first"]})
        builder.add_edge(START, "first")
        compiled: Graph = builder.compile()
        return compiled

    control = RunControl()
    control.request_drain()
    with pytest.raises(GraphDrained):
        await thread.run(graph(Old), {"name": "Ada Lovelace"}, control=control)

    @migration(from_version="1", to_version="2")
    def split(stored: StoredState) -> StoredState:
        first, _, last = stored.input.pop("name").partition(" ")
        stored.input |= {"first_name": first, "last_name": last}
        return stored

    new = graph(New)
    await thread.move(new, split)
    result = await thread.run(new, None)
    assert result == {"first_name": "Ada", "last_name": "Lovelace", "log": ["first"]}
