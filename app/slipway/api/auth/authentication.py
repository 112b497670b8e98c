"""Authenticates requests: the auth file returns the user. It is called at most once for each request."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from slipway.access.access_control import AccessControl
from slipway.access.users import User
from slipway.api.auth.rates import count_user, counted_by_address
from slipway.api.request_parsing import parsed
from slipway.errors import InvalidRequest

USER_SCOPE_KEY: Final = "slipway.user"
"""The member of a request's scope that has its `User` after authentication."""
IN_PROCESS_SCOPE_KEY: Final = "slipway.in_process"
"""True in the scope of requests that this process makes itself. Requests from the network cannot set it."""


def is_in_process(scope: Scope) -> bool:
    """Whether this process made the request itself: for a graph or an internal webhook."""
    return bool(scope.get(IN_PROCESS_SCOPE_KEY))


async def authenticate_request(connection: HTTPConnection, auth: AccessControl) -> User | None:
    """The user of the request; None for the in-process client, which is not authenticated. The request is counted.
    Raises `AccessRefused`, `AuthBroken` and `RateLimited`."""
    scope = connection.scope
    if USER_SCOPE_KEY not in scope:
        if is_in_process(scope):
            return None
        async with counted_by_address(connection):
            user = await auth.authenticate(await _handler_parameters(connection, auth))
        await count_user(connection, user)
        scope[USER_SCOPE_KEY] = user
    known: User = scope[USER_SCOPE_KEY]
    return known


async def _handler_parameters(connection: HTTPConnection, auth: AccessControl) -> dict[str, Any]:
    """The parameters that an authenticate handler may declare (`auth_handlers.HANDLER_PARAMETERS`)."""
    scope = connection.scope
    return {
        "request": connection if isinstance(connection, Request) else None,
        "body": await _json_body(connection) if auth.wants_body else None,
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


async def _json_body(connection: HTTPConnection) -> Any:
    """The parsed body; None when it is empty or not JSON."""
    raw = await connection.body() if isinstance(connection, Request) else b""
    try:
        return parsed(raw) if raw else None
    except InvalidRequest:
        return None
