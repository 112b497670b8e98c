"""A small HTTP/1.1 client: one persistent connection, one request at a time, parsed in C. It must use less CPU than the
server that it measures; httpx does not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import httptools

OnBodyPart = Callable[[bytes], None]
"""Is called with `b""` when the headers have arrived, then with each part of the body."""


class RequestFailed(Exception):
    """The response is not 2xx, has unexpected content, or is missing."""


class Connection(asyncio.Protocol):
    """One connection to the server under measurement."""

    def __init__(self, host: str) -> None:
        self._host = host.encode()
        self._transport: asyncio.Transport | None = None
        self._response: asyncio.Future[bytes] | None = None
        self._on_data: OnBodyPart | None = None
        self._body: list[bytes] = []
        self._parser: Any = None

    async def post(self, path: str, body: dict[str, Any], on_data: OnBodyPart | None = None) -> bytes:
        """The body of the response. Raises `RequestFailed`."""
        return await self.post_json(path, json.dumps(body).encode(), on_data)

    async def post_json(self, path: str, data: bytes, on_data: OnBodyPart | None = None) -> bytes:
        """Sends a body that is encoded already: to encode a large one delays the other requests of the client."""
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return await self._send(head % (path.encode(), self._host, len(data)) + data, on_data)

    async def get(self, path: str, on_data: OnBodyPart | None = None) -> bytes:
        """The body of the response. Raises `RequestFailed`."""
        return await self._send(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), self._host), on_data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _send(self, request: bytes, on_data: OnBodyPart | None) -> asyncio.Future[bytes]:
        assert self._transport is not None
        self._parser, self._body, self._on_data = httptools.HttpResponseParser(self), [], on_data
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._response

    # called by the transport and the parser

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(RequestFailed("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._on_data is not None:
            self._on_data(b"")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)
        if self._on_data is not None:
            self._on_data(part)

    def on_message_complete(self) -> None:
        assert self._response is not None
        status, body = self._parser.get_status_code(), b"".join(self._body)
        if self._response.done():
            return
        if 200 <= status < 300:
            self._response.set_result(body)
        else:
            self._response.set_exception(RequestFailed(f"{status}: {body[:300].decode(errors='replace')}"))


@asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[Connection]]:
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    async with AsyncExitStack() as stack:
        opened: list[Connection] = []
        for _ in range(count):
            connecting = asyncio.get_running_loop().create_connection(lambda: Connection(host), host, int(port or 80))
            _, connection = await connecting
            stack.callback(connection.close)
            opened.append(connection)
        yield opened


def new_thread() -> str:
    """The path of a thread with a new id."""
    return f"/threads/{uuid.uuid4()}"


def run_of(graph: str, graph_input: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A request for a run on a thread that may not exist yet."""
    return {"assistant_id": graph, "input": graph_input, "if_not_exists": "create", **options}


async def wait_small(connection: Connection) -> None:
    """One small run, from the request to its result. Raises `RequestFailed` when the result is wrong."""
    body = await connection.post(f"{new_thread()}/runs/wait", run_of("small", {"text": "hello"}))
    if body.strip() != b'{"text":"hello!"}':
        raise RequestFailed(f"unexpected result {body[:300]!r}")
