"""Figures: the values of all series at one moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.metrics.series import MAX_SERIES, OTHER, bounded
from slipway.telemetry.table.metric_kind import MetricKind

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """An observation of a bucket: an exemplar."""

    trace_id: str
    value_s: float
    at_s: float
    """Unix time."""


@dataclass(slots=True)
class Distribution:
    """A histogram with one set of labels."""

    buckets: list[int]
    """How many observations each bucket has, the last one without a bound."""
    sum_us: int = 0
    examples: dict[int, Example] = field(default_factory=dict)
    """By the position of the bucket."""

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def add(self, other: Distribution) -> None:
        """Adds the observations of another one."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.sum_us += other.sum_us
        self.examples |= other.examples


class Figures:
    """The values of series, by metric and labels."""

    def __init__(self) -> None:
        self._values: dict[MetricKind, dict[Labels, float]] = {}
        self._distributions: dict[MetricKind, dict[Labels, Distribution]] = {}

    def add(self, kind: MetricKind, value: float, *labels: str) -> None:
        """Adds to the value of a series, which is 0 at first."""
        series = self._values.setdefault(kind, {})
        key = tuple(map(bounded, labels))
        series[key] = series.get(key, 0) + value

    def show(self, kind: MetricKind, value: float | None, *labels: str) -> None:
        """Sets the value of a series; None for one that is not known."""
        self._values.setdefault(kind, {})[tuple(map(bounded, labels))] = math.nan if value is None else value

    def raise_to(self, kind: MetricKind, value: float, *labels: str) -> None:
        """Sets the value of a series, unless it is greater."""
        series, key = self._values.setdefault(kind, {}), tuple(map(bounded, labels))
        series[key] = max(series.get(key, value), value)

    def distribution(self, kind: MetricKind, labels: Labels) -> Distribution:
        """The histogram with these labels. It can be changed."""
        series = self._distributions.setdefault(kind, {})
        if labels not in series:
            series[labels] = Distribution([0] * (len(kind.buckets) + 1))
        return series[labels]

    def values(self, kind: MetricKind) -> Mapping[Labels, float]:
        """The series of a counter or a gauge, at most `MAX_SERIES` and one for all others."""
        series = self._values.get(kind, {})
        if len(series) <= MAX_SERIES:
            return series
        names = sorted(series)
        others = {(OTHER,) * len(kind.labels): math.fsum(series[each] for each in names[MAX_SERIES:])}
        return {each: series[each] for each in names[:MAX_SERIES]} | others

    def distributions(self, kind: MetricKind) -> Mapping[Labels, Distribution]:
        """The series of a histogram, at most `MAX_SERIES` and one for all others."""
        series = self._distributions.get(kind, {})
        if len(series) <= MAX_SERIES:
            return series
        names, others = sorted(series), Distribution([0] * (len(kind.buckets) + 1))
        for each in names[MAX_SERIES:]:
            others.add(series[each])
        return {each: series[each] for each in names[:MAX_SERIES]} | {(OTHER,) * len(kind.labels): others}
