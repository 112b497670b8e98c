"""Protects a server without an auth file: accepts only content types that make a browser send a CORS preflight request
before a page of another site can use them.

It wraps Slipway's routes, but not the host app, whose routes may accept forms.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.api.auth.authentication import is_in_process
from slipway.api.middleware.mount_prefix import path_below
from slipway.errors import ForeignOrigin, NotJson

Headers = Mapping[bytes, bytes]

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = frozenset({b"application/json", b"text/json"})
_SENT_BY_STUDIO: Final = frozenset({b"text/plain", b""})
"""The content types of Studio's requests; empty if the header is missing."""
_MAX_SHOWN_CHARACTERS: Final = 260


class JsonBodies:
    """Rejects a request body without a JSON content type. Studio sends `text/plain`, which is accepted if the request
    has the header `Origin`, because `ForeignPages` has already checked that the origin is allowed.

    Also rejects requests by which a page of another site embeds a page of Slipway. Links to them are allowed."""

    def __init__(self, app: ASGIApp, hook_paths: frozenset[str] = frozenset()) -> None:
        """`hook_paths`: deliveries to hooks may be forms, because their signature authenticates them."""
        self._app, self._hook_paths = app, hook_paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and not is_in_process(scope):
            headers = dict(scope["headers"])
            if scope["method"] not in _READS:
                if path_below(scope) not in self._hook_paths:
                    _check_content_type(headers)
            elif _is_embedded(headers):
                raise ForeignOrigin(None)
        return self._app(scope, receive, send)


def _check_content_type(headers: Headers) -> None:
    value = headers.get(b"content-type")
    media_type = (value or b"").partition(b";")[0].strip().lower()
    if media_type in _JSON or media_type.endswith(b"+json"):
        return
    if value is None and not _has_body(headers):
        return
    if media_type in _SENT_BY_STUDIO and b"origin" in headers:
        return
    raise NotJson(media_type[:_MAX_SHOWN_CHARACTERS].decode("latin-1"))


def _has_body(headers: Headers) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _is_embedded(headers: Headers) -> bool:
    """Whether a page of another site embeds the response: as an image, a script or a frame. False for a request with
    `Origin`, which `ForeignPages` has already checked."""
    if headers.get(b"sec-fetch-site") != b"cross-site" or b"origin" in headers:
        return False
    return (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) != (b"navigate", b"document")
