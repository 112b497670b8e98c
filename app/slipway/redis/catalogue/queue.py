"""The keys of the queue: jobs, leases, concurrency groups, crash suspects."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_OUTAGE_WATCH_FIELDS: Final = (
    Field(
        "last_contact_ms",
        Encoding.TIME_MS,
        "When Redis executed the last heartbeat or round of the reaper. A long pause is an outage of Redis.",
        scripts_only=True,
    ),
    Field(
        "grace_until_ms",
        Encoding.TIME_MS,
        "Until when the reaper reclaims nothing after an outage; 0 when there was none.",
        scripts_only=True,
    ),
)

_REPAIRS_FIELDS: Final = (
    Field("*", Encoding.INTEGER, "By problem: how many times the doctor and the reconciler have repaired it."),
)

_MEMORY_FIELDS: Final = (
    Field(
        "room",
        Encoding.INTEGER,
        "What may still be admitted.",
        "after the expected size of a graph grew",
        "bytes",
        scripts_only=True,
    ),
    Field(
        "startable",
        Encoding.INTEGER,
        "What runs may be expected to store that start now.",
        unit="bytes",
        scripts_only=True,
    ),
    Field("measured_ms", Encoding.TIME_MS, "When memory was measured.", scripts_only=True),
    Field(
        "used",
        Encoding.INTEGER,
        "What Redis used then, without what it may always use.",
        unit="bytes",
        scripts_only=True,
    ),
    Field("max", Encoding.INTEGER, "`maxmemory` of the server; 0 without a limit.", unit="bytes", scripts_only=True),
    Field(
        "reserved",
        Encoding.INTEGER,
        "What running and due runs were expected to store then.",
        unit="bytes",
        scripts_only=True,
    ),
    Field(
        "run:*",
        Encoding.INTEGER,
        "By graph: what one of its runs is expected to store.",
        unit="bytes",
        scripts_only=True,
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "replication_mark",
        ":replication_mark",
        RedisType.STRING,
        Shard.THREAD,
        meaning=(
            "How many times replicas were asked to confirm the writes of replicated runs. Each question writes it, so "
            "that it covers all earlier writes."
        ),
        lifetime="forever",
        python_writers=("slipway.redis",),
    ),
    KeyKind(
        "queue",
        ":queue",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Due jobs `<run>:<attempt>`, by rank: due time in ms and priority.",
        lifetime="until they are claimed",
        python_readers=("slipway.runs", "slipway.health"),
    ),
    KeyKind(
        "suspect_queue",
        ":queue:suspects",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Due jobs of crash suspects, by rank.",
        lifetime="until they are claimed",
        python_readers=("slipway.runs", "slipway.health"),
    ),
    KeyKind(
        "running_suspects",
        ":suspects:running",
        RedisType.SET,
        Shard.THREAD,
        meaning="The crash suspects that execute.",
        lifetime="until they are cleared or their attempt ends",
        python_writers=("slipway.runs",),
    ),
    KeyKind(
        "later_queue",
        ":queue:later",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Jobs that are not due yet, by due time in ms.",
        lifetime="until they are due",
        python_readers=("slipway.runs", "slipway.health"),
    ),
    KeyKind(
        "parked_queue",
        ":queue:parked:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Due jobs over the limit of their concurrency group, by rank.",
        lifetime="until a run of the group ends",
        python_readers=("slipway.runs", "slipway.health"),
    ),
    KeyKind(
        "group_runs",
        ":group:%s",
        RedisType.SET,
        Shard.THREAD,
        meaning="The running runs of a concurrency group.",
        lifetime="while they execute",
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "group_slots",
        ":group_slots:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The slots of a concurrency group that this shard has, where several shards share the group.",
        lifetime="for ever",
        fields=(
            Field("slots", Encoding.INTEGER, "How many runs of the group may execute at once here.", scripts_only=True),
            Field("revision", Encoding.INTEGER, "Of the decision by which it has them.", scripts_only=True),
            Field(
                "owed",
                Encoding.INTEGER,
                "How many it gives to other shards, as soon as they are free.",
                scripts_only=True,
            ),
            Field(
                "kept_until_ms",
                Encoding.TIME_MS,
                "Until when free slots are kept for jobs that were queued for them.",
                absent="none were",
                scripts_only=True,
            ),
        ),
    ),
    KeyKind(
        "group_exchanges",
        ":group_exchanges",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The concurrency groups whose slots a worker is to exchange with other shards, by the time in ms from"
        " when on.",
        lifetime="until they are exchanged",
    ),
    KeyKind(
        "group_shares",
        ":group_shares:%s",
        RedisType.HASH,
        Shard.LIMITS,
        meaning="How many slots of a concurrency group each shard of threads has at most.",
        lifetime="for ever",
        fields=(
            Field("limit", Encoding.INTEGER, "How many runs of the group may execute at once.", scripts_only=True),
            Field("*", Encoding.TEXT, "By number of the shard: its slots and their revision.", scripts_only=True),
        ),
    ),
    KeyKind(
        "group_wants",
        ":group_wants:%s",
        RedisType.ZSET,
        Shard.LIMITS,
        meaning="The shards that want slots of a concurrency group, by the time in µs since when.",
        lifetime="while there are such shards",
    ),
    KeyKind(
        "groups_wanted",
        ":groups_wanted",
        RedisType.ZSET,
        Shard.LIMITS,
        meaning="The concurrency groups whose slots shards want, by the time in ms of the last exchange.",
        lifetime="while there are such groups",
    ),
    KeyKind(
        "waiting_workers",
        ":queue:waiting",
        RedisType.ZSET,
        Shard.THREAD,
        meaning=(
            "The workers that wait for a job of this shard, `<group> <worker>`, by the time of their last claim in µs. "
            "A script that queues a job removes one and wakes it."
        ),
        lifetime="until they are woken, or found dead when they are to be woken",
    ),
    KeyKind(
        "leases",
        ":leases",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Running runs, by the end of their lease in ms.",
        lifetime="while they execute",
        python_readers=("slipway.runs", "slipway.health"),
    ),
    KeyKind(
        "memory",
        ":memory",
        RedisType.HASH,
        Shard.THREAD,
        meaning="How much room the memory of Redis has: the last measurement, and the expected sizes of runs.",
        lifetime="forever",
        fields=_MEMORY_FIELDS,
    ),
    KeyKind(
        "outage_watch",
        ":outage_watch",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The times by which an outage of Redis is detected.",
        lifetime="forever",
        fields=_OUTAGE_WATCH_FIELDS,
    ),
    KeyKind(
        "repairs",
        ":repairs",
        RedisType.HASH,
        Shard.THREAD,
        meaning="How many times each problem was repaired.",
        lifetime="forever",
        python_writers=("slipway.health",),
        python_readers=("slipway.health",),
        fields=_REPAIRS_FIELDS,
    ),
)
