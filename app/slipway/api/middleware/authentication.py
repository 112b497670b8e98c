"""Authenticates requests before the host app's middleware or routes receive them."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.authentication import AuthCredentials
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from slipway.access.access_control import AccessControl
from slipway.api.auth.authentication import authenticate_request
from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS
from slipway.errors import AuthBroken, SlipwayError

log = structlog.get_logger(__name__)


class AuthenticateRequests:
    """Rejects requests that the auth file does not accept, except those for which `exempt` returns true. The host app
    finds the user where Starlette stores it: in `request.user` and `request.auth.scopes`."""

    def __init__(self, app: ASGIApp, auth: AccessControl, exempt: Callable[[Scope], bool]) -> None:
        self._app, self._auth, self._exempt = app, auth, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._exempt(scope):
            return await self._app(scope, receive, send)
        connection = Request(scope, receive) if scope["type"] == "http" else HTTPConnection(scope)
        try:
            user = await authenticate_request(connection, self._auth)
        except SlipwayError as error:
            return await _reject(error, scope, receive, send)
        if user is not None:
            scope["user"], scope["auth"] = user, AuthCredentials(user.permissions)
        return await self._app(scope, _replay_body(connection, receive), send)


async def _reject(error: SlipwayError, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(error, AuthBroken):
        log.exception("auth.failed", path=scope["path"])
    if scope["type"] == "websocket":
        return await WebSocketClose(CLOSED_BY_STATUS + status_of(error))(scope, receive, send)
    return await response_for_error(error, request_id_of(scope))(scope, receive, send)


def _replay_body(request: HTTPConnection, receive: Receive) -> Receive:
    """A `receive` that first returns the body which the authenticate handler has already read."""
    body: bytes | None = getattr(request, "_body", None)
    if body is None:
        return receive
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
