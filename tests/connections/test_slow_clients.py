"""A client that sends or reads slowly is closed after a deadline, and holds no memory without bound."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest
import websockets

from slipway.runs.record import new_id
from tests.connections.conftest import LIMITS
from tests.connections.raw_client import RawClient, raw_client, response_to, status_in
from tests.crash.cluster import Cluster, Web, running
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

HEAD_S: Final = float(LIMITS["request_head_timeout_s"])
BODY_S: Final = float(LIMITS["request_body_timeout_s"])
LATE_S: Final = 3.0
"""How much later than its deadline a client may be closed on a machine that is busy."""


async def send_slowly(client: RawClient, data: bytes) -> None:
    """A byte every 100 ms, until the server closes the connection."""
    try:
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.1)  # the test is about time
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"GET /" + b"a" * 1000),
        (b"GET /ok HTTP/1.1\r\nHost: localhost\r\n", b"x" * 1000),
        (b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /" + b"a" * 1000),
        (b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n" * 1000),
    ],
    ids=["request line", "headers", "a second request", "empty lines instead of a second request"],
)
async def test_a_request_must_arrive_within_request_head_timeout_s(web: Web, at_once: bytes, slowly: bytes) -> None:
    async with raw_client(web.url) as client:
        await client.send(at_once)
        started = time.monotonic()
        sending = asyncio.create_task(send_slowly(client, slowly))
        received = await client.all_received()
        sending.cancel()
    assert HEAD_S <= time.monotonic() - started < HEAD_S + LATE_S
    assert b"HTTP/1.1 408 " in received
    assert b"client.too_slow" in received


async def test_a_body_must_arrive_within_request_body_timeout_s(web: Web) -> None:
    head = (
        b"POST /threads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    )
    async with raw_client(web.url) as client:
        await client.send(head)
        started = time.monotonic()
        sending = asyncio.create_task(send_slowly(client, b"{" + b" " * 1000))
        received = await client.all_received()
        sending.cancel()
    assert BODY_S <= time.monotonic() - started < BODY_S + LATE_S
    assert status_in(received) == 408


async def test_a_body_that_arrives_at_a_usual_speed_has_more_time(web: Web) -> None:
    """Twice the time of `request_body_timeout_s`, in parts of 10 kB."""
    parts = 30
    body = b'{"metadata": {"a": "' + b"a" * (parts * 5000) + b'"}}'
    head = b"POST /threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    async with raw_client(web.url) as client:
        await client.send(head + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), len(body) // parts + 1):
            await client.send(body[start : start + len(body) // parts + 1])
            await asyncio.sleep(2 * BODY_S / parts)  # the test is about time
        assert status_in(await client.all_received()) == 200


async def test_a_connection_without_a_request_is_closed(web: Web) -> None:
    """Without a response, because browsers open connections before they need them."""
    async with raw_client(web.url) as client:
        started = time.monotonic()
        assert await client.all_received() == b""
        assert HEAD_S <= time.monotonic() - started < HEAD_S + LATE_S


async def test_an_idle_connection_is_closed_after_keep_alive_s(web: Web) -> None:
    async with raw_client(web.url) as client:
        await client.send(b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n")
        started = time.monotonic()
        assert (await client.all_received()).count(b"HTTP/1.1") == 1
        assert 1.9 <= time.monotonic() - started < 2 + LATE_S


async def test_a_long_response_has_no_deadline(web: Web) -> None:
    """The deadlines are about the client: nothing closes a connection that waits for the server."""
    thread_id = new_id()
    async with httpx.AsyncClient(base_url=web.url, timeout=20) as client:
        run = {"assistant_id": "steps", "input": {}, "if_not_exists": "create", "after_seconds": 3600}
        run_id = (await client.post(f"/threads/{thread_id}/runs", json=run)).json()["run_id"]
        waiting = asyncio.create_task(client.get(f"/threads/{thread_id}/runs/{run_id}/join"))
        await asyncio.sleep(2 * max(HEAD_S, BODY_S))  # the test is about time
        assert not waiting.done()
        await client.post(f"/threads/{thread_id}/runs/{run_id}/cancel")
        assert (await waiting).status_code == 200


async def test_a_client_that_does_not_read_its_response_is_closed(web: Web) -> None:
    """After `response_read_timeout_s`, and the response is no longer in memory."""
    thread_id = new_id()
    async with httpx.AsyncClient(base_url=web.url, timeout=20) as client:
        await client.post("/threads", json={"thread_id": thread_id, "metadata": {"a": "x" * 150_000}})
    async with raw_client(web.url, receive_buffer=4096) as client:
        one = b"GET /threads/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % thread_id.encode()
        sending = asyncio.create_task(send_without_reading(client, one))
        await wait_until(lambda: '"client.not_reading"' in web.log.read_text(), 45)
        await asyncio.wait_for(sending, 10)


async def send_without_reading(client: RawClient, request: bytes) -> None:
    """Sends requests until the connection is closed."""
    transport: Any = client.writer.transport
    transport.pause_reading()
    try:
        while True:
            await client.send(request)
            await asyncio.sleep(0.01)  # the server answers each before it reads the next
    except ConnectionError:
        pass


async def test_a_socket_whose_client_does_not_read_is_closed(web: Web) -> None:
    thread_id = new_id()
    address = web.url.removeprefix("http://")
    uri = f"ws://{address}/threads/{thread_id}/stream/events"
    before = web.log.read_text().count('"client.not_reading"')
    async with websockets.connect(uri, max_queue=1, compression=None, ping_interval=None) as client:
        client.transport.pause_reading()
        command = json.dumps({"id": 1, "method": "no.such.method", "params": {"a": "x" * 100}})

        async def send() -> None:
            while True:
                await client.send(command)

        sending = asyncio.create_task(send())
        await wait_until(lambda: web.log.read_text().count('"client.not_reading"') > before, 30)
        sending.cancel()


@pytest.fixture
async def small() -> object:
    async with running(webs=1, max_connections=3, request_head_timeout_s=30) as cluster:
        yield cluster


async def test_one_connection_above_max_connections_gets_503(small: Cluster) -> None:
    url = small.webs[0].url
    async with raw_client(url), raw_client(url), raw_client(url):
        response = await response_to(url, b"GET /ok HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert status_in(response) == 503
        assert b"connections.too_many" in response
        assert b"retry-after: 1" in response
    async with httpx.AsyncClient(base_url=url) as client:

        async def is_served() -> bool:
            return (await client.get("/ok")).status_code == 200

        await wait_until(is_served)


async def test_a_message_of_a_socket_is_bounded(web: Web) -> None:
    """In one frame, in many, and compressed: 1009 says that it was too big. A client that is still sending may see only
    that the connection is closed, because its data arrive at a closed socket."""
    uri = f"ws://{web.url.removeprefix('http://')}/threads/{new_id()}/stream/events"
    for message in ("x" * 300_000, ["x" * 1000] * 300, "x" * 30_000_000):
        compression = "deflate" if len(message) > 1_000_000 else None
        async with websockets.connect(uri, compression=compression) as client:
            with suppress(websockets.ConnectionClosed):
                await client.send(message)
            await client.wait_closed()
            assert client.close_code in (1009, 1006)


async def test_json_in_a_message_of_a_socket_has_a_depth(web: Web) -> None:
    """As in bodies. The socket stays open."""
    uri = f"ws://{web.url.removeprefix('http://')}/threads/{new_id()}/stream/events"
    async with websockets.connect(uri) as client:
        for text in ("[" * 300 + "]" * 300, '{"id": 1, "method": "x", "params": ' + '{"a":' * 300 + "1" + "}" * 301):
            await client.send(text)
            assert "nested deeper than 200 levels" in str(await client.recv())
        await client.send("[" * 50_000)
        assert "invalid_argument" in str(await client.recv())
