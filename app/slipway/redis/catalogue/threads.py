"""The keys of threads: records, their runs in order, and what was deleted."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_THREAD_FIELDS: Final = (
    Field("created_us", Encoding.TIME_US, "When it was created. With the id it is the thread's incarnation."),
    Field("updated_us", Encoding.TIME_US, "When its record or one of its runs changed last."),
    Field("state_us", Encoding.TIME_US, "When its values changed last."),
    Field("status", Encoding.TEXT, "`idle`, `busy`, `interrupted` or `error`."),
    Field(
        "idle_status",
        Encoding.TEXT,
        "The status that it gets when no run is pending or running.",
        absent="it never had a run and its state was never written",
        scripts_only=True,
    ),
    Field("active_run_id", Encoding.TEXT, "The run that executes.", absent="none does"),
    Field("waiting_run_id", Encoding.TEXT, "The run whose interrupt is open.", absent="none is", scripts_only=True),
    Field(
        "answered_by_run_id",
        Encoding.TEXT,
        "The run that answered the last interrupt.",
        absent="none has, or a run without an answer followed",
        scripts_only=True,
    ),
    Field("started_runs", Encoding.INTEGER, "How many of its runs have an ordinal.", absent="none has"),
    Field(
        "temporary",
        Encoding.FLAG,
        "It was created for one stateless run and is deleted with it.",
        absent="it was not",
        scripts_only=True,
    ),
    Field(
        "has_crons",
        Encoding.FLAG,
        "It may have crons, which are deleted after it.",
        absent="no cron was ever created on it",
        scripts_only=True,
    ),
    Field(
        "m:*",
        Encoding.JSON,
        "One member of its metadata.",
        absent="the metadata has no such member",
        python_writers=("slipway.threads",),
    ),
    Field(
        "c:*", Encoding.JSON, "One member of the config that its last run had.", absent="the config has no such member"
    ),
    Field(
        "values",
        Encoding.JSON,
        "Its values after the last run or state write.",
        absent="it has no state",
        python_writers=("slipway.threads",),
    ),
    Field(
        "interrupts",
        Encoding.JSON,
        "Its open interrupts, by task id.",
        absent="it has no state",
        python_writers=("slipway.threads",),
    ),
    Field(
        "error",
        Encoding.JSON,
        "The error with which its last run ended, as clients receive it.",
        absent="that run did not fail",
    ),
    Field(
        "token",
        Encoding.TEXT,
        "A random text of the request that created it, so that a repetition is recognised.",
        absent="a run created it",
    ),
    Field(
        "copied_us",
        Encoding.TIME_US,
        "When the thread that it is a copy of was created.",
        absent="it is no copy, or its checkpoints are copied",
    ),
    Field(
        "ttl",
        Encoding.TEXT,
        "Its time to live, a decimal number.",
        absent="it lives until it is deleted",
        unit="minutes",
    ),
    Field(
        "ttl_strategy",
        Encoding.TEXT,
        "What happens at the end of that time: `delete` or `keep_latest`.",
        absent="it lives until it is deleted",
    ),
    Field("expires_us", Encoding.TIME_US, "The end of that time.", absent="it lives until it is deleted"),
)

KEY_KINDS: Final = (
    KeyKind(
        "thread",
        ":thread:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The record of a thread.",
        lifetime="until it is deleted",
        python_readers=(
            "slipway.threads",
            "slipway.checkpoints",
            "slipway.runs",
            "slipway.access",
        ),
        fields=_THREAD_FIELDS,
    ),
    KeyKind(
        "thread_runs",
        ":thread:%s:runs",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The runs of a thread, by created_at in µs.",
        lifetime="deleted with its thread",
        python_readers=("slipway.threads", "slipway.runs"),
    ),
    KeyKind(
        "thread_queue",
        ":thread:%s:queue",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The queued runs of a thread, by created_at in µs.",
        lifetime="while runs are queued",
        python_readers=("slipway.threads", "slipway.runs"),
    ),
    KeyKind(
        "thread_states",
        ":thread:%s:states",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="State writes, `<time in µs>:<checkpoint>`, by the ordinal of the last started run; the newest 100.",
        lifetime="`event_ttl_s` after the last state write",
        python_readers=("slipway.threads",),
    ),
    KeyKind(
        "thread_notifications",
        ":thread:%s:notifications",
        RedisType.CHANNEL,
        shard=None,
        meaning=(
            "Something of a thread changed: a run started or ended, or its state or metadata was written. The"
            " message is `metadata` for metadata, and empty otherwise."
        ),
        python_readers=("slipway.threads",),
    ),
    KeyKind(
        "threads",
        ":threads",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="All threads, by updated_at in µs.",
        lifetime="forever",
        python_readers=("slipway.threads", "slipway.runs", "slipway.health", "slipway.checkpoints"),
    ),
    KeyKind(
        "threads_due",
        ":threads:due",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Threads that have a TTL, by its end in ms.",
        lifetime="while threads have a TTL",
    ),
    KeyKind(
        "trash",
        ":trash",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="Deleted threads, by time in µs, whose checkpoints are not deleted yet.",
        lifetime="until they are deleted",
        python_readers=("slipway.checkpoints",),
    ),
)
