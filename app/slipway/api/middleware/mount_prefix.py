"""`http.mount_prefix`: serves everything below one path, for a proxy that shares one host among several services."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from slipway.api.auth.authentication import is_in_process
from slipway.api.responses import JsonResponse

PROBES: Final = ("/healthz", "/ok", "/readyz")
"""Also served without the prefix, because the hosting platform requests them."""


class MountPrefix:
    """Passes on requests for paths below `prefix`, with `root_path` set to `prefix`. Responds to all others with
    404."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or is_in_process(scope) or scope["path"] in PROBES:
            return await self._app(scope, receive, send)
        path: str = scope["path"]
        if path != self._prefix and not path.startswith(f"{self._prefix}/"):
            return await self._not_found(scope, receive, send)
        path = f"{path}/" if path == self._prefix else path
        return await self._app({**scope, "path": path, "root_path": self._prefix}, receive, send)

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await WebSocketClose()(scope, receive, send)
        detail = f"Not Found: {scope['path']}; all paths are below {self._prefix}"
        response = JsonResponse({"detail": detail, "code": "http.404"}, HTTPStatus.NOT_FOUND)
        return await response(scope, receive, send)


def path_below(scope: Scope) -> str:
    """A request's path without the prefix."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
