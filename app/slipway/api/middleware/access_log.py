"""Counts and logs requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.metrics import HttpMetrics
from slipway.api.middleware.request_id import request_id_of
from slipway.graphs.sections import HeadersSection
from slipway.header_policy import forwarded_headers

log = structlog.get_logger(__name__)
_CLIENT_GONE: Final = 499
_WORTH_A_LINE: Final = 400


class AccessLog:
    """One count a request, when it is over, and one line when it failed; or always, when `SLIPWAY_LOG_LEVEL` is
    debug. What a request starts has log lines of its own, and a line for each poll would drown them."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, headers: HeadersSection) -> None:
        self._app, self._metrics, self._headers = app, metrics, headers
        self._verbose = logging.getLogger().isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), _CLIENT_GONE

        def sent(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            took_s = time.perf_counter() - began
            self._metrics.answered(scope, status, took_s)
            if status >= _WORTH_A_LINE:
                self._say(log.info, scope, status, took_s)
            elif self._verbose:
                self._say(log.debug, scope, status, took_s)
        return None

    def _say(self, at_level: Callable[..., Any], scope: Scope, status: int, took_s: float) -> None:
        ms, request_id = round(took_s * 1000, 1), request_id_of(scope)
        facts = {"method": scope["method"], "path": scope["path"], "status": status, "ms": ms}
        if told := forwarded_headers(Headers(scope=scope).items(), self._headers):
            facts["headers"] = told
        at_level("http.request", **facts, request_id=request_id)
