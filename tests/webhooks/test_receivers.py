"""Receivers that fail, hang, send byte by byte, send without end, or close early: a try ends in time, with a result
that says what happened, and other tries go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from slipway.graphs.official_sections import UrlSection
from slipway.webhooks.call import EXCERPT_CHARS, READ_BYTES, post
from slipway.webhooks.delivery_policy import problem_of
from slipway.webhooks.external_receivers import ExternalReceivers
from slipway.webhooks.record import Delivery
from slipway.webhooks.urls import UrlPolicy

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
POLICY = UrlPolicy(UrlSection(disable_loopback=False))


@asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[str]:
    """The URL of a server that reads a request and answers as it likes, until the client disconnects."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def called(url: str, within_s: float = 20) -> tuple[int, str]:
    """The status and the excerpt of one call."""
    delivery = Delivery("d", "", "", url, try_number=1, calls=1)
    receivers = ExternalReceivers(POLICY)
    try:
        async with asyncio.timeout(within_s), receivers.client_for(delivery) as client:
            response = await post(client, receivers.url_of(delivery), b"{}", {}, ["hush hush"])
            return response.status, response.excerpt
    finally:
        await receivers.close()


def says(head: str, body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def byte_by_byte(writer: asyncio.StreamWriter) -> None:
    """Each byte comes in time for a limit of the pause between two."""
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.02)  # slowly, as the test is about a slow receiver


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.02)  # slowly, as the test is about a slow receiver


async def endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


async def test_an_endless_response_is_read_to_a_bound() -> None:
    async with receiver(endless) as url:
        assert await called(url) == (200, "x" * EXCERPT_CHARS)


async def test_what_is_read_of_a_response_is_bounded() -> None:
    read = 0

    class Counted(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1000
                yield b"x" * 1000

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Counted()))
    async with httpx.AsyncClient(transport=transport) as client:
        response = await post(client, "http://a.example/", b"{}", {}, [])
    assert (response.status, len(response.excerpt)) == (200, EXCERPT_CHARS)
    assert READ_BYTES <= read <= 2 * READ_BYTES


async def test_the_status_counts_when_the_body_comes_slowly() -> None:
    started = time.monotonic()
    async with receiver(slow_body) as url:
        status, excerpt = await called(url)
    assert (status, set(excerpt)) == (202, {"y"})
    assert time.monotonic() - started < 10


async def test_a_receiver_that_sends_byte_by_byte_does_not_hold_a_try() -> None:
    started = time.monotonic()
    async with receiver(byte_by_byte) as url:
        with pytest.raises(TimeoutError) as caught:
            await called(url, within_s=0.5)
    assert problem_of(caught.value) == "no response in time"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says("garbage"), "the connection was closed before the response"),
        (endless_head, "the connection was closed before the response"),
    ],
)
async def test_a_response_that_is_none_is_a_failure(answer: Answer, problem: str) -> None:
    async with receiver(answer) as url:
        with pytest.raises(httpx.TransportError) as caught:
            await called(url)
    assert problem_of(caught.value) == problem


async def test_a_receiver_that_closes_early_has_failed_and_one_that_closes_after_the_status_has_not() -> None:
    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with receiver(close) as url:
        with pytest.raises(httpx.TransportError) as caught:
            await called(url)
    assert problem_of(caught.value) == "the connection was closed before the response"
    async with receiver(says("204 No Content\r\ncontent-length: 50", b"part")) as url:
        assert (await called(url))[0] == 204
    async with receiver(says("200 OK\r\ncontent-length: 50", b"part")) as url:
        assert await called(url) == (200, "part")


async def test_the_excerpt_has_no_secret_and_no_decompressed_bomb() -> None:
    async with receiver(says("200 OK", b"you sent: hush hush, twice: hush hush")) as url:
        assert (await called(url))[1] == "you sent: [redacted], twice: [redacted]"
    async with receiver(says("200 OK\r\ncontent-encoding: gzip", b"\x1f\x8b" + b"\0" * 100)) as url:
        assert (await called(url))[1] == "[102 encoded bytes]"


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver answers with the allowed address once, then with another one. Both listen on one port."""
    answered: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answered.append(writer.get_extra_info("sockname")[0])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    checked = await asyncio.start_server(handle, "127.0.0.2", 0)
    port = checked.sockets[0].getsockname()[1]
    other = await asyncio.start_server(handle, "127.0.0.3", port)
    loop = asyncio.get_running_loop()
    resolve, lookups = loop.getaddrinfo, []

    async def getaddrinfo(host: str | bytes, *args: object, **kwargs: object) -> object:
        name = host if isinstance(host, str) else host.decode()
        if name != "rebound.test":
            return await resolve(host, *args, **kwargs)  # type: ignore[arg-type]
        lookups.append(name)
        return await resolve("127.0.0.2" if len(lookups) == 1 else "127.0.0.3", *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    async with checked, other:
        assert (await called(f"http://rebound.test:{port}/"))[0] == 200
        assert (answered, lookups) == (["127.0.0.2"], ["rebound.test"]), "the name is not looked up again to connect"
        assert (await called(f"http://rebound.test:{port}/"))[0] == 200
        assert answered == ["127.0.0.2", "127.0.0.3"], "each call looks it up, and checks it"
