"""What LangGraph's clients, the Python SDK and `RemoteGraph`, return for the responses of both servers."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client

from tests.differential.comparison import Json
from tests.differential.recording import DEADLINE_S, Client
from tests.differential.scenarios import register, scenario

INPUTS: dict[str, Any] = {
    "steps": {"value": 1},
    "interrupts": {"value": 1},
    "parent_interrupts": {"value": 1},
    "chat": {"messages": [{"role": "user", "content": "hello there", "id": "in-1"}]},
}


def _as_json(value: Any) -> Json:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _add_stream(graph: str) -> None:
    async def requests(client: Client) -> None:
        sdk: Any = get_client(url=client.url)
        thread = (await sdk.threads.create())["thread_id"]
        for version in ("v1", "v2"):
            modes = ["values", "updates", "messages-tuple"]
            parts = sdk.runs.stream(
                thread, graph, input=INPUTS[graph], stream_mode=modes, stream_subgraphs=True, version=version
            )
            received = [_as_json(part if isinstance(part, dict) else part._asdict()) async for part in parts]
            client.record(version, [{name: value for name, value in part.items() if name != "id"} for part in received])

    register("sdk", f"stream_{graph}", requests)


def _add_remote_graph(graph: str) -> None:
    async def requests(client: Client) -> None:
        remote: Any = RemoteGraph(graph, url=client.url)
        config: Any = {"configurable": {"thread_id": await client.create_thread()}}
        client.record("invoke", _as_json(await remote.ainvoke(INPUTS[graph], config)))
        client.record("state", _as_json((await remote.aget_state(config)).values))
        client.record("next", _as_json((await remote.aget_state(config)).next))
        chunks = [
            _as_json(chunk[:2])
            async for chunk in remote.astream(INPUTS[graph], config, stream_mode=["values", "updates"])
        ]
        client.record("stream", chunks)
        client.record("history", [_as_json(state.next) async for state in remote.aget_state_history(config)])

    register("sdk", f"remote_{graph}", requests)


def _add_threads_stream(graph: str) -> None:
    async def requests(client: Client) -> None:
        sdk: Any = get_client(url=client.url)
        async with asyncio.timeout(DEADLINE_S):
            async with sdk.threads.stream(await client.create_thread(), assistant_id=graph) as thread:
                await thread.run.start(input=INPUTS[graph])
                client.record("output", _as_json(await thread.output))

    register("sdk", f"threads_stream_{graph}", requests)


for _graph in INPUTS:
    _add_stream(_graph)
    _add_remote_graph(_graph)
_add_threads_stream("steps")
_add_threads_stream("chat")


@scenario
async def errors(client: Client) -> None:
    sdk: Any = get_client(url=client.url)
    thread = (await sdk.threads.create())["thread_id"]
    unknown = "3e1a4b8e-0000-4000-8000-0000000000ab"
    calls: dict[str, Any] = {
        "fails": lambda: sdk.runs.wait(thread, "fails", input={"failure": "ValueError"}),
        "unknown thread": lambda: sdk.threads.get(unknown),
        "unknown run": lambda: sdk.runs.get(thread, unknown),
        "unknown assistant": lambda: sdk.assistants.get(unknown),
        "wrong mode": lambda: sdk.runs.wait(thread, "steps", input={}, durability="nothing"),
        "missing item": lambda: sdk.store.get_item(("nowhere",), "nothing"),
    }
    for name, call in calls.items():
        try:
            client.record(name, _as_json(await call()))
        except Exception as error:
            client.record(name, type(error).__name__)
