"""What a client may send is bounded before anything is parsed, also before a request line is complete. Everything here
reaches a `slipway web` process through a bare socket."""

from __future__ import annotations

from typing import Final

import httpx
import pytest

from slipway.runs.record import new_id
from tests.connections.conftest import LIMITS
from tests.connections.raw_client import raw_client, response_to, status_in
from tests.crash.cluster import Web, running

pytestmark = pytest.mark.processes

HOST: Final = b"Host: localhost\r\n"
LINE: Final = int(LIMITS["max_request_line_bytes"])
HEADER: Final = int(LIMITS["max_header_bytes"])
HEADERS: Final = int(LIMITS["max_headers_bytes"])


def get(more: bytes, path: bytes = b"/ok") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + more + b"Connection: close\r\n\r\n"


def chunked(body: bytes) -> bytes:
    head = b"POST /threads HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nConnection: close\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body


async def test_max_request_line_bytes(web: Web) -> None:
    path = b"/ok?" + b"a" * (LINE - 4)
    assert status_in(await response_to(web.url, get(b"", path))) == 200
    response = await response_to(web.url, get(b"", path + b"a"))
    assert status_in(response) == 414
    assert b"request_line.too_long" in response
    assert b"SLIPWAY_MAX_REQUEST_LINE_BYTES" in response


async def test_max_headers(web: Web) -> None:
    sent = int(LIMITS["max_headers"]) - 2  # beside host and connection
    headers = b"".join(b"x-%d: 1\r\n" % number for number in range(sent))
    assert status_in(await response_to(web.url, get(headers))) == 200
    response = await response_to(web.url, get(headers + b"x-more: 1\r\n"))
    assert status_in(response) == 431
    assert b"headers.too_large" in response


async def test_max_header_bytes(web: Web) -> None:
    assert status_in(await response_to(web.url, get(b"x: " + b"a" * (HEADER - 1) + b"\r\n"))) == 200
    assert status_in(await response_to(web.url, get(b"x: " + b"a" * HEADER + b"\r\n"))) == 431


async def test_max_headers_bytes(web: Web) -> None:
    used = len(b"hostlocalhostconnectionclose")
    each = (HEADERS - used) // 3
    headers = b"".join(b"x-%d: %s\r\n" % (number, b"a" * (each - 3)) for number in range(3))
    assert status_in(await response_to(web.url, get(headers))) == 200
    assert status_in(await response_to(web.url, get(headers + b"x-3: aaa\r\n"))) == 431


async def test_a_header_of_100_kb_is_rejected_by_default() -> None:
    """It was accepted before there were limits."""
    async with running(webs=1) as cluster:
        url = cluster.webs[0].url
        assert status_in(await response_to(url, get(b"x: " + b"a" * 100_000 + b"\r\n"))) == 431
        assert status_in(await response_to(url, get(b"x: " + b"a" * 8_000 + b"\r\n"))) == 200
        assert status_in(await response_to(url, websocket_upgrade(b"a" * 9_000))) == 431
        assert "Traceback" not in cluster.webs[0].log.read_text()


def websocket_upgrade(value: bytes) -> bytes:
    upgrade = b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    line = b"GET /threads/%s/stream/events HTTP/1.1\r\n" % new_id().encode()
    return line + HOST + b"Connection: Upgrade\r\n" + upgrade + b"x: " + value + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("request_part", "status"),
    [
        (b"GET /ok?" + b"a" * 3 * LINE, 414),
        (b"A" * 100_000, 400),
        (b"GET /ok HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 100_000, 431),
        (b"GET /ok HTTP/1.1\r\n" + HOST + b"a" * 100_000, 431),
        (b"GET /ok HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % number for number in range(1000)), 431),
        (b"\r\n" * 10_000, 431),
    ],
    ids=["target", "method", "header value", "header name", "headers", "empty lines"],
)
async def test_an_unfinished_request_is_rejected_as_soon_as_it_is_too_large(
    web: Web, request_part: bytes, status: int
) -> None:
    response = await response_to(web.url, request_part)
    assert status_in(response) == status
    assert b"connection: close" in response


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"2;name=value\r\n{}\r\n0\r\nx: 1\r\n\r\n", 200),
        (b"2;" + b"a" * 500_000, 400),
        (b"2\r\n{}\r\n0\r\nx: " + b"a" * 500_000, 400),
        (b"2\r\n{}\r\n0\r\n" + b"".join(b"x-%d: 1\r\n" % number for number in range(10_000)), 400),
        (b"".join(b"400\r\n%s\r\n" % (b" " * 0x400) for _ in range(250)) + b"2\r\n{}\r\n0\r\n\r\n", 413),
    ],
    ids=["extension and trailer", "endless extension", "endless trailer", "trailers", "body"],
)
async def test_the_chunks_of_a_body_are_bounded(web: Web, body: bytes, status: int) -> None:
    assert status_in(await response_to(web.url, chunked(body))) == status


