"""What an attempt counts. It is stored with the write groups of the attempt, so what Redis has of its work and what is
counted of it agree, also when its worker is killed."""

from __future__ import annotations

from bisect import bisect_left

from slipway.metrics.series import bucket_of, series, sum_of
from slipway.redis.redis_commands import RedisCommand
from slipway.telemetry.table.metric_kind import MetricKind


class AttemptCounts:
    """The counts of one attempt that were not sent yet. `metrics_key` is the hash of the metrics."""

    def __init__(self, metrics_key: str) -> None:
        self._metrics_key = metrics_key
        self._counts: dict[str, int] = {}

    def count(self, kind: MetricKind, *labels: str, by: int = 1) -> None:
        """Adds to a counter."""
        field = series(kind, labels)
        self._counts[field] = self._counts.get(field, 0) + by

    def observe(self, kind: MetricKind, value_s: float, *labels: str) -> None:
        """Adds an observation, in seconds, to a histogram."""
        bucket, total = bucket_of(kind, labels, bisect_left(kind.buckets, value_s) + 1), sum_of(kind, labels)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._counts[total] = self._counts.get(total, 0) + round(value_s * 1_000_000)

    def command(self) -> RedisCommand | None:
        """What stores the counts, once; None if there are none."""
        if not self._counts:
            return None
        counts, self._counts = self._counts, {}
        return "COUNT", self._metrics_key, *(part for pair in counts.items() for part in pair)
