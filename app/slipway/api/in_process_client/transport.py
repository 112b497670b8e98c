"""An httpx transport that calls an ASGI application of this process and streams its responses.

`httpx.ASGITransport` is not used because it returns a response only when the response is complete, and an event stream
may never be complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, MutableMapping
from typing import Any, Final

import httpx

from slipway.otlp.current_context import current_trace
from slipway.telemetry.trace_context import TRACEPARENT

Message = MutableMapping[str, Any]

_MAX_BUFFERED_CHUNKS: Final = 16
"""The application waits in `send` while this many chunks of its response are unread."""
_TASKS: Final[set[asyncio.Task[None]]] = set()
"""The event loop holds only weak references to tasks."""


class InProcessTransport(httpx.ASGITransport):
    """An exception that the application raises before its response starts is raised by the request. A response that the
    application does not complete raises `httpx.RemoteProtocolError` when it is read."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns when the application has sent the headers. A request of a node belongs to the trace of its run."""
        if TRACEPARENT not in request.headers and (trace := current_trace()) is not None:
            request.headers.update(trace.headers())
        exchange = _Exchange(await request.aread())
        task = asyncio.create_task(exchange.run(self.app(self._scope(request), exchange.receive, exchange.send)))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)
        try:
            status, headers = await exchange.response_start
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
    """One request and its response. Closing it sends `http.disconnect` to the application."""

    def __init__(self, body: bytes) -> None:
        self.response_start: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = (
            asyncio.get_running_loop().create_future()
        )
        self._body: bytes | None = body
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_BUFFERED_CHUNKS)
        self._ended, self._complete, self._closed = asyncio.Event(), False, False

    async def run(self, call: Awaitable[None]) -> None:
        """Awaits the call of the application."""
        error: Exception = httpx.RemoteProtocolError("the application sent no response")
        try:
            await call
        except Exception as raised:
            error = raised
        if not self.response_start.done():
            self.response_start.set_exception(error)
        await self._put(None)

    async def receive(self) -> Message:
        """The ASGI `receive` that the application calls. Returns the request, then `http.disconnect` after the end."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The ASGI `send` that the application calls. Waits until the client has read enough."""
        if message["type"] == "http.response.start" and not self.response_start.done():
            self.response_start.set_result((message["status"], list(message.get("headers", ()))))
        elif message["type"] == "http.response.body":
            if body := message.get("body"):
                await self._put(body)
            if not message.get("more_body"):
                self._complete = True
                self._ended.set()

    async def _put(self, chunk: bytes | None) -> None:
        if not self._closed:
            await self._chunks.put(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
        if not self._complete:
            raise httpx.RemoteProtocolError("the response is incomplete")

    async def aclose(self) -> None:
        """The client has closed the response: `receive` returns `http.disconnect` to the application."""
        self._closed = True
        self._ended.set()
        while not self._chunks.empty():  # wakes an application that waits in `send`
            self._chunks.get_nowait()
