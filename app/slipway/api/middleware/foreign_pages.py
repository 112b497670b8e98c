"""Rejects requests that pages of other sites cause a browser to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slipway.api.auth.authentication import is_in_process
from slipway.api.middleware.hosts import Hosts, name_in
from slipway.api.middleware.mount_prefix import PROBES
from slipway.api.middleware.origins import Origins, is_same_origin
from slipway.api.responses import response_for_error
from slipway.errors import ForeignHost, ForeignOrigin, RefusedRequest, SlipwayError

log = structlog.get_logger(__name__)

Headers = Mapping[bytes, bytes]
"""Each is there once (`RepeatedHeaders`)."""

_CHECKED: Final = ("http", "websocket")
_LONGEST_SHOWN: Final = 260


class ForeignPages:
    """Takes the cookies out of requests of pages that `origins` does not trust with them. Without an auth file there
    are `hosts`: then a request by another name is refused, and so is one of a page that `origins` does not allow.
    Probes of the platform, below `prefix` too, are answered whatever they call the server."""

    def __init__(self, app: ASGIApp, origins: Origins, hosts: Hosts | None, prefix: str = "") -> None:
        self._app, self._origins, self._hosts = app, origins, hosts
        self._probes = frozenset((*PROBES, *(f"{prefix}{path}" for path in PROBES)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _CHECKED or is_in_process(scope):
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        foreign = self._foreign_origin(headers)
        if self._hosts is not None and scope["path"] not in self._probes:
            try:
                self._check(self._hosts, headers, foreign)
            except SlipwayError as error:
                return await _refuse(error, scope, receive, send)
        if foreign is not None and b"cookie" in headers and not self._origins.trust_cookies_of(foreign):
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"cookie"]}
        return await self._app(scope, receive, send)

    def _foreign_origin(self, headers: Headers) -> str | None:
        """The origin of a page that is not this server's; None when no such page sends the request."""
        given = headers.get(b"origin")
        if given is None:
            return None
        origin = given.decode("latin-1")
        return None if is_same_origin(origin, headers) else origin

    def _check(self, hosts: Hosts, headers: Headers, foreign: str | None) -> None:
        """Raise when the request must not be answered. A client that sends no `Host` is no browser."""
        host = headers.get(b"host")
        if host is not None and not hosts.accepts(host.decode("latin-1")):
            raise _refused_host(host.decode("latin-1"))
        if foreign is not None and not self._origins.allows(foreign):
            raise _refused_origin(foreign[:_LONGEST_SHOWN])


def _refused_host(host: str) -> SlipwayError:
    name = name_in(host)
    if name is None:
        return RefusedRequest("the Host header is malformed")
    log.warning("http.host_refused", host=name, option="SLIPWAY_ALLOWED_HOSTS")
    return ForeignHost(name)


def _refused_origin(origin: str) -> SlipwayError:
    # a browser shows the page's developer a CORS error without the answer's text: the log has to name the fix
    log.warning("http.origin_refused", origin=origin, option="http.cors.allow_origins")
    return ForeignOrigin(repr(origin))


async def _refuse(error: SlipwayError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = response_for_error(error, scope.get("slipway.request_id", ""))
    if scope["type"] == "websocket":
        return await WebSocket(scope, receive, send).send_denial_response(answer)
    return await answer(scope, receive, send)
