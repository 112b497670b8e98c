"""What a graph receives as config and context, and how its stream is encoded."""

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
from slipway.execution.stream import complete, stream_graph, stream_with_transformers
from slipway.execution.tool_events import ToolEvents
from slipway.graphs.interface import Graph
from slipway.graphs.run_context import context_arguments
from slipway.json_comparison import contains
from tests.runs.conftest import Stores

IDENTITY = {"langgraph_auth_user": {"identity": "me"}, "langgraph_auth_user_id": "me"}


class State(TypedDict, total=False):
    value: int


async def _claimed(stores: Stores, **kwargs: Any) -> Any:
    await stores.create_run(options=kwargs)
    return await stores.claim_one()


async def test_a_client_cannot_set_the_user_and_run_ids_in_configurable(stores: Stores) -> None:
    requested = {"langgraph_auth_user_id": "another", "user_id": "another", "run_id": "another", "mine": 1}
    run = replace(await _claimed(stores, config={"configurable": requested}), user={"identity": "me"})
    configurable = config_of(run, {}, steps_left=10)["configurable"]
    received = {name: configurable[name] for name in requested}
    assert received == {"langgraph_auth_user_id": "me", "user_id": "me", "run_id": run.run_id, "mine": 1}


@pytest.mark.parametrize("by_name", ["validate_by_name", "populate_by_name"])
def test_a_context_accepts_names_and_aliases_if_its_class_does(by_name: str) -> None:
    class Context(BaseModel):
        model_config = ConfigDict(**{by_name: True})  # type: ignore[misc]

        size: int = Field(1, alias="modelSize")

    context = {"size": 2, "modelSize": 3, "other": 4}
    assert context_arguments(Context, context) == {"size": 2, "modelSize": 3}


def test_streamed_configs_do_not_contain_the_user() -> None:
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
    visible = RunnableLambda(lambda value: value).with_config(run_name="visible")
    hidden = RunnableLambda(lambda value: value).with_config(run_name="hidden", tags=["langsmith:hidden"])

    async def node(state: State) -> State:
        await visible.ainvoke(1)
        await hidden.ainvoke(1)
        return {"value": 1}

    run = await _claimed(stores, stream_mode=["events"])
    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(InMemorySaver())
    stream = stream_graph(graph, run, {"value": 0}, {"configurable": {"thread_id": "t"}}, set(), RunControl())
    chunks = [complete(chunk) async for chunk in stream]
    names = {payload["name"] for _, mode, payload in chunks if mode == "events"}
    assert "visible" in names
    assert "hidden" not in names


def test_a_message_chunk_has_the_id_of_its_provider_or_of_its_message() -> None:
    run_id, ids = uuid4(), []
    for provider_id in ("msg_1", None):
        chunk = ChatGenerationChunk(message=AIMessageChunk(content="word", id=provider_id))
        MessageIds().on_llm_new_token("word", chunk=chunk, run_id=run_id)
        ids.append(chunk.message.id)
    assert ids == ["msg_1", f"lc_run--{run_id}"]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ({"event": "tool-finished", "output": 3}, {"event": "on_tool_end", "output": 3}),
        ({"event": "tool-error", "message": "no"}, {"event": "on_tool_error", "error": "no"}),
    ],
)
def test_every_event_of_a_tool_call_names_the_tool(end: dict[str, Any], expected: dict[str, Any]) -> None:
    start: dict[str, Any] = {"event": "tool-started", "tool_name": "double", "input": {}}
    deltas = [{"event": "tool-output-delta", "delta": delta} for delta in "ab"]
    events: list[dict[str, Any]] = [start, *deltas, end]
    tools = ToolEvents()
    encoded = [tools.encode(event | {"tool_call_id": "c"}) for event in events]
    assert [event["name"] for event in encoded] == ["double"] * 4
    assert [event["data"] for event in encoded[1:3]] == ["a", "b"]
    assert encoded[3] == {"toolCallId": "c", "name": "double"} | expected


class CountingTransformer(StreamTransformer):
    """Counts the chunks of a stream and pushes the count when the stream ends."""

    required_stream_modes = ("values",)

    def init(self) -> dict[str, Any]:
        """Returns the channel of the count."""
        self._count = 0
        self._channel: StreamChannel[int] = StreamChannel("count")
        return {"count": self._channel}

    def process(self, event: ProtocolEvent) -> bool:
        """Counts an event and lets it pass."""
        self._count += 1
        return True

    def finalize(self) -> None:
        """Pushes the count."""
        self._channel.push(self._count)


async def test_a_value_that_a_transformer_pushes_at_the_end_is_streamed() -> None:
    async def stream() -> AsyncIterator[Any]:
        for value in range(3):
            yield (), "values", {"value": value}

    graph: Graph = (
        StateGraph(State)
        .add_node("node", lambda _: {})
        .add_edge(START, "node")
        .compile(transformers=[CountingTransformer])
    )
    chunks = [(mode, payload) async for _, mode, payload in stream_with_transformers(graph, stream())]
    assert chunks == [*(("values", {"value": value}) for value in range(3)), ("custom:count", 3)]


@pytest.mark.parametrize(
    ("metadata", "searched", "matches"),
    [
        ({"a": 1}, {"a": True}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": {"b": [1, True]}}, {"a": {"b": [True]}}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [True]}}, False),
    ],
)
def test_a_search_for_true_does_not_match_1(metadata: object, searched: object, matches: bool) -> None:
    assert contains(metadata, searched) is matches
