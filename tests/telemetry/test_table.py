"""The table of telemetry says each thing once, in the words and units that it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from slipway.redaction.credential_names import is_credential_name
from slipway.telemetry.table.event_kind import EventKind
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.whole_table import AREAS, EVENTS, METRICS, SPAN_TYPES

_SUFFIXES = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes", Unit.RATIO: "_ratio"}
"""How the name of a metric with a unit ends. Prometheus asks for base units."""

_FIELD_SUFFIXES = {Unit.SECONDS: "_s", Unit.MILLISECONDS: "_ms", Unit.UNIX_MILLISECONDS: "_ms", Unit.BYTES: "_bytes"}
"""How the name of a field with a unit ends."""


def _fields() -> Iterator[Field]:
    for kind in EVENTS.values():
        yield from kind.fields
    for metric in METRICS.values():
        yield from metric.labels


FIELDS = {each.name: each for each in _fields()}


def test_each_event_and_metric_is_declared_once() -> None:
    events = [kind.name for area in AREAS for kind in area.events]
    metrics = [kind.name for area in AREAS for kind in area.metrics]
    assert len(events) == len(EVENTS)
    assert len(metrics) == len(METRICS)


def test_fields_of_one_name_are_one_field() -> None:
    """So a name has one meaning and one unit in all events and metrics."""
    meanings: dict[str, set[Field]] = {}
    for each in _fields():
        meanings.setdefault(each.name, set()).add(each)
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_attributes_of_one_name_are_one_attribute() -> None:
    by_name: dict[str, set[object]] = {}
    for kind in SPAN_TYPES.values():
        for attribute in kind.attributes:
            by_name.setdefault(attribute.name, set()).add(attribute)
            assert re.fullmatch(r"[a-z][a-z_]*", attribute.name)
            assert not attribute.exported or re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", attribute.exported)
    assert {name: found for name, found in by_name.items() if len(found) > 1} == {}


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_event_is_declared_well(kind: EventKind) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.name)
    assert kind.about.endswith(".")
    names = [each.name for each in kind.fields]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("each", FIELDS.values(), ids=FIELDS)
def test_a_field_is_declared_well(each: Field) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", each.name)
    assert each.about
    assert not each.about.endswith(".")
    if each.unit in _FIELD_SUFFIXES:
        assert f"_{each.name}".endswith(_FIELD_SUFFIXES[each.unit]), "the name ends with the unit"
    else:
        assert not f"_{each.name}".endswith(tuple(_FIELD_SUFFIXES.values()))


def test_no_field_is_named_as_a_credential() -> None:
    """Its texts would be hidden in every line."""
    texts = [each.name for kind in EVENTS.values() for each in kind.fields if each.unit is not Unit.FLAG]
    assert [name for name in texts if is_credential_name(name)] == []


@pytest.mark.parametrize("kind", METRICS.values(), ids=METRICS)
def test_a_metric_is_declared_well(kind: MetricKind) -> None:
    assert re.fullmatch(r"slipway_[a-z_]+", kind.name)
    assert not kind.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
    assert not kind.about.endswith(".")
    suffix = _SUFFIXES.get(kind.unit, "")
    assert kind.name.endswith(suffix)
    assert kind.unit in _SUFFIXES or kind.unit is Unit.COUNT, "a base unit"
    assert bool(kind.buckets) == (kind.type is MetricType.HISTOGRAM)
    assert list(kind.buckets) == sorted(set(kind.buckets))


@pytest.mark.parametrize("kind", METRICS.values(), ids=METRICS)
def test_an_event_has_the_labels_of_the_metric_that_counts_it(kind: MetricKind) -> None:
    for name in kind.counts:
        assert kind.type is MetricType.COUNTER
        assert set(kind.labels) <= set(EVENTS[name].fields)
