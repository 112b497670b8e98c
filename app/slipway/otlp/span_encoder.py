"""Spans as the bytes of a request of OTLP: those of Slipway, and those that the project's code has made.

What the spans of a run have in common is encoded once for each batch and run, and merged into each span as bytes: that
takes less time than to make each attribute again. The messages are those of OpenTelemetry's package
`opentelemetry-proto`.

https://opentelemetry.io/docs/specs/otlp/
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from slipway.otlp.queued_span import QueuedSpan
from slipway.telemetry.span import Attribute, Span, SpanKind
from slipway.telemetry.table import spans as table
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.span_type import ExportedKind, SpanAttribute, SpanType
from slipway.telemetry.table.whole_table import SPAN_TYPES
from slipway.tracing.traced_run import TracedRun
from slipway.versions import version_of

CONVENTIONS: Final = "0.1.0"
"""The version of the semantic conventions for generative AI whose names the table declares.

https://github.com/open-telemetry/semantic-conventions-genai/releases/tag/v0.1.0
"""
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/gen-ai/{CONVENTIONS}"
SCOPE_NAME: Final = "slipway"
ERROR_TYPE: Final = "error.type"

_PARTS: Final = frozenset({SpanKind.QUEUE, SpanKind.SUPERSTEP, SpanKind.NODE})
"""Most spans are of these kinds, so they have the id of the run only; the others of the trace say the rest."""
_NANODOLLARS: Final = 1_000_000_000
_LARGEST: Final = (1 << 63) - 1
_ERROR: Final = trace_pb2.Status.STATUS_CODE_ERROR
_FLAGS: Final = 1 | trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
"""Of a span that is sampled, whose parent is a span of Slipway."""
_REMOTE_PARENT: Final = _FLAGS | trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""Its parent, or what it links to, is a span of a client."""
_KINDS: Final = {
    ExportedKind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    ExportedKind.SERVER: trace_pb2.Span.SPAN_KIND_SERVER,
    ExportedKind.CLIENT: trace_pb2.Span.SPAN_KIND_CLIENT,
    ExportedKind.CONSUMER: trace_pb2.Span.SPAN_KIND_CONSUMER,
}


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The body of a request."""

    body: bytes
    failed_spans: int
    """How many spans are not in it, because they could not be encoded."""
    problem: str
    """Why: the class of an error."""


class SpanEncoder:
    """Encodes the spans of one process. Only the thread that sends them uses it."""

    def __init__(self, resource: Resource, value_chars: int | None = None) -> None:
        """`value_chars` limits the texts of attributes."""
        self._value_chars = value_chars
        self._without_spans = _without_spans(resource)
        self._shared = lru_cache(256)(self._shared_attribute)

    def encode(self, batch: Iterable[QueuedSpan]) -> EncodedBatch:
        """A request with all spans that can be encoded. One that cannot be is never a reason to lose the others."""
        request = ExportTraceServiceRequest.FromString(self._without_spans)
        encoded = request.resource_spans[0].scope_spans[0].spans
        of_runs: dict[tuple[int, bool], bytes] = {}
        of_project: list[ReadableSpan] = []
        failed, problem = 0, ""
        for each in batch:
            if not isinstance(each, tuple):
                of_project.append(each)
                continue
            run, span = each
            is_part, count = span.kind in _PARTS, len(encoded)
            try:
                of_run = of_runs.get((id(run), is_part))
                if of_run is None:
                    of_run = of_runs[id(run), is_part] = self._of_run(run, only_id=is_part)
                self._add(encoded, run, of_run, span)
            except Exception as error:
                del encoded[count:]
                failed, problem = failed + 1, type(error).__name__
        body = request.SerializeToString() if encoded else b""
        if of_project:
            try:
                body += encode_spans(of_project).SerializeToString()  # messages that follow each other are one
            except Exception as error:
                failed, problem = failed + len(of_project), type(error).__name__
        return EncodedBatch(body, failed, problem)

    def _add(self, encoded: Any, run: TracedRun | str, of_run: bytes, span: Span) -> None:
        """`Any`: the stubs of protobuf do not declare that `add` accepts the fields of a message."""
        exported = _TYPES[span.kind]
        ended_us = span.started_us if span.ended_us is None else max(span.ended_us, span.started_us)
        added = encoded.add(
            span_id=bytes.fromhex(span.span_id),
            name=exported.prefix + encodable(span.name) if exported.is_named else exported.prefix,
            start_time_unix_nano=span.started_us * 1000,
            end_time_unix_nano=ended_us * 1000,
        )
        added.MergeFromString(exported.common + of_run)
        if span.parent_id:
            added.parent_span_id = bytes.fromhex(span.parent_id)
            if span.kind is SpanKind.REQUEST:
                added.flags = _REMOTE_PARENT
        attributes = added.attributes
        for name, value in span.attributes.items():
            declared = exported.attributes.get(name)
            if declared is not None:
                self._set(attributes.add(key=declared.exported).value, declared.unit, value)
        if span.error:
            attributes.add(key=ERROR_TYPE).value.string_value = self._text(span.error)
            added.status.code = _ERROR
        if span.kind is SpanKind.RUN and isinstance(run, TracedRun) and run.trace.link is not None:
            link = run.trace.link
            added.links.add(
                trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id), flags=_REMOTE_PARENT
            )

    def _set(self, target: AnyValue, unit: Unit, value: Attribute) -> None:
        if isinstance(value, str):
            if unit is Unit.NAMES:
                target.array_value.values.extend(AnyValue(string_value=self._text(name)) for name in value.split(","))
            else:
                target.string_value = self._text(value)
        elif unit is Unit.NANODOLLARS:
            target.double_value = value / _NANODOLLARS
        elif isinstance(value, bool):
            target.bool_value = value
        elif isinstance(value, int):
            target.int_value = max(-_LARGEST, min(value, _LARGEST))
        else:
            target.double_value = value

    def _text(self, text: str) -> str:
        return encodable(text if self._value_chars is None else text[: self._value_chars])

    def _of_run(self, run: TracedRun | str, *, only_id: bool) -> bytes:
        """What the spans of a run have in common, as a part of a span. A request has the id of its trace only."""
        if isinstance(run, str):
            return _part(trace_id=bytes.fromhex(run))
        ids = [(table.RUN, run.run_id)] if only_id else [(table.RUN, run.run_id), (table.THREAD, run.thread_id)]
        attributes = [_attribute(each.exported, self._text(value)) for each, value in ids if value]
        trace = run.trace.context
        of_run = _part(trace_id=bytes.fromhex(trace.trace_id), trace_state=trace.state, attributes=attributes)
        if only_id:
            return of_run
        shared = ((table.GRAPH, run.graph_id), (table.ASSISTANT, run.assistant_id), (table.VERSION, run.version))
        return of_run + b"".join(self._shared(each.exported, value) for each, value in shared if value)

    def _shared_attribute(self, name: str, value: str) -> bytes:
        """An attribute that many runs have in common, as a part of a span."""
        return _part(attributes=[_attribute(name, self._text(value))])


def encodable(text: str) -> str:
    """The text as UTF-8 can encode it: a name of the project's code may have half of a character of UTF-16."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _part(**fields: Any) -> bytes:
    """A part of a span, which is merged into others: some of its fields."""
    return bytes(trace_pb2.Span(**fields).SerializeToString())


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def _without_spans(resource: Resource) -> bytes:
    """A request with the process and the scope of its spans, as OpenTelemetry's package encodes them."""
    scope = InstrumentationScope(SCOPE_NAME, version_of("slipway"), SCHEMA_URL)
    context = SpanContext(1, 1, is_remote=False)
    request = encode_spans([ReadableSpan("", context, resource=resource, instrumentation_scope=scope)])
    del request.resource_spans[0].scope_spans[0].spans[:]
    return bytes(request.SerializeToString())


@dataclass(frozen=True, slots=True)
class _Exported:
    """How spans of one kind are exported, made once from the table."""

    prefix: str
    """Of the name."""
    is_named: bool
    """Whether the name of the span follows."""
    attributes: Mapping[str, SpanAttribute]
    common: bytes
    """What all spans of the kind have in common, as a part of a span."""

    @classmethod
    def of(cls, declared: SpanType) -> _Exported:
        prefix, is_named, rest = declared.exported_name.partition("{name}")
        assert not rest, declared.exported_name
        constants = [_attribute(name, value) for name, value in declared.constants]
        common = _part(kind=_KINDS[declared.exported_kind], flags=_FLAGS, attributes=constants)
        attributes = {each.name: each for each in declared.attributes if each.exported}
        return cls(prefix, bool(is_named), MappingProxyType(attributes), common)


_TYPES: Final = {kind: _Exported.of(declared) for kind, declared in SPAN_TYPES.items()}
