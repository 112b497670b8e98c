"""The spans of requests that act on runs, and the traces that clients begin.

The header `traceparent` of a request names the span of the client, and a run that the request creates is a part of its
trace. `tracestate` is passed on. If this process exports spans, the request has a span too, and the run is a part of
that one.

https://www.w3.org/TR/trace-context-1/
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.raw_headers import header_value
from slipway.api.responses import status_of
from slipway.api.shared_objects import services_of
from slipway.errors import SlipwayError
from slipway.otlp.process_export import ProcessExport
from slipway.telemetry.current_trace import CURRENT_TRACE
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import (
    TRACEPARENT,
    TRACESTATE,
    TraceContext,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    parse_tracestate,
)
from slipway.tracing.current_span import CURRENT_SPAN

Handler = Callable[[Request], Awaitable[Response | ASGIApp]]

_PARENT: Final = TRACEPARENT.encode()
_STATE: Final = TRACESTATE.encode()
_DISCONNECTED: Final = 499
"""The status of a response that has not started when the client disconnected, as in the metrics."""
_PARAMETERS: Final = {"run_id": "run", "thread_id": "thread"}
"""Parameters of paths that are attributes of the span."""


def follow_client_trace(connection: HTTPConnection) -> TraceContext | None:
    """Runs that are created from now on in this task are parts of the client's trace. Returns the span of the client;
    None if the request names none."""
    value = header_value(connection.scope, _PARENT)
    client = parse_traceparent(value.decode("latin-1").strip()) if value else None
    if client is not None:
        client = client._replace(state=_state_of(connection))
        _continue_from(client)
    return client


def _state_of(connection: HTTPConnection) -> str:
    """Several headers are one list (RFC 9110, section 5.3)."""
    values = [value.decode("latin-1") for name, value in connection.scope["headers"] if name == _STATE]
    return parse_tracestate(",".join(values)) if values else ""


def _continue_from(span: TraceContext) -> None:
    """A request of a node of this process has the node's span as its client's."""
    CURRENT_TRACE.set(lambda: span)
    if CURRENT_SPAN.get() is not None:  # to set it takes longer than to read it, and few requests come from nodes
        CURRENT_SPAN.set(None)


def with_request_span(handler: Handler, method: str, path: str) -> Handler:
    """The handler of a route that acts on runs: with the trace of the client, and with a span if it is exported."""

    name = f"{method} {path}"

    @wraps(handler)
    async def traced(request: Request) -> Response | ASGIApp:
        client = follow_client_trace(request)
        export = services_of(request).export
        if export is None:
            return await handler(request)
        trace_id = new_trace_id() if client is None else client.trace_id
        state = "" if client is None else client.state
        context = TraceContext(trace_id, new_span_id(), export.samples(trace_id, client), state)
        _continue_from(context)
        if not context.sampled:
            return await handler(request)
        span = _RequestSpan(export, request, client, context, name)
        try:
            return span.until_sent(await handler(request))
        except BaseException as error:
            span.end(status_of(error) if isinstance(error, SlipwayError) else 500)
            raise

    return traced


class _RequestSpan:
    """The span of one request, from its handler to the last byte of its response."""

    def __init__(
        self, export: ProcessExport, request: Request, client: TraceContext | None, context: TraceContext, name: str
    ) -> None:
        self._export, self._client, self._started_us = export, client, time.time_ns() // 1000
        self._started, self._context, self._name = time.perf_counter(), context, name
        method, _, route = name.partition(" ")
        self._attributes: dict[str, Attribute] = {
            "method": method,
            "route": route,
            "request_id": request.scope.get("slipway.request_id", ""),
        }
        for parameter, attribute in _PARAMETERS.items():
            if parameter in request.path_params:
                self._attributes[attribute] = request.path_params[parameter]

    def until_sent(self, response: Response | ASGIApp) -> ASGIApp:
        """The same response, after which the span ends."""

        async def send_and_end(scope: Scope, receive: Receive, send: Send) -> None:
            status = _DISCONNECTED

            def send_and_note_status(message: Message) -> Awaitable[None]:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                return send(message)

            try:
                await response(scope, receive, send_and_note_status)
            finally:
                self.end(status)

        return send_and_end

    def end(self, status: int) -> None:
        """A request that was rejected has acted on nothing, and anybody may send many of them: it has no span."""
        if 400 <= status < 500 and status != _DISCONNECTED:
            return
        took_us = int((time.perf_counter() - self._started) * 1_000_000)
        span = Span(
            self._context.span_id,
            "" if self._client is None else self._client.span_id,
            SpanKind.REQUEST,
            self._name,
            self._started_us,
            self._started_us + took_us,
            str(status) if status >= 500 else "",
            {**self._attributes, "status": status},
        )
        self._export.request_ended(self._context.trace_id, span)
