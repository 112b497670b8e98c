"""What an attempt counts. It is stored with the write groups of the attempt, so what Redis has of its work and what is
counted of it agree, also when its worker is killed."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import ormsgpack

from slipway.metrics.series import bucket_of, series
from slipway.telemetry.table.metric_kind import MetricKind

COUNTER: Final = 1
OBSERVATIONS: Final = 2
"""Kinds of items: see `redis/lua/lib/pending_counts.lua`."""


class AttemptCounts:
    """The counts of one attempt that were not sent yet."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[int, int, int]] = {}
        """By field: the kind of the item, and its two values."""

    def count(self, kind: MetricKind, *labels: str, by: int = 1) -> None:
        """Adds to a counter."""
        self._add(series(kind, labels), COUNTER, by, 0)

    def observe(self, kind: MetricKind, value_s: float, *labels: str) -> None:
        """Adds an observation, in seconds, to a histogram."""
        field = bucket_of(kind, labels, bisect_left(kind.buckets, value_s) + 1)
        self._add(field, OBSERVATIONS, 1, round(value_s * 1_000_000))

    def _add(self, field: str, item: int, value: int, other: int) -> None:
        earlier = self._values.get(field)
        self._values[field] = (
            (item, value, other) if earlier is None else (item, earlier[1] + value, earlier[2] + other)
        )

    def items(self) -> bytes:
        """The counts as items of pending counts, once; empty if there are none."""
        values, self._values = self._values, {}
        return b"".join([_packed((item, field, value, other)) for field, (item, value, other) in values.items()])


def _packed(item: tuple[int, str, int, int]) -> bytes:
    """MessagePack of four values, without the byte in front of them that says that they are a list."""
    return ormsgpack.packb(item)[1:]
