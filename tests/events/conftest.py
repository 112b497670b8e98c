"""A served application with a worker, and a reader of the event protocol that knows no SDK."""

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
EVERY = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
DEADLINE_S = 30

Event = dict[str, Any]


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


@pytest.fixture
def thread() -> str:
    """The id of a thread that does not exist yet."""
    return str(uuid4())


async def command(client: httpx.AsyncClient, thread: str, method: str, **params: Any) -> dict[str, Any]:
    """The answer to a command."""
    answer = await client.post(f"/threads/{thread}/commands", json={"id": 7, "method": method, "params": params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["id"] == 7
    return body


async def start(client: httpx.AsyncClient, thread: str, graph: str, **params: Any) -> str:
    """The id of a run that `run.start` made."""
    answer = await command(client, thread, "run.start", assistant_id=graph, **params)
    assert answer["type"] == "success", answer
    return str(answer["result"]["run_id"])


@asynccontextmanager
async def listening(client: httpx.AsyncClient, thread: str, **wanted: Any) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a thread, from the first that `wanted` names, while the block lasts."""
    body = {"channels": EVERY, **wanted}
    async with client.stream("POST", f"/threads/{thread}/stream/events", json=body, timeout=DEADLINE_S) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield orjson.loads(line.removeprefix("data: "))


async def until(events: AsyncIterator[Event], last: Callable[[Event], bool]) -> list[Event]:
    """All that come, up to one that is the `last`."""
    heard = []
    async with asyncio.timeout(DEADLINE_S):
        async for event in events:
            heard.append(event)
            if last(event):
                return heard
    raise AssertionError(f"the stream ended after {heard[-3:]}")


async def told(client: httpx.AsyncClient, thread: str, last: Callable[[Event], bool], **wanted: Any) -> list[Event]:
    """What the thread tells from its first event, up to the `last`."""
    async with listening(client, thread, **wanted) as events:
        return await until(events, last)


def root(event: Event, word: str = "", run_id: str = "") -> bool:
    """Whether it is the root lifecycle event `word`: of any run, or of one."""
    is_root = event["method"] == "lifecycle" and not event["params"]["namespace"]
    return is_root and word in ("", event["params"]["data"]["event"]) and run_id in event["event_id"]


def completed(event: Event) -> bool:
    """Whether a run has ended well."""
    return root(event, "completed")


def named(events: list[Event], method: str, namespace: list[str] | None = None) -> list[Any]:
    """The data of the events of a method."""
    return [
        event["params"]["data"]
        for event in events
        if event["method"] == method and namespace in (None, event["params"]["namespace"])
    ]
