"""A lean HTTP/1.1 client: one kept connection, one request at a time, parsed in C. It must cost less than what it
measures, which httpx does not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import httptools

OnData = Callable[[bytes], None]
"""Hears each piece of a body as it arrives; and, first, an empty one when the headers are there."""


class Refused(Exception):
    """An answer that is not 2xx, or none."""


class Connection(asyncio.Protocol):
    """One connection to the server under measurement."""

    def __init__(self, host: str) -> None:
        self._host = host.encode()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._on_data: OnData | None = None
        self._body: list[bytes] = []
        self._parser: Any = None

    async def post(self, path: str, body: dict[str, Any], on_data: OnData | None = None) -> bytes:
        """The whole body of the answer. Raises `Refused`."""
        data = json.dumps(body).encode()
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return await self._ask(head % (path.encode(), self._host, len(data)) + data, on_data)

    async def get(self, path: str, on_data: OnData | None = None) -> bytes:
        """The whole body of the answer. Raises `Refused`."""
        return await self._ask(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), self._host), on_data)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _ask(self, request: bytes, on_data: OnData | None) -> asyncio.Future[bytes]:
        assert self._transport is not None
        self._parser, self._body, self._on_data = httptools.HttpResponseParser(self), [], on_data
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    # what the transport and the parser tell

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refused("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._on_data is not None:
            self._on_data(b"")

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)
        if self._on_data is not None:
            self._on_data(piece)

    def on_message_complete(self) -> None:
        assert self._answer is not None
        status, body = self._parser.get_status_code(), b"".join(self._body)
        if self._answer.done():
            return
        if 200 <= status < 300:
            self._answer.set_result(body)
        else:
            self._answer.set_exception(Refused(f"{status}: {body[:300].decode(errors='replace')}"))


@asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[Connection]]:
    """`count` open connections."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    async with AsyncExitStack() as stack:
        opened: list[Connection] = []
        for _ in range(count):
            make = asyncio.get_running_loop().create_connection(lambda: Connection(host), host, int(port or 80))
            _, connection = await make
            stack.callback(connection.close)
            opened.append(connection)
        yield opened


def new_thread() -> str:
    """The path of a thread that no run had before."""
    return f"/threads/{uuid.uuid4()}"


def run_of(graph: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request for a run on a thread that may not exist yet."""
    return {"assistant_id": graph, "input": given, "if_not_exists": "create", **more}


async def wait_small(connection: Connection) -> None:
    """One small run, from request to outcome. Raises `Refused` when the outcome is not the right one."""
    body = await connection.post(f"{new_thread()}/runs/wait", run_of("small", {"text": "hello"}))
    if body.strip() != b'{"text":"hello!"}':
        raise Refused(f"unexpected outcome {body[:300]!r}")
