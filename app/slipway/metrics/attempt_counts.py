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

_NOTHING: Final = (0, 0, 0)
_SHORT_LIST: Final = 15
"""A list of so many values at most has one byte in front of them, a longer one three: MessagePack specification, array
format family. An attempt has fewer than 65,536."""


class AttemptCounts:
    """The counts of one attempt that were not sent yet."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[int, int, int]] = {}
        """By field: the kind of the item, and its two values."""

    def count(self, kind: MetricKind, *labels: str, by: int = 1) -> None:
        """Adds to a counter."""
        field = series(kind, labels)
        _, value, _ = self._values.get(field, _NOTHING)
        self._values[field] = COUNTER, value + by, 0

    def observe(self, kind: MetricKind, value_s: float, *labels: str) -> None:
        """Adds an observation, in seconds, to a histogram."""
        field = bucket_of(kind, labels, bisect_left(kind.buckets, value_s) + 1)
        _, value, sum_us = self._values.get(field, _NOTHING)
        self._values[field] = OBSERVATIONS, value + 1, sum_us + round(value_s * 1_000_000)

    def items(self) -> bytes:
        """The counts as items of pending counts, once; empty if there are none."""
        if not self._values:
            return b""
        flat: list[int | str] = []
        for field, (item, value, other) in self._values.items():
            flat += item, field, value, other
        self._values.clear()
        # the values without what MessagePack has in front of them: that they are a list, and how long it is
        return ormsgpack.packb(flat)[1 if len(flat) <= _SHORT_LIST else 3 :]
