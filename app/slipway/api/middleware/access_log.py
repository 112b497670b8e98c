"""Counts requests, logs those that failed, and says in the context of each which request it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.header_policy import forwarded_headers
from slipway.api.middleware.request_id import request_id_of
from slipway.api.request_metrics import RequestMetrics
from slipway.current_work import CURRENT_WORK, WEBSOCKET
from slipway.graphs.official_sections import HeadersSection
from slipway.telemetry.trace_context import parse_traceparent

log = structlog.get_logger(__name__)

_CLIENT_DISCONNECTED: Final = 499
_LOGGED_FROM_STATUS: Final = 400


class AccessLog:
    """Counts each request when it ends, and logs it when it failed. Successful requests are logged only when
    `SLIPWAY_LOG_LEVEL` is debug, because a line for each poll would hide the lines about runs. `headers` selects the
    request headers that a line contains."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, headers: HeadersSection) -> None:
        self._app, self._metrics, self._headers = app, metrics, headers
        self._verbose = logging.getLogger().isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        CURRENT_WORK.set(_work_of(scope))  # each request has its own task
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), _CLIENT_DISCONNECTED

        def send_and_note_status(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            took_s = time.perf_counter() - started
            self._metrics.count_request(scope, status, took_s)
            if status >= _LOGGED_FROM_STATUS or self._verbose:
                self._log(scope, status, took_s)
        return None

    def _log(self, scope: Scope, status: int, took_s: float) -> None:
        headers = forwarded_headers(Headers(scope=scope).items(), self._headers)
        log.info(
            "http.request",
            method=scope["method"],
            path=scope["path"],
            route=self._metrics.route_of(scope),
            status=status,
            ms=round(took_s * 1000, 1),
            request_id=request_id_of(scope),
            **({"headers": headers} if headers else {}),
        )


def _work_of(scope: Scope) -> dict[str, str | int]:
    work: dict[str, str | int] = {"method": scope.get("method", WEBSOCKET), "path": scope["path"]}
    if request_id := request_id_of(scope):
        work["request_id"] = request_id
    traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
    if traceparent and (context := parse_traceparent(traceparent.decode("latin-1"))) is not None:
        work["trace"] = context.trace_id
    return work
