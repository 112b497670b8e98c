"""What a graph is given and what its stream becomes, one piece of the way at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypedDict
from uuid import uuid4

import orjson
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer
from pydantic import BaseModel, ConfigDict, Field

from slipway.execution.frames import FrameEncoder
from slipway.execution.message_ids import MessageIds
from slipway.execution.run_input import config_of
from slipway.execution.stream import stream_graph, stream_with_transformers
from slipway.execution.tool_events import ToolEvents
from slipway.graphs.interface import Graph
from slipway.graphs.run_context import context_arguments
from slipway.json_comparison import contains
from tests.runs.conftest import Stores

IDENTITY = {"langgraph_auth_user": {"identity": "me"}, "langgraph_auth_user_id": "me"}


class State(TypedDict, total=False):
    """What the graphs of these tests share."""

    value: int


async def _claimed(stores: Stores, **kwargs: Any) -> Any:
    await stores.create_run(options=kwargs)
    return await stores.claim_one()


async def test_a_client_does_not_say_who_it_is(stores: Stores) -> None:
    said = {"langgraph_auth_user_id": "another", "user_id": "another", "run_id": "another", "mine": 1}
    run = replace(await _claimed(stores, config={"configurable": said}), user={"identity": "me"})
    configurable = config_of(run, {}, steps_left=10)["configurable"]
    found = {name: configurable[name] for name in said}
    assert found == {"langgraph_auth_user_id": "me", "user_id": "me", "run_id": run.run_id, "mine": 1}


@pytest.mark.parametrize("by_name", ["validate_by_name", "populate_by_name"])
def test_a_context_takes_names_and_aliases_where_its_class_does(by_name: str) -> None:
    class Context(BaseModel):
        model_config = ConfigDict(**{by_name: True})  # type: ignore[misc]

        size: int = Field(1, alias="modelSize")

    given = {"size": 2, "modelSize": 3, "other": 4}
    assert context_arguments(Context, given) == {"size": 2, "modelSize": 3}


def test_streamed_configs_do_not_show_who_the_caller_is() -> None:
    config = {"configurable": {"thread_id": "t", "mine": 1, "__pregel_x": 2, **IDENTITY}}
    checkpoint: dict[str, Any] = {
        "config": config,
        "parent_config": None,
        "metadata": {},
        "values": {},
        "next": [],
        "tasks": [],
    }
    ((_, frame),) = FrameEncoder(["checkpoints"], subgraphs=False).encode((), "checkpoints", checkpoint)
    assert _data(frame)["config"] == {"configurable": {"thread_id": "t", "mine": 1}}
    event = {"event": "on_chain_start", "metadata": {"mine": 1, **IDENTITY}}
    ((_, frame),) = FrameEncoder(["events"], subgraphs=False).encode((), "events", event)
    assert _data(frame)["metadata"] == {"mine": 1}


def _data(frame: bytes) -> Any:
    return orjson.loads(frame.partition(b"data: ")[2])


async def test_hidden_events_are_not_streamed(stores: Stores) -> None:
    shown = RunnableLambda(lambda value: value).with_config(run_name="shown")
    hidden = RunnableLambda(lambda value: value).with_config(run_name="hidden", tags=["langsmith:hidden"])

    async def node(state: State) -> State:
        await shown.ainvoke(1)
        await hidden.ainvoke(1)
        return {"value": 1}

    run = await _claimed(stores, stream_mode=["events"])
    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(InMemorySaver())
    stream = stream_graph(graph, run, {"value": 0}, {"configurable": {"thread_id": "t"}}, set(), RunControl())
    names = {payload["name"] async for _, mode, payload in stream if mode == "events"}
    assert "shown" in names
    assert "hidden" not in names


def test_a_chunk_keeps_the_id_of_its_provider() -> None:
    """One that has none gets that of its message."""
    run_id, ids = uuid4(), []
    for given in ("msg_1", None):
        chunk = ChatGenerationChunk(message=AIMessageChunk(content="word", id=given))
        MessageIds().on_llm_new_token("word", chunk=chunk, run_id=run_id)
        ids.append(chunk.message.id)
    assert ids == ["msg_1", f"lc_run--{run_id}"]


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ({"event": "tool-finished", "output": 3}, {"event": "on_tool_end", "output": 3}),
        ({"event": "tool-error", "message": "no"}, {"event": "on_tool_error", "error": "no"}),
    ],
)
def test_every_event_of_a_tool_call_names_the_tool(end: dict[str, Any], shown: dict[str, Any]) -> None:
    begin: dict[str, Any] = {"event": "tool-started", "tool_name": "double", "input": {}}
    deltas = [{"event": "tool-output-delta", "delta": part} for part in "ab"]
    events: list[dict[str, Any]] = [begin, *deltas, end]
    tools = ToolEvents()
    told = [tools.encode(event | {"tool_call_id": "c"}) for event in events]
    assert [event["name"] for event in told] == ["double"] * 4
    assert [event["data"] for event in told[1:3]] == ["a", "b"]
    assert told[3] == {"toolCallId": "c", "name": "double"} | shown


class Count(StreamTransformer):
    """Pushes how many chunks it has seen, at the end."""

    required_stream_modes = ("values",)

    def init(self) -> dict[str, Any]:
        """The channel."""
        self._seen = 0
        self._channel: StreamChannel[int] = StreamChannel("count")
        return {"count": self._channel}

    def process(self, event: ProtocolEvent) -> bool:
        """One more."""
        self._seen += 1
        return True

    def finalize(self) -> None:
        """The stream is over."""
        self._channel.push(self._seen)


async def test_what_a_transformer_pushes_at_the_end_is_streamed() -> None:
    async def stream() -> AsyncIterator[Any]:
        for value in range(3):
            yield (), "values", {"value": value}

    graph: Graph = (
        StateGraph(State).add_node("node", lambda _: {}).add_edge(START, "node").compile(transformers=[Count])
    )
    came = [(mode, payload) async for _, mode, payload in stream_with_transformers(graph, stream())]
    assert came == [*(("values", {"value": value}) for value in range(3)), ("custom:count", 3)]


@pytest.mark.parametrize(
    ("whole", "part", "has"),
    [
        ({"a": 1}, {"a": True}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": {"b": [1, True]}}, {"a": {"b": [True]}}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [True]}}, False),
    ],
)
def test_a_search_for_true_does_not_find_one(whole: object, part: object, has: bool) -> None:
    assert contains(whole, part) is has
