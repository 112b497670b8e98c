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
    """Queues the body and the content type of each webhook by its name, which is the last part of the path."""

    url: str = ""
    webhooks: defaultdict[str, asyncio.Queue[Json]] = field(default_factory=lambda: defaultdict(asyncio.Queue))

    async def next_of(self, name: str, within_s: float) -> Json:
        """Waits for the next webhook of that name. Raises `TimeoutError` after `within_s` seconds."""
        return await asyncio.wait_for(self.webhooks[name].get(), within_s)

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads one request, responds with 200 and closes the connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
            await writer.drain()
            self.webhooks[request.split(" ")[1].rsplit("/", 1)[-1]].put_nowait(
                {"content-type": headers.get("content-type"), "body": json.loads(body)}
            )
        writer.close()


@contextlib.asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """A receiver on a free port. It stops when the block ends."""
    receiver = WebhookReceiver()
    server = await asyncio.start_server(receiver.serve_connection, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver
