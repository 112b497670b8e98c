"""The keys of metrics: what was counted, what processes have measured, and which runs are queued."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_METRICS_FIELDS: Final = (
    Field(
        "*",
        Encoding.TEXT,
        "By metric and labels, separated by the byte 31: an integer (of times in µs), or the exemplar of a bucket: "
        "trace, value in µs, time in µs.",
    ),
)

_PROCESS_FIELDS: Final = (
    Field("number", Encoding.INTEGER, "The number of its last publication.", scripts_only=True),
    Field("kind", Encoding.TEXT, "`web` or `worker`."),
    Field("gauge:*", Encoding.TEXT, "By metric and labels: a number."),
)

KEY_KINDS: Final = (
    KeyKind(
        "metrics",
        ":metrics",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The counters and histograms of the deployment, without what is pending: see `lua/lib/metrics.lua`.",
        lifetime="forever",
        fields=_METRICS_FIELDS,
    ),
    KeyKind(
        "pending_counts",
        ":pending_counts",
        RedisType.STRING,
        Shard.THREAD,
        meaning="What scripts have counted and nobody has added up yet, in the order in which it happened: "
        "MessagePack, four values for each item. It belongs to `metrics`, `queued_runs`, `traces` and `trace_bytes`: "
        "see `lua/lib/pending_counts.lua`.",
        lifetime="until it is added up: when one of them is read, at the latest when it has 32 KiB",
    ),
    KeyKind(
        "queued_runs",
        ":queued_runs",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The queued runs, in the order of their members: graph, version, priority, since when it is due in µs, "
        "run, separated by the byte 31. All scores are 0.",
        lifetime="while they are queued",
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "metrics_process",
        ":metrics:process:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The last publication of a process: its number and its gauges.",
        lifetime="a day after the last publication",
        python_readers=("slipway.metrics",),
        fields=_PROCESS_FIELDS,
    ),
    KeyKind(
        "metrics_processes",
        ":metrics:processes",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The processes that publish metrics, by the time in ms until when their gauges count.",
        lifetime="until 30 s after the last publication",
    ),
    KeyKind(
        "metrics_read",
        ":metrics:read",
        RedisType.STRING,
        Shard.THREAD,
        meaning="What `metrics_read.lua` has read last.",
        lifetime="1 s",
    ),
)
