"""A proxy between a client and Redis that can misbehave: cut, refuse, fall silent, delay, and lose messages.

Both sides are unix sockets. What it does holds for all connections, those open and those to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis

Loses = Callable[[Any], bool]
"""Whether a reply of the server never reaches the client."""


class Proxy:
    """Made by `proxied`. `requests` counts the writes of clients that were passed on."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="slipway-proxy-"))
        self.url = f"unix://{self._folder / 'redis.sock'}"
        self.refusing = False
        self.silent = False
        """Nothing passes to the client any more: what the server answers is lost."""
        self._deaf: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        self.loses: Loses | None = None
        self.cut_after_requests: int | None = None
        """Pass on so many writes, then break every connection before an answer comes."""
        self.requests = 0
        self.accepted = 0
        self.held_bytes = 0
        self.lost = 0
        self._passing = asyncio.Event()
        self._passing.set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._accept, self.url.removeprefix("unix://"))

    async def stop(self) -> None:
        """Hang up and go."""
        assert self._server is not None
        self._server.close()
        self.refusing = True
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut(self) -> None:
        """Break every connection now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def deafen(self) -> None:
        """Nothing passes on the connections that are open now; new ones are fine."""
        self._deaf |= self._writers

    def hold_replies(self) -> None:
        """Keep what the server answers until `release_replies`."""
        self._passing.clear()

    def release_replies(self) -> None:
        """Hand on what was held."""
        self._passing.set()
        self.held_bytes = 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_unix_connection(self._upstream.removeprefix("unix://"))
        self._writers |= {writer, up_writer}
        try:
            ways = {
                asyncio.ensure_future(self._to_server(reader, up_writer)),
                asyncio.ensure_future(self._to_client(up_reader, writer)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            up_writer.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if writer in self._deaf:
                    continue
                self.requests += 1
                writer.write(data)
                await writer.drain()
                if self.cut_after_requests is not None and self.requests >= self.cut_after_requests:
                    self.cut_after_requests = None
                    self.cut()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.silent:
                    self.lost += 1
                    continue
                if not self._passing.is_set():
                    self.held_bytes += len(data)
                    await self._passing.wait()
                writer.write(data if self.loses is None else self._kept(parser, data, self.loses))
                await writer.drain()

    def _kept(self, parser: hiredis.Reader, data: bytes, loses: Loses) -> bytes:
        parser.feed(data)
        kept = b""
        while (reply := parser.gets()) is not False:
            if not loses(reply):
                kept += _encoded(reply)
        return kept


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
    """A proxy before the server at `upstream` (a `unix://` URL)."""
    proxy = Proxy(upstream)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
