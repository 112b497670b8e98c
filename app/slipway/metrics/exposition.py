"""Figures as Prometheus and OpenMetrics read them, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, cast

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from prometheus_client.samples import Exemplar

from slipway.metrics.figures import Distribution, Figures
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.whole_table import METRICS

_US: Final = 1_000_000
_UNITS: Final = {Unit.SECONDS: "seconds", Unit.BYTES: "bytes", Unit.RATIO: "ratio"}


class _Collected:
    """What an encoder of prometheus-client reads of a registry."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for kind in METRICS.values():
            yield _family(kind, self._figures)


def as_text(figures: Figures, accept: str) -> tuple[bytes, str]:
    """The body and its media type: OpenMetrics with exemplars if the header `Accept` asks for it, else the text format
    of Prometheus."""
    encode, media_type = choose_encoder(accept)
    return encode(cast(CollectorRegistry, _Collected(figures))), media_type


def as_json(figures: Figures) -> bytes:
    """An object with the member `metrics`: of each its name, type, unit, help and samples. A sample has `labels`, and
    `value` or, of a histogram, `buckets` (their bounds and cumulated counts), `sum` and `count`. A value that is not
    known is null."""
    return orjson.dumps({"metrics": [_described(kind, figures) for kind in METRICS.values()]})


def _family(kind: MetricKind, figures: Figures) -> Metric:
    names, unit = [label.name for label in kind.labels], _UNITS.get(kind.unit, "")
    if kind.type is MetricType.HISTOGRAM:
        histogram = HistogramMetricFamily(kind.name, kind.about, labels=names, unit=unit)
        for labels, distribution in figures.distributions(kind).items():
            histogram.add_metric(labels, _buckets(kind, distribution), distribution.sum_us / _US)
        return histogram
    build = CounterMetricFamily if kind.type is MetricType.COUNTER else GaugeMetricFamily
    family = build(kind.name, kind.about, labels=names, unit=unit)
    for labels, value in figures.values(kind).items():
        family.add_metric(labels, value)
    return family


def _buckets(kind: MetricKind, distribution: Distribution) -> list[Any]:
    """Any: a pair, or with an exemplar three members, which the type of the parameter lacks."""
    buckets, count = [], 0
    for position, bound in enumerate((*kind.buckets, math.inf)):
        count += distribution.buckets[position]
        example = distribution.examples.get(position)
        exemplar = () if example is None else (Exemplar({"trace_id": example.trace_id}, example.value_s, example.at_s),)
        buckets.append((_bound_text(bound), count, *exemplar))
    return buckets


def _bound_text(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else repr(float(bound))


def _described(kind: MetricKind, figures: Figures) -> dict[str, Any]:
    names = [label.name for label in kind.labels]
    if kind.type is MetricType.HISTOGRAM:
        samples = [
            {"labels": dict(zip(names, labels, strict=True))} | _histogram_members(kind, distribution)
            for labels, distribution in figures.distributions(kind).items()
        ]
    else:
        samples = [
            {"labels": dict(zip(names, labels, strict=True)), "value": value if math.isfinite(value) else None}
            for labels, value in figures.values(kind).items()
        ]
    unit = _UNITS.get(kind.unit)
    return {"name": kind.name, "type": kind.type.value, "unit": unit, "help": kind.about, "samples": samples}


def _histogram_members(kind: MetricKind, distribution: Distribution) -> dict[str, Any]:
    buckets = [{"le": bound, "count": count} for bound, count, *_ in _buckets(kind, distribution)]
    return {"buckets": buckets, "sum": distribution.sum_us / _US, "count": distribution.count}
