"""LangGraph's RemoteGraph: another program uses a graph of this server like a local graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypedDict, cast
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_sync_client

from tests.compat.conftest import Client, new_thread
from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")


Remote = Callable[[str], RemoteGraph]


@pytest.fixture
async def remote(served: Served, sdk: Client) -> AsyncIterator[Remote]:
    """Creates a remote graph for a graph id. A RemoteGraph does not close clients that it creates, so it gets these."""
    with get_sync_client(url=served.url, api_key=None) as sync_client:
        yield lambda graph: RemoteGraph(graph, client=sdk, sync_client=sync_client)


def config_of(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def test_invoke_returns_the_final_values(remote: Remote) -> None:
    graph = remote("steps")
    assert (await graph.ainvoke({"value": 1}))["value"] == 4
    assert (await asyncio.to_thread(graph.invoke, {"value": 2}))["value"] == 5


async def test_a_stream_has_the_events_of_each_mode(remote: Remote, sdk: Client) -> None:
    graph, thread = remote("steps"), await new_thread(sdk)
    modes: Any = ["updates", "values", "custom"]
    parts: list[Any] = [part async for part in graph.astream({"value": 1}, config_of(thread), stream_mode=modes)]
    events = [(part.event, part.data) for part in parts]
    assert [next(iter(data)) for mode, data in events if mode == "updates"] == ["one", "two", "three"]
    assert [data for mode, data in events if mode == "custom"] == [{"from": "one"}]
    assert [data for mode, data in events if mode == "values"][-1]["value"] == 4
    updates = await asyncio.to_thread(
        lambda: list(graph.stream({"value": 1}, config_of(thread), stream_mode="updates"))
    )
    assert len(updates) == 3


async def test_the_mode_messages_streams_message_chunks(remote: Remote, sdk: Client) -> None:
    graph, thread = remote("talk"), await new_thread(sdk)
    chat_input = {"messages": [{"role": "user", "content": "hi"}]}
    chunks: list[Any] = [part async for part in graph.astream(chat_input, config_of(thread), stream_mode="messages")]
    assert "".join(message["content"] for message, _ in chunks if message["type"] == "AIMessageChunk") == "hello to you"


async def test_state_can_be_read_written_and_forked(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), config_of(await new_thread(sdk))
    await graph.ainvoke({"value": 1}, config)
    state = await graph.aget_state(config)
    assert (state.values["value"], state.next) == (4, ())
    written = await graph.aupdate_state(config, {"value": 10}, as_node="one")
    after = await graph.aget_state(written)
    assert (after.values["value"], after.next) == (10, ("two",))
    assert (await graph.ainvoke(None, config))["value"] == 12
    history = [past async for past in graph.aget_state_history(config, limit=50)]
    assert history[0].values["value"] == 12
    fork = next(past for past in history if past.next == ("three",))
    assert (await graph.ainvoke(None, fork.config))["log"][-1] == "three"
    assert (await asyncio.to_thread(graph.get_state, config)).next == ()


async def test_an_interrupt_is_returned_and_answered(remote: Remote, sdk: Client) -> None:
    graph, config = remote("ask"), config_of(await new_thread(sdk))
    result = await graph.ainvoke({"value": 1}, config)
    assert result["__interrupt__"][0]["value"] == {"question": "how much?"}
    state = await graph.aget_state(config)
    assert state.next == ("ask",)
    assert state.interrupts[0].value == {"question": "how much?"}
    assert (await graph.ainvoke(Command(resume=7), config))["answer"] == 7


async def test_several_interrupts_are_returned_and_answered_together(remote: Remote, sdk: Client) -> None:
    graph, config = remote("two_interrupts"), config_of(await new_thread(sdk))
    interrupts = (await graph.ainvoke({"value": 1}, config))["__interrupt__"]
    pending = (await graph.aget_state(config)).interrupts
    assert {interrupt["id"] for interrupt in interrupts} == {interrupt.id for interrupt in pending}
    assert len(interrupts) == 2
    await graph.ainvoke(Command(resume={interrupt["id"]: 7 for interrupt in interrupts}), config)
    assert (await graph.aget_state(config)).next == ()


async def test_a_graph_stops_at_a_breakpoint_and_continues(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), config_of(await new_thread(sdk))
    await asyncio.to_thread(lambda: graph.invoke({"value": 1}, config, interrupt_before=["two"]))
    assert (await asyncio.to_thread(graph.get_state, config)).next == ("two",)
    assert (await asyncio.to_thread(graph.invoke, None, config))["value"] == 4


async def test_history_is_limited_and_filtered(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), config_of(await new_thread(sdk))
    await graph.ainvoke({"value": 1}, config)
    complete = await asyncio.to_thread(lambda: list(graph.get_state_history(config)))
    before = [past async for past in graph.aget_state_history(config, before=complete[1].config, limit=2)]
    assert [past.config for past in before] == [past.config for past in complete[2:4]]
    (first,) = [past async for past in graph.aget_state_history(config, filter={"step": 1})]
    assert first.metadata is not None
    assert first.metadata["step"] == 1
    written = await asyncio.to_thread(lambda: graph.update_state(config, {"value": 50}, as_node="two"))
    assert (await graph.aget_state(written)).next == ("three",)


async def test_the_state_of_a_subgraph_can_be_read_and_written(remote: Remote, sdk: Client) -> None:
    graph, config = remote("nested"), config_of(await new_thread(sdk))
    await graph.ainvoke({"value": 1}, config)
    (task,) = (await graph.aget_state(config, subgraphs=True)).tasks
    subgraph: Any = task.state
    assert subgraph.next == ("ask",)
    assert (await graph.aget_state(subgraph.config)).values == subgraph.values
    await graph.aupdate_state(subgraph.config, {"value": 5})
    (task,) = (await graph.aget_state(config, subgraphs=True)).tasks
    assert cast(Any, task.state).values["value"] == 5


async def test_a_failed_run_raises_remote_exception(remote: Remote) -> None:
    with pytest.raises(RemoteException, match="no luck today"):
        await remote("fail").ainvoke({"value": 1})


async def test_a_drawing_can_include_subgraphs(remote: Remote) -> None:
    drawing = await remote("nested").aget_graph(xray=True)
    assert any(name.endswith("ask") for name in drawing.nodes)
    steps = await remote("steps").aget_graph()
    assert {"one", "two", "three"} <= set(steps.nodes)


class Local(TypedDict, total=False):
    """The state of the local graph and of the remote one."""

    value: int
    log: list[str]
    answer: int


async def test_a_remote_graph_can_be_a_node_of_a_local_graph(remote: Remote) -> None:
    builder = StateGraph(Local)
    builder.add_node("before", lambda state: {"value": state["value"] * 10})
    builder.add_node("remote", cast(Any, remote("steps")))
    builder.add_edge(START, "before")
    builder.add_edge("before", "remote")
    local = builder.compile()
    assert (await local.ainvoke({"value": 1}))["value"] == 13
    updates = [
        (namespace, data)
        async for namespace, data in local.astream({"value": 1}, stream_mode="updates", subgraphs=True)
    ]
    inner = [next(iter(data)) for namespace, data in updates if namespace]
    assert inner == ["one", "two", "three"]


async def test_an_interrupt_of_a_remote_node_interrupts_the_local_graph(remote: Remote, sdk: Client) -> None:
    builder = StateGraph(Local)
    builder.add_node("remote", cast(Any, remote("ask")))
    builder.add_edge(START, "remote")
    local = builder.compile(checkpointer=InMemorySaver())
    thread = str(uuid4())
    result = await local.ainvoke({"value": 1}, config_of(thread))
    assert result["__interrupt__"][0].value == {"question": "how much?"}
    # a RemoteGraph as a node passes no answer on: the client answers on the remote thread, which has the same id
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    assert (await remote("ask").ainvoke(Command(resume=7), config_of(thread)))["answer"] == 7
