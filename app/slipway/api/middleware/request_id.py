"""The id of a request, which logs, responses and error reports show."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST_REQUEST_ID: Final = 200


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


def _header(scope: Scope, name: bytes) -> bytes:
    found: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return found
