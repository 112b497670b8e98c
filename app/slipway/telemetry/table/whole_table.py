"""The whole table: all events, metrics and types of spans. Each area is a module beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from slipway.telemetry.span import SpanKind
from slipway.telemetry.table import (
    access,
    calls,
    crons,
    deliveries,
    deployment_metrics,
    exports,
    graphs,
    health,
    log_lines,
    people,
    people_metrics,
    processes,
    redis,
    requests,
    run_metrics,
    runs,
    spans,
    threads,
    version_metrics,
)
from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import EventKind
from slipway.telemetry.table.metric_kind import MetricKind
from slipway.telemetry.table.span_type import SpanType

AREAS: Final[tuple[Area, ...]] = (
    requests.AREA,
    runs.AREA,
    run_metrics.AREA,
    people_metrics.AREA,
    version_metrics.AREA,
    deployment_metrics.AREA,
    exports.AREA,
    people.AREA,
    calls.AREA,
    graphs.AREA,
    threads.AREA,
    crons.AREA,
    deliveries.AREA,
    access.AREA,
    processes.AREA,
    redis.AREA,
    health.AREA,
    log_lines.AREA,
)
"""In the order of docs/telemetry.md."""

EVENTS: Final[Mapping[str, EventKind]] = MappingProxyType({kind.name: kind for area in AREAS for kind in area.events})
"""By name."""

METRICS: Final[Mapping[str, MetricKind]] = MappingProxyType(
    {kind.name: kind for area in AREAS for kind in area.metrics}
)
"""By the name of the family."""

SPAN_TYPES: Final[Mapping[SpanKind, SpanType]] = MappingProxyType({each.kind: each for each in spans.SPAN_TYPES})
"""By kind."""
