"""Counts the requests of an open server by address, and tells clients what they have left."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from slipway.api.auth.authentication import is_in_process
from slipway.api.auth.rates import ALLOWANCES_KEY, ON_END_KEY, RATES_KEY, count_request_of_address
from slipway.api.middleware.mount_prefix import PROBES, path_below
from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error, status_of
from slipway.api.shared_objects import services_of
from slipway.api.websocket_close import CLOSED_BY_STATUS
from slipway.errors import RateLimited
from slipway.rate_limits.headers import rate_headers

_UNCOUNTED: Final = frozenset({*PROBES, "/metrics"})
"""What the hosting platform and Prometheus request at an interval."""


class RateLimits:
    """Adds the headers `RateLimit` and `RateLimit-Policy` to responses, and frees what a request held when its response
    has ended.

    With `counts_addresses`, which is for a server without access control, each request is counted for the address of
    its client. Where access is controlled, authentication counts (`api.auth.rates`)."""

    def __init__(self, app: ASGIApp, *, counts_addresses: bool) -> None:
        self._app, self._counts_addresses = app, counts_addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or is_in_process(scope):
            return await self._app(scope, receive, send)
        scope[RATES_KEY] = services_of(HTTPConnection(scope)).rates
        if self._counts_addresses and path_below(scope) not in _UNCOUNTED:
            try:
                await count_request_of_address(HTTPConnection(scope))
            except RateLimited as error:
                return await _reject(error, scope, receive, send)

        def send_with_allowances(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and (allowances := scope.get(ALLOWANCES_KEY)):
                message["headers"] = [*message.get("headers", ()), *rate_headers(allowances)]
            return send(message)

        scope[ON_END_KEY] = on_end = list[AsyncExitStack]()
        try:
            await self._app(scope, receive, send_with_allowances)
        finally:
            for held in on_end:
                await held.aclose()
        return None


async def _reject(error: RateLimited, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        return await WebSocketClose(CLOSED_BY_STATUS + status_of(error))(scope, receive, send)
    response = response_for_error(error, request_id_of(scope))
    response.raw_headers.extend(rate_headers(error.allowances))
    return await response(scope, receive, send)
