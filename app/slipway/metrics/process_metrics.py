"""What one process counts and measures until it publishes it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from slipway.metrics.series import MAX_SERIES, OTHER, bounded, bucket_of, series, sum_of
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.metric_kind import MetricKind

_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Publication:
    """What a process publishes, by field."""

    counts: Mapping[str, int]
    """What is added."""
    totals: Mapping[str, int]
    """What the counter is at least."""
    gauges: Mapping[str, float]
    """What replaces the gauges of this process."""


class ProcessMetrics:
    """The metrics of one process, for its event loop only. A call costs less than a microsecond and sends nothing."""

    def __init__(self, process: str, *, enabled: bool = True) -> None:
        """`process` is the kind of process. If it is not `enabled`, nothing is counted."""
        self.process, self.enabled = process, enabled
        self._counts: dict[tuple[MetricKind, tuple[str, ...]], int] = {}
        self._buckets: dict[tuple[MetricKind, tuple[str, ...]], list[int]] = {}
        """How many observations each bucket has, and at the end their sum in µs."""
        self._totals: dict[str, int] = {}
        self._gauges: dict[str, float] = {}
        self._known: dict[MetricKind, dict[tuple[str, ...], tuple[str, ...]]] = {}
        """By metric: the labels of each series as callers pass them, and as they are published."""
        self._on_publish: list[Callable[[], None]] = []

    def count(self, kind: MetricKind, *labels: str, by: int = 1) -> None:
        """Adds to a counter. Seconds are counted in microseconds."""
        if not self.enabled:
            return
        key = kind, self._published(kind, labels)
        self._counts[key] = self._counts.get(key, 0) + by

    def observe(self, kind: MetricKind, value_s: float, *labels: str) -> None:
        """Adds an observation, in seconds, to a histogram."""
        if not self.enabled:
            return
        key = kind, self._published(kind, labels)
        buckets = self._buckets.get(key)
        if buckets is None:
            buckets = self._buckets[key] = [0] * (len(kind.buckets) + 2)
        buckets[bisect_left(kind.buckets, value_s)] += 1
        buckets[-1] += round(value_s * _US)

    def raise_to(self, kind: MetricKind, total: int, *labels: str) -> None:
        """Says what a counter is at least, that something else counts."""
        self._totals[series(kind, self._published(kind, labels))] = total

    def set(self, kind: MetricKind, value: float, *labels: str) -> None:
        """Sets a gauge of this process. /metrics adds those of all processes."""
        self._gauges[series(kind, self._published(kind, labels))] = value

    def before_publication(self, measure: Callable[[], None]) -> None:
        """Calls `measure` before each publication, for what is read then."""
        self._on_publish.append(measure)

    def publication(self) -> Publication:
        """What is to be published now. It counts nothing twice: what it contains is not in a later one."""
        for measure in self._on_publish:
            measure()
        counts = {series(kind, labels): by for (kind, labels), by in self._counts.items()}
        for (kind, labels), (*buckets, sum_us) in self._buckets.items():
            counts |= {bucket_of(kind, labels, at): by for at, by in enumerate(buckets, 1) if by}
            counts[sum_of(kind, labels)] = sum_us
        published = Publication(counts, dict(self._totals), dict(self._gauges))
        self._counts.clear()
        self._buckets.clear()
        return published

    def _published(self, kind: MetricKind, labels: tuple[str, ...]) -> tuple[str, ...]:
        if not labels:
            return labels
        known = self._known.get(kind)
        if known is None:
            known = self._known[kind] = {}
        found = known.get(labels)
        if found is None:
            if len(known) >= MAX_SERIES:
                return (OTHER,) * len(labels)
            found = known[labels] = tuple(map(bounded, labels))
        return found


def microseconds(kind: MetricKind) -> bool:
    """Whether a counter is counted in microseconds, because it is shown in seconds."""
    return kind.unit is Unit.SECONDS
