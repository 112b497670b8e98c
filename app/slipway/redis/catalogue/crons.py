"""The keys of crons."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_CRON_FIELDS: Final = (
    Field("cron_id", Encoding.TEXT, "Its id, a UUID."),
    Field("created_us", Encoding.TIME_US, "When it was created. With the id it is the cron's incarnation."),
    Field("updated_us", Encoding.TIME_US, "When it was changed last."),
    Field(
        "seed",
        Encoding.TEXT,
        "A UUID from which the ids of its runs are derived.",
        absent="an earlier release stored it",
    ),
    Field("assistant_id", Encoding.TEXT, "The assistant of its runs.", python_writers=("slipway.crons",)),
    Field(
        "thread_id",
        Encoding.TEXT,
        "The thread of its runs.",
        absent="each run has a thread of its own",
        python_writers=("slipway.crons",),
    ),
    Field(
        "thread_created_us",
        Encoding.TIME_US,
        "The incarnation of that thread.",
        absent="each run has a thread of its own",
        python_writers=("slipway.crons",),
    ),
    Field("schedule", Encoding.TEXT, "The cron expression.", python_writers=("slipway.crons",)),
    Field(
        "timezone",
        Encoding.TEXT,
        "The time zone of the schedule, an IANA name.",
        absent="UTC",
        python_writers=("slipway.crons",),
    ),
    Field(
        "end_ms",
        Encoding.TIME_MS,
        "After this time it is never due.",
        absent="it has no end",
        python_writers=("slipway.crons",),
    ),
    Field("enabled", Encoding.BOOLEAN, "Whether it creates runs.", python_writers=("slipway.crons",)),
    Field(
        "on_run_completed",
        Encoding.TEXT,
        "What happens to a run's own thread at the end of the run: `delete` or `keep`.",
        absent="the client did not say",
        python_writers=("slipway.crons",),
    ),
    Field("payload", Encoding.JSON, "What the client sent.", python_writers=("slipway.crons",)),
    Field("request", Encoding.JSON, "The request for its runs.", python_writers=("slipway.crons",)),
    Field("metadata", Encoding.JSON, "Its metadata.", python_writers=("slipway.crons",)),
    Field(
        "m:*",
        Encoding.JSON,
        "One member of its metadata, for access filters.",
        absent="the metadata has no such member",
    ),
    Field(
        "members_of_us",
        Encoding.TIME_US,
        ("The `updated_us` for which the `m:*` fields were written; another value means that they are out of date."),
    ),
    Field(
        "terms",
        Encoding.TEXT,
        "Its index terms, 20 characters each.",
        scripts_only=True,
    ),
    Field("next_ms", Encoding.TIME_MS, "Its next due time.", absent="it is disabled, or has no due time left"),
    Field("last_run_id", Encoding.TEXT, "The run of its last due time.", absent="it has created none"),
    Field("problem", Encoding.TEXT, "Why the last due time created no run.", absent="it created one"),
)

_HANDLED_FIELDS: Final = (
    Field("incarnation", Encoding.TIME_US, "The incarnation of the cron.", scripts_only=True),
    Field("due_ms", Encoding.TIME_MS, "The due time.", scripts_only=True),
    Field(
        "next_ms",
        Encoding.TIME_MS,
        "The cron's next due time, as the process decided that created the run; empty if no due time was left.",
        absent="no run was created, because the cron was changed or deleted at the due time",
        scripts_only=True,
    ),
    Field(
        "problem",
        Encoding.TEXT,
        "The incarnation of the cron, and the problem of which `cron.problem` has told webhook endpoints.",
        absent="its last due time created a run",
        scripts_only=True,
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "cron",
        ":cron:%s",
        RedisType.HASH,
        Shard.CRONS,
        meaning="The record of a cron.",
        lifetime="until it or its thread is deleted",
        python_writers=("slipway.crons",),
        python_readers=("slipway.crons", "slipway.access"),
        fields=_CRON_FIELDS,
    ),
    KeyKind(
        "crons",
        ":crons",
        RedisType.ZSET,
        Shard.CRONS,
        meaning="All crons, by created_at in µs.",
        lifetime="forever",
        python_readers=("slipway.crons", "slipway.health"),
    ),
    KeyKind(
        "crons_with",
        ":crons:with:%s",
        RedisType.ZSET,
        Shard.CRONS,
        meaning=(
            "The crons with one index term (of their metadata, an assistant, a thread, or whether they are enabled), "
            "by created_at in µs."
        ),
        lifetime="while there are such crons",
        python_readers=("slipway.crons",),
    ),
    KeyKind(
        "crons_by",
        ":crons:by:%s",
        RedisType.ZSET,
        Shard.CRONS,
        meaning=(
            "All crons in one order: `updated_at` in µs, `next_run_date` or `end_time` in ms (-1 if there is none), or "
            "`cron_id`, `assistant_id` or `thread_id`, where all scores are 0 and, in the last two, a member is "
            "`<text>\\0<cron>`."
        ),
        lifetime="while there are crons",
        python_readers=("slipway.crons",),
    ),
    KeyKind(
        "crons_due",
        ":crons:due",
        RedisType.ZSET,
        Shard.CRONS,
        meaning="Enabled crons, by their next due time in ms, or by the time at which it is due again after a problem.",
        lifetime="while they are enabled",
    ),
    KeyKind(
        "thread_crons",
        ":thread:%s:crons",
        RedisType.SET,
        Shard.CRONS,
        meaning="The crons whose runs execute on a thread.",
        lifetime="while the thread has crons",
    ),
    KeyKind(
        "handled_due_time",
        ":cron:%s:handled",
        RedisType.HASH,
        Shard.THREAD,
        meaning=("The last due time of a cron that was handled in the shard of its run: no due time creates two runs."),
        lifetime="30 days after the last due time",
        fields=_HANDLED_FIELDS,
    ),
)