async def test_a_trailer_is_no_header(web: Web) -> None:
    """A trailer arrives after the checks of the headers."""
    body = b"2\r\n{}\r\n0\r\norigin: https://evil.example\r\nx-request-id: trailer\r\n\r\n"
    response = await response_to(web.url, chunked(body))
    assert status_in(response) == 200
    assert b"trailer" not in response


LENGTH: Final = b"Content-Length: 2\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
CHUNKS: Final = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (LENGTH + CHUNKED, CHUNKS),
        (CHUNKED + LENGTH, CHUNKS),
        (LENGTH + LENGTH, b"{}"),
        (LENGTH + b"Content-Length: 3\r\n", b"{} "),
        (b"Content-Length: 2, 2\r\n", b"{}"),
        (b"Content-Length: +2\r\n", b"{}"),
        (b"Content-Length: -2\r\n", b"{}"),
        (b"Content-Length: 0x2\r\n", b"{}"),
        (b"Content-Length: 99999999999999999999999\r\n", b"{}"),
        (b"Transfer-Encoding : chunked\r\n", CHUNKS),
        (b"Transfer-Encoding: identity\r\n", CHUNKS),
        (b"Transfer-Encoding: xchunked\r\n", CHUNKS),
        (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
        (b"Transfer-Encoding:\x0bchunked\r\n", CHUNKS),
        (CHUNKED + CHUNKED, CHUNKS),
        (CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS),
        (CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"2\n{}\n0\n\n"),
        (b"X: a\r\n b\r\n" + LENGTH, b"{}"),
        (b"X: a\rb\r\n" + LENGTH, b"{}"),
        (b"X: a\0b\r\n" + LENGTH, b"{}"),
    ],
)
async def test_two_programs_cannot_find_different_ends_of_a_request(web: Web, headers: bytes, body: bytes) -> None:
    """What a proxy and this server could read differently is rejected, so nothing is smuggled past a proxy."""
    head = b"POST /threads HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nConnection: close\r\n"
    response = await response_to(web.url, head + headers + b"\r\n" + body)
    assert status_in(response) == 400
    assert response.count(b"HTTP/1.1 4") == 1, "one response, no second request"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /ok HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST /threads HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + CHUNKS,
        b"GET /ok HTTP/1.1\n" + b"Host: localhost\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT evil.example:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["no host", "chunks of HTTP/1.0", "bare line feeds", "HTTP/2", "TLS", "no ASCII", "a proxy's"],
)
async def test_what_is_not_http_1_1_is_rejected(web: Web, request_bytes: bytes) -> None:
    response = await response_to(web.url, request_bytes)
    assert status_in(response) == 400
    assert b"request.malformed" in response


async def test_pipelined_requests_are_answered_in_order_up_to_their_limit(web: Web) -> None:
    most = int(LIMITS["max_pipelined_requests"])
    one, last = b"GET /ok HTTP/1.1\r\n" + HOST + b"\r\n", get(b"", b"/info")
    responses = await response_to(web.url, one * most + last)
    assert responses.count(b"HTTP/1.1 200") == most + 1
    assert responses.index(b'"ok"') < responses.index(b'"version"')
    assert b"HTTP/1.1" not in await response_to(web.url, one * (most + 1) + last), "the connection is closed"


async def test_without_pipelining_one_request_is_served_at_a_time() -> None:
    """`SLIPWAY_MAX_PIPELINED_REQUESTS=0` rejects requests that wait, and no other ones."""
    async with running(webs=1, max_pipelined_requests=0) as cluster, raw_client(cluster.webs[0].url) as client:
        for _ in range(3):
            await client.send(b"GET /ok HTTP/1.1\r\n" + HOST + b"\r\n")
            assert b"200 OK" in await client.reader.readuntil(b"}}")
        await client.send(b"GET /ok HTTP/1.1\r\n" + HOST + b"\r\n" + get(b""))
        assert b"HTTP/1.1" not in await client.all_received()


async def test_a_rejected_request_adds_nothing_to_an_earlier_response(web: Web) -> None:
    """A client would read the second response as a part of the first."""
    stream = b"POST /runs/stream HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    body = b'{"assistant_id": "steps", "input": {}}'
    async with raw_client(web.url) as client:
        await client.send(stream + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert await client.reader.readline()
        await client.send(b"no HTTP\r\n\r\n")
        assert b"HTTP/1.1 400" not in await client.all_received()


async def test_rejected_clients_are_counted_and_logged(web: Web) -> None:
    await response_to(web.url, b"no HTTP\r\n\r\n")
    async with httpx.AsyncClient(base_url=web.url) as client:
        metrics = (await client.get("/metrics")).text
    assert 'slipway_http_rejected_clients_total{code="request.malformed"}' in metrics
    assert web.count_logged("http.client_rejected")
