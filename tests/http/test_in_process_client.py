"""Requests to an application without a network: heard while they are made, broken off and left as on a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.api.in_process_client.transport import InProcessTransport

SOON_S = 10


def reaching(app: ASGIApp) -> httpx.AsyncClient:
    """A client of `app`."""
    return httpx.AsyncClient(transport=InProcessTransport(app, root_path="/within"), base_url="http://api")


async def test_a_response_is_received_while_it_is_produced() -> None:
    heard = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await heard.wait()
        yield b"second"

    client = reaching(StreamingResponse(pieces()))
    async with asyncio.timeout(SOON_S), client, client.stream("GET", "/") as answer:
        reading = answer.aiter_raw()
        assert await anext(reading) == b"first"
        heard.set()
        assert [piece async for piece in reading] == [b"second"]


async def test_an_application_receives_the_request_and_the_client_its_response() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        told = {"path": scope["path"], "query": scope["query_string"].decode(), "root": scope["root_path"]}
        await JSONResponse({**told, "body": message["body"].decode()}, 418)(scope, receive, send)

    async with reaching(echo) as client:
        answer = await client.post("/a/b", params={"c": "d"}, content=b"e")
    assert (answer.status_code, answer.json()) == (
        418,
        {"path": "/a/b", "query": "c=d", "root": "/within", "body": "e"},
    )


async def test_an_application_waits_for_a_slow_client_and_receives_its_disconnect() -> None:
    over, sent = asyncio.Event(), 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        gone = asyncio.create_task(_gone(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            sent += 1
            await asyncio.sleep(0)
        over.set()

    async with asyncio.timeout(SOON_S), reaching(endless) as client:
        async with client.stream("GET", "/") as answer:
            assert await anext(answer.aiter_raw()) == b"more"
            for _ in range(1000):
                await asyncio.sleep(0)
            assert sent < 100
        await over.wait()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Says nothing at all."""


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises before it answers."""
    raise LookupError("no such thing")


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends in the middle."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


@pytest.mark.parametrize(
    ("app", "error", "words"),
    [
        (silent, httpx.RemoteProtocolError, "sent no response"),
        (half, httpx.RemoteProtocolError, "incomplete"),
        (breaks, LookupError, "no such thing"),
    ],
)
async def test_a_client_raises_the_error_of_the_application(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], error: type[Exception], words: str
) -> None:
    async with asyncio.timeout(SOON_S), reaching(app) as client:
        with pytest.raises(error, match=words):
            await client.get("/")
