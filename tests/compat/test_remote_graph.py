"""LangGraph's RemoteGraph: a graph of this server, used from another program as if it were there."""

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
    """A remote graph by its name. It would never close clients of its own making."""
    with get_sync_client(url=served.url, api_key=None) as blocking:
        yield lambda graph: RemoteGraph(graph, client=sdk, sync_client=blocking)


def on(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def test_invoke(remote: Remote) -> None:
    graph = remote("steps")
    assert (await graph.ainvoke({"value": 1}))["value"] == 4
    assert (await asyncio.to_thread(graph.invoke, {"value": 2}))["value"] == 5


async def test_stream(remote: Remote, sdk: Client) -> None:
    graph, thread = remote("steps"), await new_thread(sdk)
    modes: Any = ["updates", "values", "custom"]
    parts: list[Any] = [part async for part in graph.astream({"value": 1}, on(thread), stream_mode=modes)]
    found = [(part.event, part.data) for part in parts]
    assert [next(iter(data)) for mode, data in found if mode == "updates"] == ["one", "two", "three"]
    assert [data for mode, data in found if mode == "custom"] == [{"from": "one"}]
    assert [data for mode, data in found if mode == "values"][-1]["value"] == 4
    updates = await asyncio.to_thread(lambda: list(graph.stream({"value": 1}, on(thread), stream_mode="updates")))
    assert len(updates) == 3


async def test_words(remote: Remote, sdk: Client) -> None:
    graph, thread = remote("talk"), await new_thread(sdk)
    given = {"messages": [{"role": "user", "content": "hi"}]}
    found: list[Any] = [part async for part in graph.astream(given, on(thread), stream_mode="messages")]
    assert "".join(message["content"] for message, _ in found if message["type"] == "AIMessageChunk") == "hello to you"


async def test_state_is_read_and_written(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), on(await new_thread(sdk))
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


async def test_interrupts_and_answers(remote: Remote, sdk: Client) -> None:
    graph, config = remote("ask"), on(await new_thread(sdk))
    asked = await graph.ainvoke({"value": 1}, config)
    assert asked["__interrupt__"][0]["value"] == {"question": "how much?"}
    state = await graph.aget_state(config)
    assert state.next == ("ask",)
    assert state.interrupts[0].value == {"question": "how much?"}
    assert (await graph.ainvoke(Command(resume=7), config))["answer"] == 7


async def test_several_questions_come_back_together(remote: Remote, sdk: Client) -> None:
    graph, config = remote("two_questions"), on(await new_thread(sdk))
    asked = (await graph.ainvoke({"value": 1}, config))["__interrupt__"]
    pending = (await graph.aget_state(config)).interrupts
    assert {one["id"] for one in asked} == {one.id for one in pending}
    assert len(asked) == 2
    await graph.ainvoke(Command(resume={one["id"]: 7 for one in asked}), config)
    assert (await graph.aget_state(config)).next == ()


async def test_a_breakpoint_is_passed(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), on(await new_thread(sdk))
    await asyncio.to_thread(lambda: graph.invoke({"value": 1}, config, interrupt_before=["two"]))
    assert (await asyncio.to_thread(graph.get_state, config)).next == ("two",)
    assert (await asyncio.to_thread(graph.invoke, None, config))["value"] == 4


async def test_the_past_is_listed_as_asked_for(remote: Remote, sdk: Client) -> None:
    graph, config = remote("steps"), on(await new_thread(sdk))
    await graph.ainvoke({"value": 1}, config)
    whole = await asyncio.to_thread(lambda: list(graph.get_state_history(config)))
    before = [past async for past in graph.aget_state_history(config, before=whole[1].config, limit=2)]
    assert [past.config for past in before] == [past.config for past in whole[2:4]]
    (first,) = [past async for past in graph.aget_state_history(config, filter={"step": 1})]
    assert first.metadata is not None
    assert first.metadata["step"] == 1
    written = await asyncio.to_thread(lambda: graph.update_state(config, {"value": 50}, as_node="two"))
    assert (await graph.aget_state(written)).next == ("three",)


async def test_a_subgraph_is_read_and_written(remote: Remote, sdk: Client) -> None:
    graph, config = remote("nested"), on(await new_thread(sdk))
    await graph.ainvoke({"value": 1}, config)
    (task,) = (await graph.aget_state(config, subgraphs=True)).tasks
    inside: Any = task.state
    assert inside.next == ("ask",)
    assert (await graph.aget_state(inside.config)).values == inside.values
    await graph.aupdate_state(inside.config, {"value": 5})
    (task,) = (await graph.aget_state(config, subgraphs=True)).tasks
    assert cast(Any, task.state).values["value"] == 5


async def test_a_failure_is_raised(remote: Remote) -> None:
    with pytest.raises(RemoteException, match="no luck today"):
        await remote("fail").ainvoke({"value": 1})


async def test_the_drawing_and_its_subgraphs(remote: Remote) -> None:
    drawing = await remote("nested").aget_graph(xray=True)
    assert any(name.endswith("ask") for name in drawing.nodes)
    steps = await remote("steps").aget_graph()
    assert {"one", "two", "three"} <= set(steps.nodes)


class Local(TypedDict, total=False):
    """What the local graph shares with the remote one."""

    value: int
    log: list[str]
    answer: int


async def test_as_a_node_of_a_local_graph(remote: Remote) -> None:
    builder = StateGraph(Local)
    builder.add_node("before", lambda state: {"value": state["value"] * 10})
    builder.add_node("away", cast(Any, remote("steps")))
    builder.add_edge(START, "before")
    builder.add_edge("before", "away")
    local = builder.compile()
    assert (await local.ainvoke({"value": 1}))["value"] == 13
    found = [
        (namespace, data)
        async for namespace, data in local.astream({"value": 1}, stream_mode="updates", subgraphs=True)
    ]
    inner = [next(iter(data)) for namespace, data in found if namespace]
    assert inner == ["one", "two", "three"]


async def test_an_interrupt_passes_through_a_local_graph(remote: Remote, sdk: Client) -> None:
    builder = StateGraph(Local)
    builder.add_node("away", cast(Any, remote("ask")))
    builder.add_edge(START, "away")
    local = builder.compile(checkpointer=InMemorySaver())
    thread = str(uuid4())
    asked = await local.ainvoke({"value": 1}, on(thread))
    assert asked["__interrupt__"][0].value == {"question": "how much?"}
    # a RemoteGraph as a node knows nothing of answers: they go to the thread, which has the same id
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    assert (await remote("ask").ainvoke(Command(resume=7), on(thread)))["answer"] == 7
