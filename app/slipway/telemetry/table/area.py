"""Areas: parts of Slipway, with their events and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.telemetry.table.event_kind import EventKind
from slipway.telemetry.table.metric_kind import MetricKind


@dataclass(frozen=True, slots=True)
class Area:
    """The entries of one module of the table."""

    title: str
    """The heading in docs/telemetry.md."""
    events: tuple[EventKind, ...] = ()
    metrics: tuple[MetricKind, ...] = ()
