"""Sends the body of a response past the middleware, which only reads and changes its start.

Each middleware wraps `send`, and so does Starlette. A long response sends many messages, and each of them would pass
through all wrappers: for an event that is sent to 200 clients that was an eighth of the work of the web process.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

_SCOPE_KEY: Final = "slipway.body_send"


class BodySend:
    """The outermost middleware of Slipway's application, inside the middleware of a host app, which may also change
    bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope[_SCOPE_KEY] = send
        try:
            await self._app(scope, receive, send)
        finally:
            # the server's object for the request has both, so only the garbage collector would free it
            scope.pop(_SCOPE_KEY, None)
        return None


def body_send_of(scope: Scope, send: Send) -> Send:
    """What sends the messages that follow the start of a response. `send` must have sent the start."""
    direct: Send = scope.get(_SCOPE_KEY, send)
    return direct
