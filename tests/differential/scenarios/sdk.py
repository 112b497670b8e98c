"""The clients of LangGraph: what the Python SDK and `RemoteGraph` make of the answers."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client

from tests.differential.comparison import Json
from tests.differential.recording import DEADLINE_S, Client
from tests.differential.scenarios import add, scenario

GRAPHS: dict[str, Any] = {
    "steps": {"value": 1},
    "asks": {"value": 1},
    "parent_asks": {"value": 1},
    "chat": {"messages": [{"role": "user", "content": "hello there", "id": "in-1"}]},
}


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _streamed(graph: str) -> None:
    async def play(client: Client) -> None:
        sdk: Any = get_client(url=client.url)
        thread = (await sdk.threads.create())["thread_id"]
        for version in ("v1", "v2"):
            modes = ["values", "updates", "messages-tuple"]
            parts = sdk.runs.stream(
                thread, graph, input=GRAPHS[graph], stream_mode=modes, stream_subgraphs=True, version=version
            )
            seen = [_plain(part if isinstance(part, dict) else part._asdict()) async for part in parts]
            client.note(version, [{name: value for name, value in part.items() if name != "id"} for part in seen])

    add("sdk", f"stream_{graph}", play)


def _remote(graph: str) -> None:
    async def play(client: Client) -> None:
        remote: Any = RemoteGraph(graph, url=client.url)
        config: Any = {"configurable": {"thread_id": await client.thread()}}
        client.note("invoke", _plain(await remote.ainvoke(GRAPHS[graph], config)))
        client.note("state", _plain((await remote.aget_state(config)).values))
        client.note("next", _plain((await remote.aget_state(config)).next))
        chunks = [
            _plain(chunk[:2])
            async for chunk in remote.astream(GRAPHS[graph], config, stream_mode=["values", "updates"])
        ]
        client.note("stream", chunks)
        client.note("history", [_plain(state.next) async for state in remote.aget_state_history(config)])

    add("sdk", f"remote_{graph}", play)


def _threads_stream(graph: str) -> None:
    async def play(client: Client) -> None:
        sdk: Any = get_client(url=client.url)
        async with asyncio.timeout(DEADLINE_S):
            async with sdk.threads.stream(await client.thread(), assistant_id=graph) as thread:
                await thread.run.start(input=GRAPHS[graph])
                client.note("output", _plain(await thread.output))

    add("sdk", f"threads_stream_{graph}", play)


for _graph in GRAPHS:
    _streamed(_graph)
    _remote(_graph)
_threads_stream("steps")
_threads_stream("chat")


@scenario
async def errors(client: Client) -> None:
    sdk: Any = get_client(url=client.url)
    thread = (await sdk.threads.create())["thread_id"]
    unknown = "3e1a4b8e-0000-4000-8000-0000000000ab"
    calls: dict[str, Any] = {
        "fails": lambda: sdk.runs.wait(thread, "fails", input={"seen": "ValueError"}),
        "unknown thread": lambda: sdk.threads.get(unknown),
        "unknown run": lambda: sdk.runs.get(thread, unknown),
        "unknown assistant": lambda: sdk.assistants.get(unknown),
        "wrong mode": lambda: sdk.runs.wait(thread, "steps", input={}, durability="nothing"),
        "missing item": lambda: sdk.store.get_item(("nowhere",), "nothing"),
    }
    for name, call in calls.items():
        try:
            client.note(name, _plain(await call()))
        except Exception as error:
            client.note(name, type(error).__name__)
