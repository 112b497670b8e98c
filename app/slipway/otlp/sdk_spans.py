"""Slipway's spans as spans of OpenTelemetry, with the names that `telemetry.table` declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from slipway.telemetry.span import Attribute, Span
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.span_type import ExportedKind, SpanAttribute, SpanType
from slipway.telemetry.table.whole_table import SPAN_TYPES
from slipway.telemetry.trace_context import TraceContext
from slipway.versions import version_of

CONVENTIONS: Final = "0.1.0"
"""The version of the semantic conventions for generative AI whose names the table declares.

https://github.com/open-telemetry/semantic-conventions-genai/releases/tag/v0.1.0
"""
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/gen-ai/{CONVENTIONS}"
SCOPE_NAME: Final = "slipway"
ERROR_TYPE: Final = "error.type"

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_SET: Final = Status(StatusCode.UNSET)
_NANODOLLARS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunAttributes:
    """What the exported spans of one run have in common."""

    trace_id: int
    of_all: Mapping[str, AttributeValue] = field(default_factory=dict)
    """Attributes of each span."""


@dataclass(frozen=True, slots=True)
class _Exported:
    """How spans of one kind are exported, made once from the table."""

    kind: SpanKind
    name: str
    attributes: Mapping[str, SpanAttribute]
    constants: Mapping[str, AttributeValue]

    @classmethod
    def of(cls, declared: SpanType) -> _Exported:
        attributes = {each.name: each for each in declared.attributes if each.exported}
        kind = _KINDS[declared.exported_kind]
        return cls(kind, declared.exported_name, MappingProxyType(attributes), dict(declared.constants))


_KINDS: Final = {kind: SpanKind[kind.name] for kind in ExportedKind}
_TYPES: Final = {kind: _Exported.of(declared) for kind, declared in SPAN_TYPES.items()}


class ProcessResource(Resource):
    """A resource that exists once in its process. The encoder of OpenTelemetry looks up that of each span in a
    dictionary, and a `Resource` makes JSON of its attributes to be hashed: a fifth of what a span costs."""

    @classmethod
    def of(cls, resource: Resource) -> ProcessResource:
        return cls(resource.attributes, resource.schema_url)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class SdkSpans:
    """Makes the exported spans of a process."""

    def __init__(self, resource: Resource, value_chars: int | None = None) -> None:
        """`value_chars` limits the texts of attributes."""
        self._resource, self._value_chars = resource, value_chars
        self._scope = InstrumentationScope(SCOPE_NAME, version_of("slipway"), SCHEMA_URL)

    def span(self, run: RunAttributes, span: Span, links: Sequence[TraceContext] = ()) -> ReadableSpan:
        """The exported form of a span that has ended, or whose process was killed."""
        exported, attributes = _TYPES[span.kind], dict(run.of_all)
        attributes.update(exported.constants)
        for name, value in span.attributes.items():
            if (declared := exported.attributes.get(name)) is not None:
                attributes[declared.exported] = self._value(declared, value)
        status = _NOT_SET
        if span.error:
            attributes[ERROR_TYPE], status = span.error, Status(StatusCode.ERROR)
        ended_us = span.started_us if span.ended_us is None else span.ended_us
        return ReadableSpan(
            name=exported.name.replace("{name}", span.name),
            context=_context(run.trace_id, span.span_id),
            parent=_context(run.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=attributes,
            links=tuple(Link(_context(int(each.trace_id, 16), each.span_id)) for each in links),
            kind=exported.kind,
            status=status,
            start_time=span.started_us * 1000,
            end_time=max(ended_us, span.started_us) * 1000,
            instrumentation_scope=self._scope,
        )

    def _value(self, declared: SpanAttribute, value: Attribute) -> AttributeValue:
        if declared.unit is Unit.NANODOLLARS and not isinstance(value, str):
            return value / _NANODOLLARS
        if not isinstance(value, str):
            return value
        if declared.unit is Unit.NAMES:
            return tuple(value.split(","))
        return value if self._value_chars is None else value[: self._value_chars]


def _context(trace_id: int, span_id: str) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)
