"""Turns exceptions into responses."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.middleware.access_log import log
from slipway.api.middleware.mount_prefix import path_below
from slipway.api.middleware.request_id import request_id_of
from slipway.api.responses import response_for_error, status_of
from slipway.errors import SlipwayError


class ErrorResponses:
    """Turns what a handler raises into the answer of `answers.py`. Once an answer has begun, it can only be cut."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = False

        def sent(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            return None
        except Exception as error:
            foreseen = isinstance(error, SlipwayError) and status_of(error) != 500
            if not foreseen or begun:
                log.exception("http.broken", path=scope["path"], request_id=request_id_of(scope))
            if begun:
                return None
            answer = response_for_error(error, request_id_of(scope), path_below(scope))
            await answer(scope, receive, send)
        return None
