"""The keys of switches."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_SWITCH_FIELDS: Final = (
    Field(
        "*",
        Encoding.JSON,
        "By key of the switch (`node:GRAPH:NODE`, `tool:TOOL`, `graph:GRAPH`, `all`): who switched it off,"
        " when and why.",
    ),
)

_RESUMING_FIELDS: Final = (Field("*", Encoding.TEXT, "By key of the switch: who switched it on.", scripts_only=True),)

KEY_KINDS: Final = (
    KeyKind(
        "switches",
        ":switches",
        RedisType.HASH,
        Shard.THREAD,
        meaning="What is switched off.",
        lifetime="until it is switched on",
        python_readers=("slipway.switches",),
        fields=_SWITCH_FIELDS,
    ),
    KeyKind(
        "switch_changes",
        ":switches:changes",
        RedisType.CHANNEL,
        shard=None,
        meaning="The key of a switch that was changed.",
        python_readers=("slipway.switches",),
    ),
    KeyKind(
        "switch_runs",
        ":switches:runs:%s",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The runs that are paused before a switch, by the key of the switch, scored by creation time in µs.",
        lifetime="while there are such runs",
    ),
    KeyKind(
        "paused_runs",
        ":runs:paused",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="All paused runs, by the time in ms at which each was paused.",
        lifetime="while there are such runs",
        python_readers=("slipway.health",),
    ),
    KeyKind(
        "held_runs",
        ":runs:held",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The runs that are paused because no version may continue their threads, by the time in ms of that.",
        lifetime="while there are such runs",
    ),
    KeyKind(
        "resuming_switches",
        ":switches:resuming",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The switches that are on again, and whose paused runs are not all queued yet.",
        lifetime="until all are queued",
        fields=_RESUMING_FIELDS,
    ),
)
