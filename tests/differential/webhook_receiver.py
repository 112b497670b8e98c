"""Receives the webhooks of one server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.differential.comparison import Json


@dataclass
class WebhookReceiver:
    """What was posted, by the last part of its path."""

    url: str = ""
    bodies: defaultdict[str, asyncio.Queue[Json]] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    async def received(self, name: str, within_s: float) -> Json:
        """The next body of that name, with the content type it came with."""
        return await asyncio.wait_for(self.bodies[name].get(), within_s)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of one connection, answered with 200."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
            await writer.drain()
            self.bodies[request.split(" ")[1].rsplit("/", 1)[-1]].put_nowait(
                {"content-type": headers.get("content-type"), "body": json.loads(body)}
            )
        writer.close()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[WebhookReceiver]:
    """A receiver on a free port, until the block is left."""
    receiver = WebhookReceiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver
