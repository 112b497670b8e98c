"""A TCP proxy to the unix socket of Valkey that cuts connections, delays data or drops it. With a `tls` context it
accepts only TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Self


class TcpProxy:
    """An async context manager; it listens at `url`."""

    def __init__(self, socket: Path, tls: ssl.SSLContext | None = None) -> None:
        self._socket, self._tls = socket, tls
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._dropping: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        """The delay of all data, in each direction."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def cut(self) -> None:
        """Reset all connections; new ones work."""
        for writer in self._writers:
            writer.transport.abort()

    def drop_data(self) -> None:
        """Forward nothing more on the open connections, without closing them; new ones work."""
        self._dropping |= self._writers

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        for source, target in ((reader, server_writer), (server_reader, writer)):
            pipe = asyncio.create_task(self._pipe(source, target))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if target not in self._dropping:
                    target.write(data)
                    await target.drain()
        target.transport.abort()
        self._writers.discard(target)
