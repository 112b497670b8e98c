"""What happens around every request, as plain ASGI: Starlette's BaseHTTPMiddleware costs a task a request and
gets in the way of streams. The order is drawn in `server.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
import uuid_utils
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.host_app.prefix import path_below
from slipway.api.metrics import HttpMetrics
from slipway.api.responses import answer_to, status_of
from slipway.errors import SlipwayError, TooLarge
from slipway.graphs.sections import HeadersSection
from slipway.header_policy import chosen

log = structlog.get_logger(__name__)

_LONGEST_REQUEST_ID: Final = 200
_CLIENT_GONE: Final = 499
_THROWN_AWAY: Final = 4
"""How many times the limit is read of a body that is too large."""
_PATIENCE_S: Final = 2.0
_WORTH_A_LINE: Final = 400


def request_id_of(scope: Scope) -> str:
    """The id that this request goes by in logs, answers and error reports."""
    found: str = scope.get("slipway.request_id", "")
    return found


class RequestId:
    """Takes `x-request-id` from the client or makes one, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = _header(scope, b"x-request-id")
        usable = 0 < len(given) <= _LONGEST_REQUEST_ID and given.isascii() and given.decode("ascii").isprintable()
        scope["slipway.request_id"] = given.decode("ascii") if usable else str(uuid_utils.uuid7())
        line = (b"x-request-id", scope["slipway.request_id"].encode())

        def sent(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), line]
            return send(message)

        await self._app(scope, receive, sent)
        return None


class AccessLog:
    """One count a request, when it is over, and one line when it failed; or always, when `SLIPWAY_LOG_LEVEL` is
    debug. What a request starts has log lines of its own, and a line for each poll would drown them."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, headers: HeadersSection) -> None:
        self._app, self._metrics, self._headers = app, metrics, headers
        self._verbose = logging.getLogger().isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), _CLIENT_GONE

        def sent(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            took_s = time.perf_counter() - began
            self._metrics.answered(scope, status, took_s)
            if status >= _WORTH_A_LINE:
                self._say(log.info, scope, status, took_s)
            elif self._verbose:
                self._say(log.debug, scope, status, took_s)
        return None

    def _say(self, at_level: Callable[..., Any], scope: Scope, status: int, took_s: float) -> None:
        ms, request_id = round(took_s * 1000, 1), request_id_of(scope)
        facts = {"method": scope["method"], "path": scope["path"], "status": status, "ms": ms}
        if told := chosen(Headers(scope=scope).items(), self._headers):
            facts["headers"] = told
        at_level("http.request", **facts, request_id=request_id)


class Errors:
    """Turns what a handler raises into the answer of `answers.py`. Once an answer has begun, it can only be cut."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        def sent(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            return None
        except Exception as error:
            foreseen = isinstance(error, SlipwayError) and status_of(error) != 500
            if not foreseen or begun:
                log.exception("http.broken", path=scope["path"], request_id=request_id_of(scope))
            if begun:
                return None
            answer = answer_to(error, request_id_of(scope), path_below(scope))
            await answer(scope, receive, send)
        return None


class BodyLimit:
    """Refuses a body over `max_bytes`: by its length when that is told, else as it grows. Some of what follows is
    read and thrown away: a client that is still sending when the connection closes never sees why."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        length = _header(scope, b"content-length")
        told = length.isdigit()
        try:
            self._check(int(length) if told else 0)
            return await self._app(scope, receive if told else self._counted(receive), send)
        except TooLarge:
            await self._throw_away(receive)
            raise

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            self._check(seen)
            return message

        return counted

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise TooLarge(f"the body is larger than {self._max_bytes} bytes")

    async def _throw_away(self, receive: Receive) -> None:
        left, more = _THROWN_AWAY * self._max_bytes, True
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while more and left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    more = message.get("more_body", False)


def _header(scope: Scope, name: bytes) -> bytes:
    found: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return found
