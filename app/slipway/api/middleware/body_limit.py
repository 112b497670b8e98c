"""Rejects request bodies that are too large."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.raw_headers import header_value
from slipway.errors import TooLarge

_DISCARD_FACTOR: Final = 4
"""Of a body that is too large, at most this many times the limit is received and discarded."""
_DISCARD_TIMEOUT_S: Final = 2.0


class BodyLimit:
    """Raises `TooLarge` for a body of more than `max_bytes`: at once if the request has a content length, else as soon
    as more bytes were received.

    Before, it receives and discards part of the remaining body: a client that is still sending when the connection
    closes would not receive the response."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        length = header_value(scope, b"content-length")
        has_length = length.isdigit()
        try:
            self._check(int(length) if has_length else 0)
            return await self._app(scope, receive if has_length else self._counting(receive), send)
        except TooLarge:
            await self._discard_body(receive)
            raise

    def _counting(self, receive: Receive) -> Receive:
        received = 0

        async def receive_and_count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self._check(received)
            return message

        return receive_and_count

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise TooLarge(f"the body is larger than {self._max_bytes} bytes")

    async def _discard_body(self, receive: Receive) -> None:
        remaining, more = _DISCARD_FACTOR * self._max_bytes, True
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_TIMEOUT_S):
                while more and remaining > 0:
                    message = await receive()
                    remaining -= len(message.get("body", b""))
                    more = message.get("more_body", False)
