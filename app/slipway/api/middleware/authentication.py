"""Authenticates before the host app."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.authentication import AuthCredentials
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from slipway.access.auth_file import AuthFile
from slipway.api.auth.authentication import authenticate_request
from slipway.api.responses import response_for_error, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS
from slipway.errors import AuthBroken, SlipwayError

log = structlog.get_logger(__name__)


class AuthenticateRequests:
    """Finds out who calls before anything else sees a request, except where `exempt` says that nobody is asked. Who
    comes next finds the caller where Starlette keeps it: `request.user`, and `request.auth.scopes`."""

    def __init__(self, app: ASGIApp, auth: AuthFile, exempt: Callable[[Scope], bool]) -> None:
        self._app, self._auth, self._exempt = app, auth, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._exempt(scope):
            return await self._app(scope, receive, send)
        connection = Request(scope, receive) if scope["type"] == "http" else HTTPConnection(scope)
        try:
            user = await authenticate_request(connection, self._auth)
        except SlipwayError as error:
            return await _turn_away(error, scope, receive, send)
        if user is not None:
            scope["user"], scope["auth"] = user, AuthCredentials(user.permissions)
        return await self._app(scope, _again(connection, receive), send)


async def _turn_away(error: SlipwayError, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(error, AuthBroken):
        log.exception("auth.broken", path=scope["path"])
    if scope["type"] == "websocket":
        return await WebSocketClose(CLOSED_BY_STATUS + status_of(error))(scope, receive, send)
    return await response_for_error(error, scope.get("slipway.request_id", ""))(scope, receive, send)


def _again(request: HTTPConnection, receive: Receive) -> Receive:
    """What the authenticate handler has read of the body is there for whoever comes next."""
    raw: bytes | None = getattr(request, "_body", None)
    if raw is None:
        return receive
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return again
