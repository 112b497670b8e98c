"""Rejects request bodies that are too large."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.middleware.request_id import _header
from slipway.errors import TooLarge

_THROWN_AWAY: Final = 4
"""How many times the limit is read of a body that is too large."""
_PATIENCE_S: Final = 2.0


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
