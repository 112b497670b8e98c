"""The event protocol with an auth file: only a user who may read a thread receives its events, also if the thread is
created later."""

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


def headers_of(user: str) -> dict[str, str]:
    """The headers with the token of a user; an empty name has none."""
    return {"authorization": f"Bearer {user}-token"} if user else {}


@asynccontextmanager
async def socket_of(served: Served, thread: str, user: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket of a user on a thread."""
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with asyncio.timeout(DEADLINE_S), connect(url, additional_headers=headers_of(user)) as socket:
        yield socket


async def send_command(socket: ClientConnection, command: dict[str, Any]) -> Any:
    """Send a command. Returns the next frame."""
    await socket.send(orjson.dumps(command).decode())
    return orjson.loads(await socket.recv())


async def consume(response: httpx.Response, into: bytearray) -> None:
    async for chunk in response.aiter_bytes():
        into += chunk


@pytest.mark.usefixtures("worker")
async def test_a_run_started_by_a_command_belongs_to_its_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    thread = new_id()
    response = (await client.post(f"/threads/{thread}/commands", json=START, headers=headers_of("ann"))).json()
    assert (await ann.threads.get(thread))["metadata"]["owner"] == "ann"
    assert (await ann.runs.join(thread, response["result"]["run_id"]))["text"]
    async with socket_of(served, thread, "ann") as socket:
        assert (await send_command(socket, SUBSCRIBE))["type"] == "event"  # the replay comes before the response


@pytest.mark.parametrize(("user", "code"), [("", 4401), ("dan", 4403), ("bob", 4404)])
async def test_a_denied_websocket_is_closed_with_the_http_status(
    served: Served, ann: Client, user: str, code: int
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    async with socket_of(served, thread, user) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.mark.usefixtures("worker")
async def test_a_client_that_waits_for_a_thread_receives_no_event_of_another_user(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    thread = new_id()
    body = {"channels": ["values", "lifecycle"]}
    stream = client.stream("POST", f"/threads/{thread}/stream/events", json=body, headers=headers_of("bob"))
    async with socket_of(served, thread, "bob") as socket, stream as events:
        assert events.status_code == 200
        assert (await send_command(socket, SUBSCRIBE))["type"] == "success"
        await ann.runs.wait(thread, "greet", input={"text": "hi"}, if_not_exists="create")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404
        await consume(events, received := bytearray())
        assert b'"type":"event"' not in received
        assert b'"error":"no_such_run"' in received
