"""Graphs on both checkpointers: interrupts in subgraphs, forks, state classes, delta channels."""

from __future__ import annotations

import operator
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from slipway.checkpoints import core_reader
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.errors import CeilingHit
from slipway.redis.pipeline import Pipeline
from slipway.serialization.serde import Serde
from tests.checkpoints.conftest import CheckpointerFactory, config_of
from tests.checkpoints.sample_graphs import Order, refund_graph, run_journal
from tests.shards import run_on

Names = Callable[[], Awaitable[list[bytes]]]


async def test_an_interrupt_in_a_subgraph_resumes_and_forks(
    make_checkpointer: CheckpointerFactory, saver: BaseCheckpointer
) -> None:
    graph = refund_graph(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    paused = await graph.ainvoke({"amount": 5, "log": []}, config)
    assert paused["__interrupt__"][0].value == {"may I pay": 5}

    state = await graph.aget_state(config, subgraphs=True)
    assert state.next == ("decide",)
    inner = state.tasks[0].state
    assert inner.next == ("ask",)
    assert inner.values["log"] == ["prepared"]
    assert inner.config["configurable"]["checkpoint_ns"].startswith("decide:")

    # a checkpointer without any state in memory, as in another process
    graph = refund_graph(make_checkpointer())
    done = await graph.ainvoke(Command(resume="yes"), config)
    assert done["log"][-2:] == ["asked: yes", "paid 5"]
    assert (await graph.aget_state(config)).next == ()

    history = [state async for state in graph.aget_state_history(config)]
    assert [state.next for state in history] == [(), ("pay",), ("decide",), ("__start__",)]
    forked = await graph.aupdate_state(history[1].config, {"answer": "no"})
    other = await graph.ainvoke(None, forked)
    assert other["log"][-1] == "refused"
    assert (await graph.aget_state(history[0].config)).values["log"][-1] == "paid 5"
    assert len([state async for state in graph.aget_state_history(config)]) > len(history)


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    found: Annotated[set[int], operator.or_]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_results_of_parallel_tasks_equal_those_of_the_memory_checkpointer(
    saver: BaseCheckpointer, durability: Any
) -> None:
    def spread(state: Chat) -> list[Send]:
        return [Send("look", {"number": number}) for number in range(30)]

    async def look(task: Any) -> dict[str, Any]:
        return {"found": {task["number"]}, "messages": [HumanMessage(f"saw {task['number']}")]}

    builder = StateGraph(Chat)
    builder.add_node("look", look)  # type: ignore[arg-type]
    builder.add_conditional_edges(START, spread, ["look"])
    builder.add_edge("look", END)
    results = []
    for one in (saver, InMemorySaver()):
        graph = builder.compile(checkpointer=one)
        config: RunnableConfig = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke({"messages": [], "found": set()}, config, durability=durability)
        values = (await graph.aget_state(config)).values
        results.append(([message.content for message in values["messages"]], values["found"]))
    assert results[0] == results[1]
    assert results[0][1] == set(range(30))


class Answer(BaseModel):
    approved: bool


async def test_an_interrupt_with_a_response_schema_resumes(saver: BaseCheckpointer) -> None:
    async def ask(state: Order) -> dict[str, Any]:
        answer = interrupt("may I", response_schema=Answer)
        return {"answer": f"approved: {answer.approved}"}

    builder = StateGraph(Order)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"amount": 5, "log": [], "answer": ""}, config)
    pending = (await graph.aget_state(config)).interrupts[0]
    assert pending.value == "may I"
    assert isinstance(pending.response_schema, dict)
    done = await graph.ainvoke(Command(resume={"approved": True}), config)
    assert done["answer"] == "approved: True"


async def test_a_failed_node_stores_its_error_and_is_executed_again(saver: BaseCheckpointer) -> None:
    broken = True

    async def first(state: Order) -> dict[str, Any]:
        return {"log": ["first"]}

    async def second(state: Order) -> dict[str, Any]:
        if broken:
            raise RuntimeError("out of paper")
        return {"log": ["second"]}

    builder = StateGraph(Order)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge(START, "second")
    graph = builder.compile(checkpointer=saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    with pytest.raises(RuntimeError, match="out of paper"):
        await graph.ainvoke({"amount": 5, "log": [], "answer": ""}, config)
    state = await graph.aget_state(config)
    assert state.next == ("second",)
    assert "RuntimeError('out of paper')" in [str(task.error) for task in state.tasks]
    broken = False
    done = await graph.ainvoke(None, config)
    assert done["log"] == ["first", "second"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_graph_that_exceeds_the_bytes_of_its_thread_fails(
    make_checkpointer: CheckpointerFactory, durability: Any
) -> None:
    async def grow(state: Order) -> dict[str, Any]:
        return {"log": [random.randbytes(500).hex()]}  # compression leaves half of it

    builder = StateGraph(Order)
    builder.add_node("grow", grow)
    builder.add_edge(START, "grow")
    builder.add_conditional_edges("grow", lambda state: "grow" if len(state["log"]) < 100 else END, ["grow", END])
    saver = make_checkpointer(max_thread_bytes=50_000)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}, "recursion_limit": 200}
    with pytest.raises(CeilingHit, match="state_bytes"):
        await builder.compile(checkpointer=saver).ainvoke(
            {"amount": 5, "log": [], "answer": ""}, config, durability=durability
        )
    assert await saver.thread_bytes("t") <= 50_000
    if durability == "sync":  # otherwise writes of later supersteps may use the bytes of earlier checkpoints
        found = await saver.latest("t")
        assert found is not None
        assert len(found.checkpoint["channel_values"]["log"]) > 2


