"""Slipway's spans as OpenTelemetry's SDK would encode them: what the encoder of Slipway is compared with."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AttributeValue

from slipway.otlp.span_encoder import SCHEMA_URL
from slipway.telemetry import span as slipway
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.span_type import SpanAttribute, SpanType
from slipway.telemetry.table.whole_table import SPAN_TYPES
from slipway.tracing.traced_run import TracedRun
from slipway.versions import version_of

_SCOPE = InstrumentationScope("slipway", version_of("slipway"), SCHEMA_URL)
_PARTS = ("queue", "superstep", "node")


def encoded_by_the_sdk(run: TracedRun | str, span: slipway.Span, resource: Resource) -> bytes:
    """A request with one span of a run, or of no run with the id of its trace."""
    trace_id = run if isinstance(run, str) else run.trace_id
    declared: SpanType = SPAN_TYPES[span.kind]
    attributes: dict[str, AttributeValue] = dict(declared.constants)
    if isinstance(run, TracedRun):
        attributes["slipway.run.id"] = run.run_id
    if isinstance(run, TracedRun) and span.kind.value not in _PARTS:
        attributes["gen_ai.conversation.id"] = run.thread_id
        attributes["gen_ai.agent.name"] = run.graph_id
        attributes["slipway.assistant.id"] = run.assistant_id
        if run.version:
            attributes["gen_ai.agent.version"] = run.version
    for each in declared.attributes:
        if each.exported and each.name in span.attributes:
            attributes[each.exported] = _value(each, span.attributes[each.name])
    if span.error:
        attributes["error.type"] = span.error
    is_request = span.kind is slipway.SpanKind.REQUEST
    link = run.trace.link if isinstance(run, TracedRun) and span.kind is slipway.SpanKind.RUN else None
    ended_us = span.started_us if span.ended_us is None else max(span.started_us, span.ended_us)
    made = ReadableSpan(
        declared.exported_name.replace("{name}", span.name),
        _context(trace_id, span.span_id, state="" if isinstance(run, str) else run.trace.context.state),
        _context(trace_id, span.parent_id, is_remote=is_request) if span.parent_id else None,
        resource,
        {name: value for name, value in attributes.items() if value != ""},
        links=[] if link is None else [Link(_context(link.trace_id, link.span_id, is_remote=True))],
        kind=SpanKind[declared.exported_kind.name],
        status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
        start_time=span.started_us * 1000,
        end_time=ended_us * 1000,
        instrumentation_scope=_SCOPE,
    )
    return bytes(encode_spans([made]).SerializeToString())


def _value(declared: SpanAttribute, value: slipway.Attribute) -> AttributeValue:
    if isinstance(value, str):
        return value.split(",") if declared.unit is Unit.NAMES else value
    return value / 1_000_000_000 if declared.unit is Unit.NANODOLLARS else value


def _context(trace_id: str, span_id: str, *, is_remote: bool = False, state: str = "") -> SpanContext:
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED), TraceState.from_header([state])
    )
