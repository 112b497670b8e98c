"""One value for each header, before anything reads one.

A request may carry a header in several lines. Where one reader takes the first line and another the last, they see
two different callers: the one that was checked and the one that is remembered, or acted for. So a header that says who
calls, or where the request is meant to go, may be there once; the lines of any other are joined by a comma, which
RFC 9110 (5.3) allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NoReturn

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slipway.api.responses import response_for_error, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.errors import RefusedRequest
from slipway.header_policy import is_credential

Headers = list[tuple[bytes, bytes]]

_ONCE: Final = frozenset({"host", "origin", "content-type", "idempotency-key", "x-auth-scheme"})


class RepeatedHeaders:
    """Answers 400, or closes the socket with 4400, when a header that identifies the caller is there twice. `names` are
    further ones, such as those of `auth.cache.cache_keys`."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app, self._names = app, _ONCE | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            # a copy: the server adds the trailers of a chunked body to its own list when they come
            headers: Headers = list(scope["headers"])
            scope["headers"] = headers
            if len({name for name, _ in headers}) < len(headers):
                try:
                    scope["headers"] = self._joined(headers)
                except RefusedRequest as error:
                    return await _refuse(error, scope, receive, send)
        return await self._app(scope, receive, send)

    def _joined(self, headers: Headers) -> Headers:
        lines = Counter(name for name, _ in headers)
        for name, count in lines.items():
            if count > 1 and self._is_single(name.decode("latin-1")):
                _refuse_repeated(name.decode("latin-1"))
        return [(name, b", ".join(value for other, value in headers if other == name)) for name in lines]

    def _is_single(self, name: str) -> bool:
        return name in self._names or is_credential(name)


def _refuse_repeated(name: str) -> NoReturn:
    raise RefusedRequest(f"the header {name} is there more than once: it says who calls or what is meant; send it once")


async def _refuse(error: RefusedRequest, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        return await response_for_error(error, scope.get("slipway.request_id", ""))(scope, receive, send)
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    return await websocket.close(CLOSED_BY_STATUS + status_of(error), close_reason(str(error)))
