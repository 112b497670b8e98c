"""The spans of webhooks: each try is one, and the receiver can continue its trace (header `traceparent`)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from slipway.telemetry.derived_id import webhook_span_id
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.trace_context import TraceContext
from slipway.tracing.run_trace import RunTrace
from slipway.tracing.traced_run import TracedRun
from slipway.webhooks.record import Delivery
from slipway.webhooks.try_record import TryRecord

_NO_RESPONSE: Final = "no_response"
"""The error of a try without a status. The problem itself may name addresses."""


def span_of_try(trace: RunTrace, delivery: Delivery, started_us: int) -> TraceContext:
    """The span of the current try, for its receiver."""
    run = trace.context
    span_id = webhook_span_id(run.span_id, delivery.delivery_id, delivery.try_number, started_us)
    return TraceContext(run.trace_id, span_id, run.sampled, run.state)


def traced_run_of(trace: RunTrace, delivery: Delivery) -> TracedRun:
    """What the spans of a delivery have in common with those of the run."""
    return TracedRun(trace, delivery.run_id, delivery.thread_id, "", "", None, 0, 0)


def webhook_span(trace: RunTrace, delivery: Delivery, tried: TryRecord) -> Span:
    """A try that has ended."""
    attributes: dict[str, Attribute] = {
        "method": "POST",
        "host": urlsplit(delivery.url).hostname or "",
        "delivery": delivery.delivery_id,
        "tries_before": tried.number - 1,
    }
    if tried.status is not None:
        attributes["status"] = tried.status
    if delivery.event_type is not None:
        attributes["event"] = delivery.event_type
    failure = _NO_RESPONSE if tried.status is None else str(tried.status)
    return Span(
        webhook_span_id(trace.context.span_id, delivery.delivery_id, tried.number, tried.at_us),
        trace.context.span_id,
        SpanKind.WEBHOOK,
        delivery.event_type or "webhook",
        tried.at_us,
        tried.at_us + (tried.duration_ms or 0) * 1000,
        "" if tried.problem is None else failure,
        attributes,
    )
