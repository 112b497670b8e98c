"""A served application with a worker, and a client of the event protocol without an SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.http.conftest import client, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
ALL_CHANNELS = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
DEADLINE_S = 30

Event = dict[str, Any]


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


@pytest.fixture
def thread() -> str:
    """The id of a thread that does not exist yet."""
    return str(uuid4())


async def send_command(client: httpx.AsyncClient, thread: str, method: str, **params: Any) -> dict[str, Any]:
    """The response to a command."""
    response = await client.post(f"/threads/{thread}/commands", json={"id": 7, "method": method, "params": params})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert body["id"] == 7
    return body


async def start_run(client: httpx.AsyncClient, thread: str, graph: str, **params: Any) -> str:
    """The id of the run that `run.start` created."""
    reply = await send_command(client, thread, "run.start", assistant_id=graph, **params)
    assert reply["type"] == "success", reply
    return str(reply["result"]["run_id"])


@asynccontextmanager
async def event_stream(client: httpx.AsyncClient, thread: str, **filters: Any) -> AsyncIterator[AsyncIterator[Event]]:
    """An open event stream of a thread. `filters` are members of the request: channels, namespaces, since and so on."""
    body = {"channels": ALL_CHANNELS, **filters}
    async with client.stream("POST", f"/threads/{thread}/stream/events", json=body, timeout=DEADLINE_S) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield orjson.loads(line.removeprefix("data: "))


async def receive_until(events: AsyncIterator[Event], is_last: Callable[[Event], bool]) -> list[Event]:
    """Receive events up to the first for which `is_last` is true."""
    received = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in events:
            received.append(event)
            if is_last(event):
                return received
    raise AssertionError(f"the stream ended after {received[-3:]}")


async def read_until(
    client: httpx.AsyncClient, thread: str, is_last: Callable[[Event], bool], **filters: Any
) -> list[Event]:
    """The events of a thread from its first, up to the first for which `is_last` is true."""
    async with event_stream(client, thread, **filters) as events:
        return await receive_until(events, is_last)


def is_root(event: Event, status: str = "", run_id: str = "") -> bool:
    """Whether the event is a lifecycle event of the root graph with this status, of any run or of one run."""
    of_root = event["method"] == "lifecycle" and not event["params"]["namespace"]
    return of_root and status in ("", event["params"]["data"]["event"]) and run_id in event["event_id"]


def is_completed(event: Event) -> bool:
    return is_root(event, "completed")


def data_of(events: list[Event], method: str, namespace: list[str] | None = None) -> list[Any]:
    """The data of the events with this method, in all namespaces or in one."""
    return [
        event["params"]["data"]
        for event in events
        if event["method"] == method and namespace in (None, event["params"]["namespace"])
    ]
