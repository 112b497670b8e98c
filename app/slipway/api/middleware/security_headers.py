"""Headers that keep browsers from treating a response as something else than it is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Of responses that are data. If a browser shows one as a page, it executes nothing, loads nothing and is in no frame;
no address of this server reaches another one. Pages have a policy of their own (`ui.rendering`).

`Cross-Origin-Resource-Policy` applies to requests without CORS only (images, scripts, `no-cors`): a page of another
origin cannot embed the response, and can still request it where `http.cors` allows that."""


class SecurityHeaders:
    """Adds those of the headers that a response does not have. Responses of the host app are unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                names = {name for name, _ in headers}
                message["headers"] = headers + [pair for pair in SECURITY_HEADERS if pair[0] not in names]
            return send(message)

        return self._app(scope, receive, send_with_headers)
