"""Who calls: the auth file's authenticate handler, asked once a request, wherever that is wanted first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from starlette.authentication import AuthCredentials
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from slipway.access.auth_file import CustomAuth
from slipway.access.users import User
from slipway.api.request_parsing import CALLER, parsed
from slipway.api.responses import answer_to, status_of
from slipway.errors import AuthBroken, InvalidRequest, SlipwayError

log = structlog.get_logger(__name__)

CLOSED_BY_STATUS: Final = 4000
"""A WebSocket that is turned away is closed with this and the HTTP status."""
_REASON_BYTES: Final = 123
"""What the frame that closes a WebSocket has room for (RFC 6455, 5.5). A longer reason would break the connection, and
the client would get no code."""
_IN_PROCESS: Final = "slipway.in_process"


class InProcess:
    """The application as graphs reach it without a network (`langgraph_sdk.get_client()`): they are the project's own
    code and are trusted, unless a request is made for a `user`, who may do no more than over a network. No request from
    the network has the mark that this sets. `state` is the lifespan's."""

    def __init__(self, app: ASGIApp, state: Mapping[str, Any], user: User | None = None) -> None:
        self._app, self._state, self._user = app, state, user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        marked = {**scope, "root_path": "", "state": dict(self._state), _IN_PROCESS: True}
        if self._user is not None:
            marked[CALLER] = self._user
        await self._app(marked, receive, send)


def close_reason(text: str) -> str:
    """`text`, cut to what fits into the frame that closes a WebSocket."""
    return text.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")


def in_process(scope: Scope) -> bool:
    """Whether this process itself asks: a graph, or a webhook."""
    return bool(scope.get(_IN_PROCESS))


async def caller_of(connection: HTTPConnection, auth: CustomAuth) -> User | None:
    """The user, None for the graphs' own client. Raises `AccessRefused`."""
    scope = connection.scope
    if CALLER not in scope:
        if in_process(scope):
            return None
        scope[CALLER] = await auth.authenticate(await _offered(connection, auth))
    user: User = scope[CALLER]
    return user


async def _offered(connection: HTTPConnection, auth: CustomAuth) -> dict[str, Any]:
    scope = connection.scope
    return {
        "request": connection if isinstance(connection, Request) else None,
        "body": await _body(connection) if auth.wants_body else None,
        "user": scope.get("user"),
        "path": scope["path"],
        "method": scope.get("method", "GET"),
        "scopes": getattr(scope.get("auth"), "scopes", None),
        "path_params": dict(connection.path_params),
        "query_params": dict(connection.query_params),
        "headers": dict(scope["headers"]),
        "authorization": connection.headers.get("authorization"),
        "scope": scope,
    }


async def _body(connection: HTTPConnection) -> Any:
    """The JSON body; None where there is none, or none that is JSON."""
    raw = await connection.body() if isinstance(connection, Request) else b""
    try:
        return parsed(raw) if raw else None
    except InvalidRequest:
        return None


class Authenticated:
    """Finds out who calls before anything else sees a request, except where `exempt` says that nobody is asked. Who
    comes next finds the caller where Starlette keeps it: `request.user`, and `request.auth.scopes`."""

    def __init__(self, app: ASGIApp, auth: CustomAuth, exempt: Callable[[Scope], bool]) -> None:
        self._app, self._auth, self._exempt = app, auth, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._exempt(scope):
            return await self._app(scope, receive, send)
        connection = Request(scope, receive) if scope["type"] == "http" else HTTPConnection(scope)
        try:
            user = await caller_of(connection, self._auth)
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
    return await answer_to(error, scope.get("slipway.request_id", ""))(scope, receive, send)


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
