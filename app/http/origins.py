"""Pages of other origins on sockets. A browser asks nobody before it opens one, and sends its cookies along: what CORS
keeps foreign pages from doing by requests, they could do by sockets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.websockets import WebSocket

from app.project.sections import CorsSection

Handler = Callable[[WebSocket], Awaitable[None]]


def without_foreign_cookies(handler: Handler, cors: CorsSection) -> Handler:
    """`handler`, to which cookies that a page from elsewhere sends do not exist, unless `cors` lets it send them."""

    async def entered(websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        if origin is not None and not _is_trusted(origin, websocket.headers.get("host", ""), cors):
            headers = websocket.scope["headers"]
            websocket.scope["headers"] = [pair for pair in headers if pair[0] != b"cookie"]
            websocket = WebSocket(websocket.scope, websocket.receive, websocket.send)
        await handler(websocket)

    return entered


def _is_trusted(origin: str, host: str, cors: CorsSection) -> bool:
    if urlsplit(origin).netloc == host:
        return True
    named = origin in cors.allow_origins
    matched = cors.allow_origin_regex is not None and re.fullmatch(cors.allow_origin_regex, origin) is not None
    return cors.allow_credentials and (named or matched)
