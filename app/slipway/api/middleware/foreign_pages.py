"""Protects the server from web pages of other sites.

A page can make the browser of its visitor send requests to this server. `ForeignPages` wraps the whole application with
the host app. Requests that this process sends to itself are not checked. docs/open-server.md has the rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slipway.api.auth.authentication import is_in_process
from slipway.api.middleware.hosts import Hosts, name_in
from slipway.api.middleware.mount_prefix import PROBES
from slipway.api.middleware.origins import Origins, is_same_origin
from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error
from slipway.errors import ForeignHost, ForeignOrigin, RefusedRequest, SlipwayError

log = structlog.get_logger(__name__)

Headers = Mapping[bytes, bytes]
"""Each header has one value (`RepeatedHeaders`)."""

_CHECKED_TYPES: Final = ("http", "websocket")
_MAX_SHOWN_CHARACTERS: Final = 260


class ForeignPages:
    """Removes the cookies from each request that a page of another site sends, unless `origins` accepts cookies from
    that site.

    `hosts` is set when there is no auth file. Then requests for a host name that it does not accept are rejected, and
    requests from pages whose origin `origins` does not allow. The probes of the hosting platform are served for every
    host name, with and without `prefix`. So are the deliveries to hooks (`hook_paths`), which their signature
    authenticates: no page can sign one."""

    def __init__(
        self,
        app: ASGIApp,
        origins: Origins,
        hosts: Hosts | None,
        prefix: str = "",
        hook_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._app, self._origins, self._hosts = app, origins, hosts
        self._probes = frozenset((*PROBES, *(f"{prefix}{path}" for path in PROBES)))
        self._hook_paths = frozenset(f"{prefix}{path}" for path in hook_paths)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] not in _CHECKED_TYPES or is_in_process(scope):
            return self._app(scope, receive, send)
        headers = dict(scope["headers"])
        foreign = _foreign_origin(headers)
        if self._hosts is not None and scope["path"] not in self._probes and not self._is_delivery(scope):
            try:
                self._check(self._hosts, headers, foreign)
            except SlipwayError as error:
                return _reject(error, scope, receive, send)
        if foreign is not None and b"cookie" in headers and not self._origins.accepts_cookies_of(foreign):
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"cookie"]}
        return self._app(scope, receive, send)

    def _is_delivery(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._hook_paths

    def _check(self, hosts: Hosts, headers: Headers, foreign: str | None) -> None:
        """Raises a `SlipwayError` if `hosts` does not accept the `Host` header, or if the origins that may call this
        server do not include `foreign`. A request without `Host` is accepted: no browser sends such a request."""
        host = headers.get(b"host")
        if host is not None and not hosts.accepts(host.decode("latin-1")):
            raise _host_error(host.decode("latin-1"))
        if foreign is not None and not self._origins.allows(foreign):
            raise _origin_error(foreign[:_MAX_SHOWN_CHARACTERS])


def _foreign_origin(headers: Headers) -> str | None:
    """The origin of the page that sends the request. None if no page sends it, or if the page is one of this server."""
    value = headers.get(b"origin")
    if value is None:
        return None
    origin = value.decode("latin-1")
    return None if is_same_origin(origin, headers) else origin


def _host_error(host: str) -> SlipwayError:
    name = name_in(host)
    if name is None:
        return RefusedRequest("the Host header is malformed")
    log.warning("http.host_rejected", host=name, setting="SLIPWAY_ALLOWED_HOSTS")
    return ForeignHost(name)


def _origin_error(origin: str) -> SlipwayError:
    # A browser shows only a CORS error to the developer of the page, and not the response. So the log names the fix,
    # which is none for `null`: to allow it would allow pages of every site, in a sandboxed frame
    fix = {} if origin == "null" else {"setting": "http.cors.allow_origins"}
    log.warning("http.origin_rejected", origin=origin, **fix)
    return ForeignOrigin(origin)


async def _reject(error: SlipwayError, scope: Scope, receive: Receive, send: Send) -> None:
    response = response_for_error(error, request_id_of(scope))
    if scope["type"] == "websocket":
        return await WebSocket(scope, receive, send).send_denial_response(response)
    return await response(scope, receive, send)
