"""Authenticates requests."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from slipway.access.auth_file import CustomAuth
from slipway.access.users import User
from slipway.api.request_parsing import CALLER, parsed
from slipway.errors import InvalidRequest

_IN_PROCESS: Final = "slipway.in_process"


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
