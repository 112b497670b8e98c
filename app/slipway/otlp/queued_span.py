"""What waits to be exported."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan

from slipway.telemetry.span import Span
from slipway.tracing.traced_run import TracedRun

OwnSpan = tuple[TracedRun, Span] | tuple[str, Span]
"""A span of a run, or one of no run with the id of its trace."""

QueuedSpan = OwnSpan | ReadableSpan
"""A span of Slipway, or one that the project's code has made with OpenTelemetry's API."""
