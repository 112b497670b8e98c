"""Requests to an application of this process, without a network: its answers are read while they are made.

httpx's own transport hands an answer over when it is whole, which a stream without an end never is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, MutableMapping
from typing import Any, Final

import httpx

Message = MutableMapping[str, Any]

_AHEAD: Final = 16
"""How many pieces an application may be ahead of who reads them."""
_TASKS: Final[set[asyncio.Task[None]]] = set()
"""The event loop itself would not keep them."""


class InProcessTransport(httpx.ASGITransport):
    """As `httpx.ASGITransport`, piece by piece. What the application raises before it answers is raised to the caller;
    an answer that it does not end is one that broke off (`httpx.RemoteProtocolError`)."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, once its headers are there."""
        exchange = _Exchange(await request.aread())
        served = asyncio.create_task(exchange.served(self.app(self._scope(request), exchange.receive, exchange.send)))
        _TASKS.add(served)
        served.add_done_callback(_TASKS.discard)
        try:
            status, headers = await exchange.begun
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=exchange, request=request)

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": self.client,
            "root_path": self.root_path,
        }


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer. Closing it tells the application that the client has gone."""

    def __init__(self, body: bytes) -> None:
        self.begun: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self._body: bytes | None = body
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self._over, self._whole, self._gone = asyncio.Event(), False, False

    async def served(self, answering: Awaitable[None]) -> None:
        """Let the application answer, to its end."""
        error: Exception = httpx.RemoteProtocolError("the application gave no answer")
        try:
            await answering
        except Exception as raised:
            error = raised
        if not self.begun.done():
            self.begun.set_exception(error)
        await self._put(None)

    async def receive(self) -> Message:
        """What the application hears."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """What the application says. It waits for a reader that is far behind."""
        if message["type"] == "http.response.start" and not self.begun.done():
            self.begun.set_result((message["status"], list(message.get("headers", ()))))
        elif message["type"] == "http.response.body":
            if body := message.get("body"):
                await self._put(body)
            if not message.get("more_body"):
                self._whole = True
                self._over.set()

    async def _put(self, piece: bytes | None) -> None:
        if not self._gone:
            await self._pieces.put(piece)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
        if not self._whole:
            raise httpx.RemoteProtocolError("the answer broke off")

    async def aclose(self) -> None:
        """Nobody reads any more."""
        self._gone = True
        self._over.set()
        while not self._pieces.empty():  # so that the application does not wait for room
            self._pieces.get_nowait()
