"""The id of a request, which logs, responses and error reports contain."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.raw_headers import header_value

_MAX_CHARACTERS: Final = 200


def request_id_of(scope: Scope) -> str:
    """The id of a request. Empty for WebSockets, and where the middleware `RequestId` is not used."""
    request_id: str = scope.get("slipway.request_id", "")
    return request_id


class RequestId:
    """Takes the id from the client's header `x-request-id` or generates one, and sends it in the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        value = header_value(scope, b"x-request-id")
        usable = 0 < len(value) <= _MAX_CHARACTERS and value.isascii() and value.decode("ascii").isprintable()
        scope["slipway.request_id"] = value.decode("ascii") if usable else str(uuid_utils.uuid7())
        header = (b"x-request-id", scope["slipway.request_id"].encode())

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            return send(message)

        return self._app(scope, receive, send_with_id)
