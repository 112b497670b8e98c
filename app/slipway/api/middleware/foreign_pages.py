"""What pages of other sites make a browser send is refused before anything else looks at it.

`ForeignPages` stands around the whole application, the project's own app too; `JsonBodies` around our routes alone:
the project's may take forms. Requests of this process itself pass through both. docs/open-server.md has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slipway.api.auth.callers import in_process
from slipway.api.host_app.prefix import PROBES
from slipway.api.middleware.hosts import Hosts, name_in
from slipway.api.middleware.origins import Origins, is_same_origin
from slipway.api.responses import answer_to
from slipway.errors import ForeignHost, ForeignOrigin, NotJson, RefusedRequest, SlipwayError
from slipway.graphs.sections import CorsSection

log = structlog.get_logger(__name__)

Headers = Mapping[bytes, bytes]
"""Each is there once (`RepeatedHeaders`)."""

_CHECKED: Final = ("http", "websocket")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = frozenset({b"application/json", b"text/json"})
_SIMPLE: Final = frozenset({b"text/plain", b""})
"""What Studio sends, and a page's body that has no type."""
_LONGEST_SHOWN: Final = 260


class Cors(CORSMiddleware):
    """Starlette's, with the origins that `Origins` allows; `section` says the rest."""

    def __init__(
        self, app: ASGIApp, origins: Origins, section: CorsSection, exposed: list[str], *, private_network: bool
    ) -> None:
        super().__init__(
            app,
            allow_origins=["*"] if origins.any else [],
            allow_methods=section.allow_methods,
            allow_headers=section.allow_headers,
            allow_credentials=section.allow_credentials,
            allow_private_network=private_network,
            expose_headers=exposed,
            max_age=section.max_age,
        )
        self._origins = origins

    def is_allowed_origin(self, origin: str) -> bool:
        """As for every other request."""
        return self._origins.allow(origin)


class ForeignPages:
    """Takes the cookies out of requests of pages that `origins` does not trust with them. Without an auth file there
    are `hosts`: then a request by another name is refused, and so is one of a page that `origins` does not allow.
    Probes of the platform, below `prefix` too, are answered whatever they call the server."""

    def __init__(self, app: ASGIApp, origins: Origins, hosts: Hosts | None, prefix: str = "") -> None:
        self._app, self._origins, self._hosts = app, origins, hosts
        self._probes = frozenset((*PROBES, *(f"{prefix}{path}" for path in PROBES)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _CHECKED or in_process(scope):
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
        if host is not None and not hosts.serve(host.decode("latin-1")):
            raise _refused_host(host.decode("latin-1"))
        if foreign is not None and not self._origins.allow(foreign):
            raise _refused_origin(foreign[:_LONGEST_SHOWN])


class JsonBodies:
    """Without an auth file, around our own routes: a body starts something only when it is JSON by its content type,
    which a page cannot send unasked. Studio sends `text/plain`: that counts with an `Origin`, which is an allowed one
    here. A page of another site may link to ours, and load nothing of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not in_process(scope):
            headers = dict(scope["headers"])
            if scope["method"] not in _READS:
                _check_content_type(headers)
            elif _is_embedded(headers):
                raise ForeignOrigin("another site")
        return await self._app(scope, receive, send)


def _check_content_type(headers: Headers) -> None:
    given = headers.get(b"content-type")
    kind = (given or b"").partition(b";")[0].strip().lower()
    if kind in _JSON or kind.endswith(b"+json"):
        return
    if given is None and not _has_body(headers):
        return
    if kind in _SIMPLE and b"origin" in headers:
        return
    raise NotJson(kind[:_LONGEST_SHOWN].decode("latin-1"))


def _has_body(headers: Headers) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _is_embedded(headers: Headers) -> bool:
    """Whether a page of another site loads this as an image, a script or a frame. Requests whose answer a page may
    read have an `Origin`, and were checked by that."""
    if headers.get(b"sec-fetch-site") != b"cross-site" or b"origin" in headers:
        return False
    return (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) != (b"navigate", b"document")


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
    answer = answer_to(error, scope.get("slipway.request_id", ""))
    if scope["type"] == "websocket":
        return await WebSocket(scope, receive, send).send_denial_response(answer)
    return await answer(scope, receive, send)
