"""Kinds of metrics: what a metric of `/metrics` counts or measures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slipway.telemetry.table.field import Field, Unit


class MetricType(StrEnum):
    """The types of Prometheus that Slipway uses."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class MetricKind:
    """A metric. Kinds are compared by identity, so one is a quick key of a dictionary."""

    name: str
    """The name of its family: `slipway_…`, without `_total`. It ends with the unit, if it has one."""
    type: MetricType
    unit: Unit
    """What a sample is measured in: seconds, bytes or a ratio, and `Unit.COUNT` for numbers of things."""
    about: str
    """The text of its HELP line, without a full stop."""
    labels: tuple[Field, ...] = ()
    """In the order in which a caller passes their values."""
    buckets: tuple[float, ...] = ()
    """The upper bounds of a histogram, ascending, without +Inf."""
    counts: tuple[str, ...] = ()
    """The events that a counter counts, each of which has a field for each label. Empty: no event is."""


def counter(name: str, about: str, *labels: Field, unit: Unit = Unit.COUNT, counts: tuple[str, ...] = ()) -> MetricKind:
    """Declares a counter."""
    return MetricKind(name, MetricType.COUNTER, unit, about, labels, counts=counts)


def gauge(name: str, about: str, *labels: Field, unit: Unit = Unit.COUNT) -> MetricKind:
    """Declares a gauge."""
    return MetricKind(name, MetricType.GAUGE, unit, about, labels)


def histogram(
    name: str, about: str, *labels: Field, buckets: tuple[float, ...], unit: Unit = Unit.SECONDS
) -> MetricKind:
    """Declares a histogram."""
    return MetricKind(name, MetricType.HISTOGRAM, unit, about, labels, buckets)
