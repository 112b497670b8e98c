"""docs/telemetry.md, made of the table of telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slipway.telemetry.table import line_fields, spans
from slipway.telemetry.table.event_kind import EventKind
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.span_type import SpanAttribute
from slipway.telemetry.table.whole_table import AREAS, EVENTS, METRICS, SPAN_TYPES

_START = """\
# Telemetry

<!-- `make pages` writes this page from app/slipway/telemetry/table -->

Everything that Slipway says about itself: the lines of its [log](logs.md), the metrics of `/metrics`, and the spans of
traces. One table in the code (`app/slipway/telemetry/table`) declares all of it. Metrics and the names of exported
spans are built from it, and tests compare it with every log call, so this page is complete.

Names are stable: a release that changes one says so in the changelog.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_START, *_lines(), *_events(), *_metrics(), *_spans()])


def _lines() -> Iterator[str]:
    yield "## Fields of every line\n"
    yield from _table(
        ("field", "unit", "what it is"),
        [(f"`{each.name}`", each.unit, each.about) for each in line_fields.OF_EVERY_LINE],
    )
    yield "Of the code that logs the line, if it belongs to a request, an attempt or an arq job:\n"
    yield from _table(
        ("field", "unit", "what it is"),
        [(f"`{each.name}`", each.unit, each.about) for each in line_fields.OF_THE_WORK],
    )
    yield "At the end of some lines:\n"
    yield from _table(
        ("field", "unit", "what it is"),
        [(f"`{each.name}`", each.unit, each.about) for each in line_fields.OTHERS],
    )


def _events() -> Iterator[str]:
    yield "## Events\n"
    for area in AREAS:
        if area.events:
            yield f"### {area.title}: events\n"
            rows = [(f"`{kind.name}`", kind.level, _about(kind), _names(kind.fields)) for kind in area.events]
            yield from _table(("event", "level", "what happened", "fields"), rows)
    yield "### Fields of events\n"
    fields = {each.name: each for kind in EVENTS.values() for each in kind.fields}
    rows_of_fields = [(f"`{name}`", fields[name].unit, fields[name].about) for name in sorted(fields)]
    yield from _table(("field", "unit", "what it is"), rows_of_fields)


def _about(kind: EventKind) -> str:
    counted = [metric.name for metric in METRICS.values() if kind.name in metric.counts]
    parts = [kind.about, "With a traceback." if kind.has_exception else ""]
    parts.append(f"Counted by {', '.join(f'`{name}`' for name in counted)}." if counted else "")
    return " ".join(part for part in parts if part)


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    for area in AREAS:
        if area.metrics:
            yield f"### {area.title}: metrics\n"
            rows = [
                (f"`{_sample(kind)}`", kind.type, _unit(kind), kind.about, _names(kind.labels)) for kind in area.metrics
            ]
            yield from _table(("metric", "type", "unit", "what it says", "labels"), rows)
    yield "### Labels of metrics\n"
    labels = {each.name: each for kind in METRICS.values() for each in kind.labels}
    yield from _table(("label", "what it is"), [(f"`{name}`", labels[name].about) for name in sorted(labels)])


def _sample(kind: MetricKind) -> str:
    return f"{kind.name}_total" if kind.type is MetricType.COUNTER else kind.name


def _unit(kind: MetricKind) -> str:
    return "" if kind.unit is Unit.COUNT else kind.unit


def _spans() -> Iterator[str]:
    yield "## Spans\n"
    rows = []
    for kind in SPAN_TYPES.values():
        constants = ", ".join(f"`{name}` = `{value}`" for name, value in kind.constants)
        rows.append((f"`{kind.kind}`", kind.about, f"`{kind.exported_name}`", kind.exported_kind, constants))
    yield from _table(("kind", "what it measures", "exported name", "exported kind", "always with"), rows)
    yield "### Attributes of exported spans\n"
    yield "All of a run have them, as far as they are known; waits in the queue, supersteps and nodes only the first.\n"
    yield from _table(
        ("attribute", "exported as", "unit", "what it is"),
        [(f"`{each.name}`", f"`{each.exported}`", each.unit, each.about) for each in spans.OF_ALL_SPANS],
    )
    yield "### Attributes of spans\n"
    used: dict[str, tuple[SpanAttribute, list[str]]] = {}
    for kind in SPAN_TYPES.values():
        for attribute in kind.attributes:
            used.setdefault(attribute.name, (attribute, []))[1].append(f"`{kind.kind}`")
    attributes = []
    for name in sorted(used):
        attribute, kinds = used[name]
        exported = f"`{attribute.exported}`" if attribute.exported else "not exported"
        about = f"{attribute.about} (content)" if attribute.is_content else attribute.about
        attributes.append((f"`{name}`", exported, attribute.unit, about, ", ".join(kinds)))
    yield from _table(("attribute", "exported as", "unit", "what it is", "spans"), attributes)


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(f"`{each.name}`" for each in fields)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
