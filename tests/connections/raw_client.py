"""A client on a bare socket, which decides byte by byte what it sends and when it reads."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

ENDS_WITHIN_S: Final = 20.0


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Raises `ConnectionError` if the server has closed the connection."""
        self.writer.write(data)
        await self.writer.drain()

    async def all_received(self) -> bytes:
        """Everything that the server sends until it closes the connection."""
        received = b""
        async with asyncio.timeout(ENDS_WITHIN_S):
            while True:
                try:
                    part = await self.reader.read(2**16)
                except ConnectionError:
                    return received
                if not part:
                    return received
                received += part

    async def seconds_until_closed(self) -> float:
        """The time until the server closes the connection. What it sends is discarded."""
        started = time.monotonic()
        await self.all_received()
        return time.monotonic() - started


@asynccontextmanager
async def raw_client(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
    """A connection that is closed at the end of the block. `receive_buffer`: bytes that the system receives while the
    client does not read."""
    address = urlsplit(url)
    assert address.port is not None
    connected = socket.socket()
    if receive_buffer is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=connected, limit=2**14)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


async def response_to(url: str, request: bytes) -> bytes:
    """What the server sends until it closes the connection, for one request."""
    async with raw_client(url) as client:
        with suppress(ConnectionError):  # it has closed the connection; what it sent before can be read
            await client.send(request)
        return await client.all_received()


def status_in(response: bytes) -> int:
    """The status of the first response."""
    assert response.startswith(b"HTTP/1.1 "), response[:200]
    return int(response.split(b" ", 2)[1])
