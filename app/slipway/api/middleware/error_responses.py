"""Turns exceptions into responses."""

from __future__ import annotations

from collections.abc import Awaitable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.middleware.mount_prefix import path_below
from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error, status_of
from slipway.errors import SlipwayError

log = structlog.get_logger(__name__)


class ErrorResponses:
    """Sends the response for an exception that a handler raised (`api.responses`). If the handler's own response has
    started, the connection is closed instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False

        def send_and_note_start(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self._app(scope, receive, send_and_note_start)
        except ClientDisconnect:
            return None
        except Exception as error:
            is_expected = isinstance(error, SlipwayError) and status_of(error) != 500
            if not is_expected or started:
                log.exception("http.request_failed", path=scope["path"], request_id=request_id_of(scope))
            if started:
                return None
            response = response_for_error(error, request_id_of(scope), path_below(scope))
            await response(scope, receive, send)
        return None
