"""The keys of processes: the layout version, live workers, duties, health checks, migrations."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_MIGRATED_FIELDS: Final = (
    Field(
        "*",
        Encoding.TIME_US,
        "By thread: its creation time, when a migration copied it.",
        python_writers=("slipway.checkpoints",),
    ),
)

_LAYOUT_FIELDS: Final = (
    Field("required", Encoding.INTEGER, "The layout version that a process must have; raised before an upgrade."),
    Field("version", Encoding.INTEGER, "The layout version of what is stored; raised after an upgrade."),
    Field("release", Encoding.TEXT, "The version of Slipway that last raised `required` or `version`."),
    Field("shards", Encoding.INTEGER, "The number of shards of threads.", absent="an earlier release stored it"),
)

_BREAKER_FIELDS: Final = (
    Field(
        "failures",
        Encoding.TEXT,
        "The failures within the window, the oldest first: `<time in ms>:<id of the call>`, separated by spaces.",
        absent="while the breaker is open",
        scripts_only=True,
    ),
    Field("count", Encoding.INTEGER, "How many calls failed in a row."),
    Field("problem", Encoding.TEXT, "The class of the last failure."),
    Field("last_failed_ms", Encoding.TIME_MS, "When the last call failed."),
    Field("opened_ms", Encoding.TIME_MS, "When the breaker was opened.", absent="while it is closed"),
    Field("open_until_ms", Encoding.TIME_MS, "When the probe is permitted.", absent="while it is closed"),
    Field(
        "probe",
        Encoding.TEXT,
        "The id of the call that is the probe.",
        absent="while there is none",
        scripts_only=True,
    ),
    Field("probe_until_ms", Encoding.TIME_MS, "When another call may be the probe.", absent="while there is none"),
)

_EVIDENCE_FIELDS: Final = (
    Field(
        "*",
        Encoding.JSON,
        "By kind, such as `load-test`: `at_us`, `recorded_us`, `by` and `note`.",
        python_writers=("slipway.go_live",),
    ),
)

_OPENINGS_FIELDS: Final = (Field("*", Encoding.INTEGER, "By breaker: how often it was opened."),)

KEY_KINDS: Final = (
    KeyKind(
        "layout",
        ":layout",
        RedisType.HASH,
        Shard.LAYOUT,
        meaning="The layout version: a process with a lower one does not start.",
        lifetime="forever",
        python_readers=("slipway.redis.layout_scripts",),
        fields=_LAYOUT_FIELDS,
    ),
    KeyKind(
        "workers",
        ":workers",
        RedisType.ZSET,
        Shard.PROCESSES,
        meaning="Live workers, by their last heartbeat in ms.",
        lifetime="one lease after the last heartbeat",
        python_readers=("slipway.health", "slipway.runs"),
    ),
    KeyKind(
        "worker_health",
        ":worker_health:%s",
        RedisType.STRING,
        Shard.PROCESSES,
        meaning="That a worker of a host claims runs, for `arq --check`: a time, and its counts of runs.",
        lifetime="5 s after a worker of the host recorded it last, or until the last one exits",
        python_writers=("slipway.runs",),
        python_readers=("arq",),
    ),
    KeyKind(
        "check_position",
        ":check_position:%s",
        RedisType.STRING,
        Shard.PROCESSES,
        meaning=(
            "By kind of record: where an interrupted repair of the indexes continues, and when it began: `<cursor of "
            "SCAN or ZSCAN>:<time in µs>`."
        ),
        lifetime="an hour, or until the end of the repair",
        python_writers=("slipway.indexes",),
        python_readers=("slipway.indexes",),
    ),
    KeyKind(
        "evidence",
        ":evidence",
        RedisType.HASH,
        Shard.PROCESSES,
        meaning="What operators have recorded about tests and backups, for the checklist of `slipway doctor`.",
        lifetime="forever; of each kind that of the latest time",
        python_readers=("slipway.go_live",),
        fields=_EVIDENCE_FIELDS,
    ),
    KeyKind(
        "duty",
        ":duty:%s",
        RedisType.STRING,
        Shard.PROCESSES,
        meaning="The worker that holds a duty.",
        lifetime="until the duty was not acquired again in time",
    ),
    KeyKind(
        "breaker",
        ":breaker:%s",
        RedisType.HASH,
        Shard.PROCESSES,
        meaning="By `<kind>:<name>` of a model or tool: a circuit breaker that is open or has failures on record.",
        lifetime="until a call succeeds, the window of its failures is over, or nobody called it for an hour",
        python_readers=("slipway.circuit_breakers",),
        fields=_BREAKER_FIELDS,
    ),
    KeyKind(
        "breakers",
        ":breakers",
        RedisType.ZSET,
        Shard.PROCESSES,
        meaning="The circuit breakers that exist, by the time in ms when each expires.",
        lifetime="while there is one",
    ),
    KeyKind(
        "breaker_openings",
        ":breaker_openings",
        RedisType.HASH,
        Shard.PROCESSES,
        meaning="How often circuit breakers were opened.",
        lifetime="forever",
        python_readers=("slipway.circuit_breakers",),
        fields=_OPENINGS_FIELDS,
    ),
    KeyKind(
        "control",
        ":worker:%s:control",
        RedisType.CHANNEL,
        shard=None,
        meaning="Instructions to a worker about one of its runs.",
        python_readers=("slipway.runs",),
    ),
    KeyKind(
        "probe",
        ":probe:%s",
        RedisType.STRING,
        Shard.PROCESSES,
        meaning="What a health check writes, and reads back.",
        lifetime="a moment",
        python_writers=("slipway.health",),
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "arq_fault",
        ":arq_fault",
        RedisType.STRING,
        Shard.PROCESSES,
        meaning="A worker in which the project's arq application has a fault; its jobs do not execute there.",
        lifetime="30 s after the last report",
        python_writers=("slipway.health",),
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "migrated",
        ":migrated",
        RedisType.HASH,
        Shard.MIGRATION,
        meaning="The threads that a migration between checkpointers copied.",
        lifetime="until they are deleted from the source",
        python_writers=("slipway.checkpoints",),
        python_readers=("slipway.checkpoints",),
        fields=_MIGRATED_FIELDS,
    ),
)
