"""The event protocol where an auth file is asked: threads are told to those who may read them, also when they come into
being later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from slipway.runs.record import new_id
from tests.auth.conftest import Client
from tests.http.conftest import Served

DEADLINE_S = 20
SUBSCRIBE = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values", "lifecycle"]}}
START = {"id": 2, "method": "run.start", "params": {"assistant_id": "greet", "input": {"text": "hi"}}}


def token(who: str) -> dict[str, str]:
    """Headers of somebody; nobody has none."""
    return {"authorization": f"Bearer {who}-token"} if who else {}


@asynccontextmanager
async def socket_of(served: Served, thread: str, who: str) -> AsyncIterator[ClientConnection]:
    """Somebody's socket on a thread."""
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with asyncio.timeout(DEADLINE_S), connect(url, additional_headers=token(who)) as socket:
        yield socket


async def say(socket: ClientConnection, command: dict[str, Any]) -> Any:
    """A command's answer, where no event comes before it."""
    await socket.send(orjson.dumps(command).decode())
    return orjson.loads(await socket.recv())


async def consume(answer: httpx.Response, into: bytearray) -> None:
    """Read to the end."""
    async for piece in answer.aiter_bytes():
        into += piece


@pytest.mark.usefixtures("worker")
async def test_a_run_started_by_a_command_belongs_to_its_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    thread = new_id()
    answer = (await client.post(f"/threads/{thread}/commands", json=START, headers=token("ann"))).json()
    assert (await ann.threads.get(thread))["metadata"]["owner"] == "ann"
    assert (await ann.runs.join(thread, answer["result"]["run_id"]))["text"]
    async with socket_of(served, thread, "ann") as socket:
        assert (await say(socket, SUBSCRIBE))["type"] == "event"  # the replay comes before the answer


@pytest.mark.parametrize(("who", "code"), [("", 4401), ("dan", 4403), ("bob", 4404)])
async def test_a_denied_websocket_is_closed_with_the_http_status(
    served: Served, ann: Client, who: str, code: int
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    async with socket_of(served, thread, who) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.mark.usefixtures("worker")
async def test_a_client_that_waits_for_a_thread_receives_no_event_of_another_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    thread = new_id()
    asked = {"channels": ["values", "lifecycle"]}
    stream = client.stream("POST", f"/threads/{thread}/stream/events", json=asked, headers=token("bob"))
    async with socket_of(served, thread, "bob") as socket, stream as events:
        assert events.status_code == 200
        assert (await say(socket, SUBSCRIBE))["type"] == "success"
        await ann.runs.wait(thread, "greet", input={"text": "hi"}, if_not_exists="create")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404
        await consume(events, heard := bytearray())
        assert b'"type":"event"' not in heard
        assert b'"error":"no_such_run"' in heard
