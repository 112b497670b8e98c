"""A proxy between a client and Redis that disturbs connections: it cuts, rejects, delays them, and drops data.

It connects to the unix socket of Redis, and listens on a unix socket or a TCP port. Attributes apply to all
connections, open and new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis

Drops = Callable[[Any], bool]
"""Returns whether a reply of the server is dropped."""


class Proxy:
    """`proxied` creates it. `requests` counts the writes of clients that were forwarded."""

    url: str

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="slipway-proxy-"))
        self.rejecting = False
        self.dropping_replies = False
        """True: all replies of the server are dropped."""
        self._dropping: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        """The delay of all data, in each direction."""
        self.drops: Drops | None = None
        self.cut_after_requests: int | None = None
        """After this number of writes, all connections are closed before the reply."""
        self.requests = 0
        self.accepted = 0
        self.held_back_bytes = 0
        self.dropped = 0
        self._passing = asyncio.Event()
        self._passing.set()

    async def listen_on_unix_socket(self) -> None:
        socket = self._folder / "redis.sock"
        self._server = await asyncio.start_unix_server(self._accept, socket)
        self.url = f"unix://{socket}"

    async def listen_on_tcp_port(self, tls: ssl.SSLContext | None) -> None:
        """With `tls`, only TLS is accepted."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{port}/0"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.rejecting = True
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut(self) -> None:
        """Close all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def drop_data(self) -> None:
        """Forward nothing more on the open connections, without closing them; new ones work."""
        self._dropping |= self._writers

    def hold_replies(self) -> None:
        """Hold back the replies of the server until `release_replies`."""
        self._passing.clear()

    def release_replies(self) -> None:
        """Forward the replies that were held back."""
        self._passing.set()
        self.held_back_bytes = 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.rejecting:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._upstream.removeprefix("unix://"))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        try:
            directions = {
                asyncio.ensure_future(self._to_server(reader, up_writer)),
                asyncio.ensure_future(self._to_client(up_reader, writer)),
            }
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            up_writer.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            async for data in self._received(reader, writer):
                self.requests += 1
                writer.write(data)
                await writer.drain()
                if self.cut_after_requests is not None and self.requests >= self.cut_after_requests:
                    self.cut_after_requests = None
                    self.cut()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        with contextlib.suppress(OSError):
            async for data in self._received(reader, writer):
                if self.dropping_replies:
                    self.dropped += 1
                    continue
                if not self._passing.is_set():
                    self.held_back_bytes += len(data)
                    await self._passing.wait()
                writer.write(data if self.drops is None else self._without_dropped(parser, data, self.drops))
                await writer.drain()

    async def _received(self, reader: asyncio.StreamReader, target: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        """The delayed data for `target` that are not dropped by `drop_data`."""
        while data := await reader.read(65536):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if target not in self._dropping:
                yield data

    def _without_dropped(self, parser: hiredis.Reader, data: bytes, drops: Drops) -> bytes:
        parser.feed(data)
        forwarded = b""
        while (reply := parser.gets()) is not False:
            if not drops(reply):
                forwarded += _encoded(reply)
        return forwarded


def _encoded(reply: Any) -> bytes:
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(_encoded(part) for part in reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, hiredis.ReplyError):
        return b"-%s\r\n" % str(reply).encode()
    return b"$-1\r\n" if reply is None else b"$%d\r\n%s\r\n" % (len(reply), reply)


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """A proxy to the server at `upstream` (a `unix://` URL), which listens on a unix socket."""
    proxy = Proxy(upstream)
    await proxy.listen_on_unix_socket()
    try:
        yield proxy
    finally:
        await proxy.stop()


@asynccontextmanager
async def tcp_proxied(upstream: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy to the server at `upstream` (a `unix://` URL), which listens on a TCP port; with `tls`, for TLS only."""
    proxy = Proxy(upstream)
    await proxy.listen_on_tcp_port(tls)
    try:
        yield proxy
    finally:
        await proxy.stop()
