"""The keys of hooks: deliveries of incoming webhooks."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_DELIVERY_FIELDS: Final = (
    Field("hook", Encoding.TEXT, "The name of the hook.", python_writers=("slipway.hooks",)),
    Field("delivery_id", Encoding.JSON, "The delivery id of the sender.", python_writers=("slipway.hooks",)),
    Field("event_type", Encoding.TEXT, "The event type.", absent="it has none", python_writers=("slipway.hooks",)),
    Field("kept_headers", Encoding.JSON, "The headers that are kept, by name.", python_writers=("slipway.hooks",)),
    Field("digest", Encoding.JSON, "The SHA-256 of what was signed.", python_writers=("slipway.hooks",)),
    Field("raw_body", Encoding.BYTES, "The body as it was received, in its stored form."),
    Field("size", Encoding.INTEGER, "Of the body.", unit="bytes", python_writers=("slipway.hooks",)),
    Field(
        "replay_of",
        Encoding.TEXT,
        "The delivery of which an operator has made this one.",
        absent="it was received",
        python_writers=("slipway.hooks",),
    ),
    Field("by", Encoding.TEXT, "That operator.", absent="it was received", python_writers=("slipway.hooks",)),
    Field("received_us", Encoding.TIME_US, "When it was stored."),
    Field("state", Encoding.TEXT, "`received`, `accepted`, `ignored` or `rejected`."),
    Field("run_id", Encoding.TEXT, "The id of the run that it creates, chosen before the run exists."),
    Field("thread_id", Encoding.TEXT, "The id of the thread, if the mapping names none."),
    Field("answer_status", Encoding.INTEGER, "The status of the response.", absent="in state `received`"),
    Field("answer", Encoding.JSON, "The body of the response.", absent="in state `received`"),
    Field("repetitions", Encoding.INTEGER, "How often it was received again.", absent="never"),
    Field("tries", Encoding.INTEGER, "How often a worker tried to finish it.", absent="never"),
)

_COUNT_FIELDS: Final = (
    Field("accepted", Encoding.INTEGER, "Deliveries that did something.", absent="none"),
    Field("ignored", Encoding.INTEGER, "Deliveries of other event types, or that `when` excludes.", absent="none"),
    Field("rejected", Encoding.INTEGER, "Signed deliveries that got an error.", absent="none"),
    Field("repeated", Encoding.INTEGER, "Repetitions of deliveries.", absent="none"),
    Field("refused", Encoding.INTEGER, "Requests without a valid signature.", absent="none"),
    Field("refused_us", Encoding.TIME_US, "When the last of them came.", absent="none"),
    Field("refused_why", Encoding.TEXT, "What was wrong with it.", absent="none"),
)

KEY_KINDS: Final = (
    KeyKind(
        "hook_delivery",
        ":hook_delivery:%s",
        RedisType.HASH,
        Shard.HOOKS,
        meaning="A delivery to a hook. Its id is made of the hook and the delivery id of the sender.",
        lifetime="`hook_retention_s` after it was received",
        python_readers=("slipway.hooks",),
        fields=_DELIVERY_FIELDS,
    ),
    KeyKind(
        "hook_deliveries",
        ":hooks:deliveries:%s",
        RedisType.ZSET,
        Shard.HOOKS,
        meaning="By hook: its deliveries, by `received_us`.",
        lifetime="as its deliveries",
        python_readers=("slipway.hooks",),
    ),
    KeyKind(
        "hook_deliveries_in",
        ":hooks:deliveries_in:%s",
        RedisType.ZSET,
        Shard.HOOKS,
        meaning="By `<hook>:<state>`: its deliveries in this state, by `received_us`.",
        lifetime="as its deliveries",
        python_readers=("slipway.hooks",),
    ),
    KeyKind(
        "hook_counts",
        ":hooks:counts:%s",
        RedisType.HASH,
        Shard.HOOKS,
        meaning="By hook: what became of its deliveries.",
        lifetime="for ever",
        python_readers=("slipway.hooks",),
        fields=_COUNT_FIELDS,
    ),
    KeyKind(
        "unanswered_hook_deliveries",
        ":hooks:unanswered",
        RedisType.ZSET,
        Shard.HOOKS,
        meaning="Deliveries in state `received`, by the time in ms when a worker finishes them.",
        lifetime="until they are answered",
    ),
    KeyKind(
        "hook_namespace",
        ":hooks:namespace",
        RedisType.STRING,
        Shard.HOOKS,
        meaning=(
            "A random UUID, from which the ids of the threads of hooks are made, so that nobody can compute one and "
            "create the thread first."
        ),
        lifetime="for ever",
        python_writers=("slipway.hooks",),
        python_readers=("slipway.hooks",),
    ),
)
