"""Gives each header exactly one value.

A request can repeat a header. If one reader used the first value and another reader the last, one request would act for
two users: one would be authenticated, and the other would be the cache key. So a header that identifies the user or the
target of the request must occur once. The values of any other header are joined by commas, as RFC 9110 (5.3) allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Final, NoReturn

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.credential_headers import is_credential
from slipway.errors import RefusedRequest

Headers = list[tuple[bytes, bytes]]

_MUST_OCCUR_ONCE: Final = frozenset({"host", "origin", "content-type", "idempotency-key", "x-auth-scheme"})


class RepeatedHeaders:
    """Rejects a request with a repeated header that must occur once: 400, or close code 4400 for a WebSocket. `names`
    are additional headers of this kind, such as those of `auth.cache.cache_keys`."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app, self._names = app, _MUST_OCCUR_ONCE | {name.lower() for name in names}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket"):
            # A copy: uvicorn appends the trailers of a chunked body to its own list later.
            headers: Headers = list(scope["headers"])
            scope["headers"] = headers
            if len({name for name, _ in headers}) < len(headers):
                try:
                    scope["headers"] = self._joined(headers)
                except RefusedRequest as error:
                    return _reject(error, scope, receive, send)
        return self._app(scope, receive, send)

    def _joined(self, headers: Headers) -> Headers:
        lines = Counter(name for name, _ in headers)
        for name, count in lines.items():
            if count > 1 and self._is_single(name.decode("latin-1")):
                _raise_repeated(name.decode("latin-1"))
        return [(name, b", ".join(value for other, value in headers if other == name)) for name in lines]

    def _is_single(self, name: str) -> bool:
        return name in self._names or is_credential(name)


def _raise_repeated(name: str) -> NoReturn:
    raise RefusedRequest(f"the header {name} identifies the user or the target; it must not be repeated")


async def _reject(error: RefusedRequest, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        return await response_for_error(error, request_id_of(scope))(scope, receive, send)
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    return await websocket.close(CLOSED_BY_STATUS + status_of(error), close_reason(str(error)))
