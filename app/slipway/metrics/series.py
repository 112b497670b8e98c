"""The names of series in the hash of the metrics: see `redis/lua/lib/metrics.lua`, which writes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from slipway.telemetry.table.metric_kind import MetricKind, MetricType
from slipway.telemetry.table.whole_table import METRICS

_PREFIX: Final = "slipway_"
SEPARATOR: Final = "\x1f"
_SUM: Final = "us"
_EXEMPLAR: Final = "x"

OTHER: Final = "other"
"""The value of every label of the series that have no place of their own."""

LABEL_CHARACTERS: Final = 64
"""The most characters of the value of a label."""

MAX_SERIES: Final = 500
"""The most series of a metric; further ones are one series, `other`."""


@lru_cache(maxsize=8192)
def series(kind: MetricKind, labels: tuple[str, ...]) -> str:
    """The field of a counter, and what the fields of a histogram begin with."""
    return SEPARATOR.join((kind.name.removeprefix(_PREFIX), *labels))


@lru_cache(maxsize=8192)
def bucket_of(kind: MetricKind, labels: tuple[str, ...], number: int) -> str:
    """The field of a bucket; the first one has the number 1."""
    return f"{series(kind, labels)}{SEPARATOR}{number}"


@lru_cache(maxsize=8192)
def sum_of(kind: MetricKind, labels: tuple[str, ...]) -> str:
    """The field of the sum of a histogram, in µs."""
    return f"{series(kind, labels)}{SEPARATOR}{_SUM}"


def bounded(label: str) -> str:
    """The value of a label, at most `LABEL_CHARACTERS` long and without the separator."""
    return label[:LABEL_CHARACTERS].replace(SEPARATOR, " ")


@dataclass(frozen=True, slots=True)
class Part:
    """What a field holds: of which series, and which part of a histogram."""

    kind: MetricKind
    labels: tuple[str, ...]
    bucket: int = 0
    """Its number; 0 for a counter, and for the sum."""
    is_sum: bool = False
    is_exemplar: bool = False


def part_of(field: str) -> Part | None:
    """What a field holds. None for a field of another release."""
    name, *rest = field.split(SEPARATOR)
    kind = METRICS.get(_PREFIX + name)
    if kind is None:
        return None
    if kind.type is not MetricType.HISTOGRAM:
        return Part(kind, _labels(kind, rest))
    last = rest.pop() if rest else ""
    if last == _SUM:
        return Part(kind, _labels(kind, rest), is_sum=True)
    number = last.removesuffix(_EXEMPLAR)
    if not number.isdecimal() or not 1 <= int(number) <= len(kind.buckets) + 1:
        return None
    return Part(kind, _labels(kind, rest), int(number), is_exemplar=number != last)


def _labels(kind: MetricKind, values: Sequence[str]) -> tuple[str, ...]:
    """A value that contains the separator would have made too many labels."""
    if len(values) != len(kind.labels):
        return (OTHER,) * len(kind.labels)
    return tuple(bounded(value) for value in values)
