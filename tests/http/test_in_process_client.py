"""Requests to an application without a network: responses are streamed, and disconnects work as on a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.api.in_process_client.transport import InProcessTransport
from tests.waiting import event_loop_iterations

DEADLINE_S = 10


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """A client whose requests go to `app`."""
    return httpx.AsyncClient(transport=InProcessTransport(app, root_path="/within"), base_url="http://api")


async def test_a_response_is_received_while_it_is_produced() -> None:
    first_received = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await first_received.wait()
        yield b"second"

    client = client_of(StreamingResponse(body()))
    async with asyncio.timeout(DEADLINE_S), client, client.stream("GET", "/") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        first_received.set()
        assert [chunk async for chunk in chunks] == [b"second"]


async def test_an_application_receives_the_request_and_the_client_its_response() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        request = {"path": scope["path"], "query": scope["query_string"].decode(), "root": scope["root_path"]}
        await JSONResponse({**request, "body": message["body"].decode()}, 418)(scope, receive, send)

    async with client_of(echo) as client:
        response = await client.post("/a/b", params={"c": "d"}, content=b"e")
    assert (response.status_code, response.json()) == (
        418,
        {"path": "/a/b", "query": "c=d", "root": "/within", "body": "e"},
    )


async def test_an_application_waits_for_a_slow_client_and_receives_its_disconnect() -> None:
    ended, sent = asyncio.Event(), 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not disconnected.done():
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            sent += 1
            await asyncio.sleep(0)
        ended.set()

    async with asyncio.timeout(DEADLINE_S), client_of(endless) as client:
        async with client.stream("GET", "/") as response:
            assert await anext(response.aiter_raw()) == b"more"
            await event_loop_iterations(1000)
            assert sent < 100
        await ended.wait()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns without a response."""


async def raise_lookup_error(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises before the response."""
    raise LookupError("no such thing")


async def send_half(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns before the response is complete."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


@pytest.mark.parametrize(
    ("app", "error", "text"),
    [
        (send_nothing, httpx.RemoteProtocolError, "sent no response"),
        (send_half, httpx.RemoteProtocolError, "incomplete"),
        (raise_lookup_error, LookupError, "no such thing"),
    ],
)
async def test_a_client_raises_the_error_of_the_application(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], error: type[Exception], text: str
) -> None:
    async with asyncio.timeout(DEADLINE_S), client_of(app) as client:
        with pytest.raises(error, match=text):
            await client.get("/")