class Customer(BaseModel):
    name: str
    tags: frozenset[str] = frozenset()


class Case(BaseModel):
    customer: Customer
    notes: list[str] = []


async def test_state_classes_of_a_graph_are_restored(make_checkpointer: CheckpointerFactory) -> None:
    def close(state: Case) -> dict[str, Any]:
        return {"customer": state.customer.model_copy(update={"tags": frozenset({"closed"})})}

    builder = StateGraph(Case)
    builder.add_node("close", close)
    builder.add_edge(START, "close")
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    graph_input: Any = {"customer": Customer(name="A")}
    serde = Serde()
    serde.allowed.add(Case)
    graph = builder.compile(checkpointer=make_checkpointer(serde=serde))
    await graph.ainvoke(graph_input, config)
    assert (await graph.aget_state(config)).values["customer"] == Customer(name="A", tags=frozenset({"closed"}))


async def test_delta_channels_are_rebuilt(saver: BaseCheckpointer) -> None:
    graph, config = await run_journal(saver, 4)
    memory, _ = await run_journal(InMemorySaver(), 4)
    restored = [state.values async for state in graph.aget_state_history(config)]
    expected = [state.values async for state in memory.aget_state_history(config)]
    assert restored == expected
    assert len(restored[0]["lines"]) == 16


async def test_a_delta_channel_history_is_one_round_trip(
    pipeline: Pipeline, core: CoreCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_journal(core, 4)
    created_ids = [found.config async for found in core.alist(config_of("t"))]
    base = super(CoreCheckpointer, core).aget_delta_channel_history
    for config in [*created_ids, config_of("t"), config_of("unknown_thread"), config_of("t", "unknown")]:
        trips = pipeline.round_trips
        history = await core.aget_delta_channel_history(config=config, channels=["lines", "count", "none"])
        assert pipeline.round_trips - trips == 1
        assert history == await base(config=config, channels=["lines", "count", "none"])
        monkeypatch.setattr(core_reader, "PAGE_BYTES", 150)
        assert history == await core.aget_delta_channel_history(config=config, channels=["lines", "count", "none"])
        monkeypatch.undo()


@pytest.mark.parametrize("runs", range(1, 5))
async def test_delta_channels_have_their_values_after_pruning(saver: BaseCheckpointer, runs: int) -> None:
    graph, config = await run_journal(saver, runs)
    before = (await graph.aget_state(config)).values
    stored = len([found async for found in saver.alist(config_of("t"))])
    await saver.aprune(["t"])
    assert (await graph.aget_state(config)).values == before
    remaining = len([found async for found in saver.alist(config_of("t"))])
    assert remaining <= min(stored, 8)
    await graph.ainvoke({"lines": ["after"]}, config)
    assert (await graph.aget_state(config)).values["lines"][: len(before["lines"]) + 1] == [*before["lines"], "after"]


async def test_deleting_a_run_does_not_change_delta_channels_of_later_runs(saver: BaseCheckpointer) -> None:
    graph, config = await run_journal(saver, 4)
    before = {
        state.config["configurable"]["checkpoint_id"]: state.values
        async for state in graph.aget_state_history(config)
        if state.metadata["run_id"] != run_on("t", "r1")
    }
    await saver.adelete_for_runs([run_on("t", "r1")])
    after = {
        state.config["configurable"]["checkpoint_id"]: state.values async for state in graph.aget_state_history(config)
    }
    assert {checkpoint_id: after[checkpoint_id] for checkpoint_id in before} == before


async def test_the_deleted_thread_of_a_graph_has_no_key(saver: BaseCheckpointer, stored_keys: Names) -> None:
    graph = refund_graph(saver)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}, "metadata": {"run_id": run_on("t", "r")}}
    await graph.ainvoke({"amount": 5, "log": []}, config)
    await saver.adelete_thread("t")
    assert await stored_keys() == []
