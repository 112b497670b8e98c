"""Spans that are not recorded, because the record of the run says the same. They are exported by the process that ends
them."""

from __future__ import annotations

from slipway.runs.record import Phase
from slipway.telemetry.derived_id import queue_span_id
from slipway.telemetry.span import Span, SpanKind
from slipway.tracing.traced_run import TracedRun


def run_span(run: TracedRun, phase: Phase, error: str, ended_us: int) -> Span:
    """The root span of a run that has ended, or that waits for people. `error` is the code of its failure."""
    return Span(
        run.root_id,
        run.trace.parent_id,
        SpanKind.RUN,
        run.graph_id,
        run.created_us,
        ended_us,
        error,
        {"phase": phase.value},
    )


def queue_span(run: TracedRun, queued_us: int, claimed_us: int) -> Span:
    """How long the run waited for the attempt that was claimed."""
    span_id = queue_span_id(run.root_id, queued_us)
    return Span(span_id, run.root_id, SpanKind.QUEUE, "queue", queued_us, claimed_us, "", {"number": run.attempt})
