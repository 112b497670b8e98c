"""Types of spans: what a kind of span is exported as."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slipway.telemetry.span import SpanKind
from slipway.telemetry.table.field import Unit


class ExportedKind(StrEnum):
    """The span kinds of OpenTelemetry that Slipway uses."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class SpanAttribute:
    """An attribute of a span. Types of spans share the attributes that mean the same."""

    name: str
    """In `Span.attributes`."""
    exported: str
    """The name in OpenTelemetry: of the semantic conventions, or `slipway.…`. Empty: it is not exported."""
    unit: Unit
    about: str
    """A phrase, without a full stop."""
    is_content: bool = False
    """Whether it quotes inputs or outputs. Such an attribute exists only if `SLIPWAY_TRACE_CONTENT` is set."""


@dataclass(frozen=True, slots=True, eq=False)
class SpanType:
    """What spans of one kind are."""

    kind: SpanKind
    exported_kind: ExportedKind
    exported_name: str
    """With `{name}` for the name of the span."""
    about: str
    """A sentence."""
    attributes: tuple[SpanAttribute, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    """Attributes that every exported span of this kind has, with their values."""
