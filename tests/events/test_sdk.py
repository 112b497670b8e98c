"""`client.threads.stream` of langgraph_sdk, and `RemoteGraph.astream_events(version="v3")`."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk.client import LangGraphClient

from tests.events.conftest import DEADLINE_S
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("worker")

HUMAN: dict[str, Any] = {"messages": [{"type": "human", "content": "hello", "id": "h1"}]}


@pytest.fixture(params=["sse", "websocket"])
def transport(request: pytest.FixtureRequest) -> Literal["sse", "websocket"]:
    """Both transports of the SDK."""
    name: Literal["sse", "websocket"] = request.param
    return name


async def test_the_sdk_receives_values_and_output(sdk: LangGraphClient, transport: Any) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="steps", transport=transport) as thread:
        await thread.run.start(input={"until": 3})
        received = [values.get("at") async for values in thread.values]
        assert received[-3:] == [1, 2, 3]
        assert (await thread.output)["at"] == 3


async def test_the_sdk_receives_messages(sdk: LangGraphClient, transport: Any) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="talk", transport=transport) as thread:
        await thread.run.start(input=HUMAN)
        messages = [
            message async for message in thread.messages
        ]  # their text arrives while the SDK waits for the next message
        words = [[word async for word in message.text] for message in messages]
        assert ["".join(text) for text in words] == ["you said hello"]
        assert len(words[0]) > 1


async def test_the_sdk_receives_tool_calls(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="agent") as thread:
        await thread.run.start(input=HUMAN)
        calls = {call.name: call async for call in thread.tool_calls}
        assert set(calls) == {"double", "fail"}
        assert calls["double"].input == {"number": 21}
        assert "42" in str(await calls["double"].output)
        with pytest.raises(RuntimeError, match="no luck with 3"):
            await calls["fail"].output


async def test_an_interrupt_of_a_subgraph_is_answered(sdk: LangGraphClient, transport: Any) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="team", transport=transport) as thread:
        await thread.run.start(input=HUMAN)
        await wait_until(lambda: thread.interrupted, DEADLINE_S)
        (pending,) = thread.interrupts
        assert pending["value"] == {"ok?": True}
        await thread.run.respond("fine")
        assert (await thread.output)["messages"][-1]["content"] == "approved: fine"


async def test_the_sdk_receives_subgraphs(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="pair") as thread:
        await thread.run.start(input=HUMAN)
        subgraphs = [subgraph async for subgraph in thread.subgraphs]
        assert [subgraph.graph_name for subgraph in subgraphs] == ["talker"]
        assert [subgraph.status for subgraph in subgraphs] == ["completed"]
        (message,) = [message async for message in subgraphs[0].messages]
        assert "".join([word async for word in message.text]) == "you said hello"


async def test_the_sdk_receives_extensions(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="shown") as thread:
        await thread.run.start(input={"until": 2})
        assert [item["payload"] async for item in thread.extensions["progress"]] == [{"done": 1}, {"done": 2}]


async def test_the_output_of_a_failed_run_raises(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="breaks") as thread:
        await thread.run.start(input={})
        with pytest.raises(RuntimeError, match="it broke"):
            await thread.output


async def test_the_output_of_a_cancelled_run_raises(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="hold") as thread:
        run = await thread.run.start(input={"until": 1})
        await sdk.runs.cancel(thread.thread_id, run["run_id"])
        with pytest.raises(RuntimeError, match="cancelled"):
            await thread.output


async def test_the_output_of_a_run_at_a_breakpoint_is_its_state(sdk: LangGraphClient, transport: Any) -> None:
    """The SDK waits for an interrupt or an end; a breakpoint is neither."""
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="stops", transport=transport) as thread:
        await thread.run.start(input={"until": 2})
        assert (await thread.output)["at"] == 1
        assert (await sdk.threads.get_state(thread.thread_id))["next"] == ["step"]


async def test_a_second_session_answers_the_interrupt_of_the_first(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S):
        async with sdk.threads.stream(assistant_id="team") as first:
            await first.run.start(input=HUMAN)
            await wait_until(lambda: first.interrupted, DEADLINE_S)
        async with sdk.threads.stream(first.thread_id, assistant_id="team") as second:
            await wait_until(lambda: second.interrupted, DEADLINE_S)
            await second.run.respond("later")
            assert (await second.output)["messages"][-1]["content"] == "approved: later"


async def test_an_answer_is_accepted_before_the_interrupted_run_has_settled(sdk: LangGraphClient) -> None:
    async with asyncio.timeout(DEADLINE_S), sdk.threads.stream(assistant_id="lingers") as thread:
        await thread.run.start(input={"until": 0})
        await wait_until(lambda: thread.interrupted, DEADLINE_S)
        answer: Any = 7
        run = await thread.run.start(input=answer)
        joined: Any = await sdk.runs.join(thread.thread_id, run["run_id"])
        assert joined["at"] == 7


async def test_remote_graph_answers_an_interrupt(sdk: LangGraphClient) -> None:
    graph = RemoteGraph("team", client=sdk)
    config: Any = {"configurable": {"thread_id": (await sdk.threads.create())["thread_id"]}}
    async with asyncio.timeout(DEADLINE_S):
        async with await graph.astream_events(HUMAN, config, version="v3") as run:
            await wait_until(run.interrupted, DEADLINE_S)
        async with await graph.astream_events(Command(resume="yes"), config, version="v3") as run:
            assert (await run.output())["messages"][-1]["content"] == "approved: yes"
