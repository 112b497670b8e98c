"""Accepts only JSON bodies, and no embedding by other sites."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.api.auth.authentication import is_in_process
from slipway.api.middleware.foreign_pages import _LONGEST_SHOWN, Headers
from slipway.errors import ForeignOrigin, NotJson

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = frozenset({b"application/json", b"text/json"})
_SIMPLE: Final = frozenset({b"text/plain", b""})
"""What Studio sends, and a page's body that has no type."""


class JsonBodies:
    """Without an auth file, around our own routes: a body starts something only when it is JSON by its content type,
    which a page cannot send unasked. Studio sends `text/plain`: that counts with an `Origin`, which is an allowed one
    here. A page of another site may link to ours, and load nothing of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_in_process(scope):
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
