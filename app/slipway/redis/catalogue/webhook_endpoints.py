"""The keys of webhook endpoints and of what they are subscribed to."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

HEALTH_FIELDS: Final = (
    Field("failures", Encoding.INTEGER, "How many calls have failed in a row.", absent="the last one succeeded"),
    Field("failing_since_us", Encoding.TIME_US, "When the first of them failed.", absent="as `failures`"),
    Field("open_until_us", Encoding.TIME_US, "Until when nothing is called.", absent="calls are made"),
)
"""Of an endpoint, and of an origin that runs name in their webhooks."""

_STORE: Final = ("slipway.webhook_endpoints",)

_ENDPOINT_FIELDS: Final = (
    Field("url", Encoding.TEXT, "Where events are sent.", python_writers=_STORE),
    Field(
        "types", Encoding.JSON, "The types of events: names, families such as `run.*`, or `*`.", python_writers=_STORE
    ),
    Field(
        "graphs",
        Encoding.JSON,
        "Only events of these graphs.",
        absent="of all graphs, and of none",
        python_writers=_STORE,
    ),
    Field(
        "for_owner",
        Encoding.TEXT,
        "Only events of this owner.",
        absent="of all owners, and of none",
        python_writers=_STORE,
    ),
    Field("format", Encoding.TEXT, "`thin` or `full`.", python_writers=_STORE),
    Field("description", Encoding.TEXT, "What it is for.", absent="nobody has said", python_writers=_STORE),
    Field("created_us", Encoding.TIME_US, "When it was added."),
    Field("created_by", Encoding.TEXT, "Who added it.", python_writers=_STORE),
    Field("updated_us", Encoding.TIME_US, "When its configuration was changed last."),
    Field("revision", Encoding.INTEGER, "How many times its configuration was changed."),
    Field(
        "keys",
        Encoding.BYTES,
        "The keys that sign, the newest first, in their stored form: a JSON list of `secret`, `created_us` and"
        " `until_us` (null: no end).",
        python_writers=_STORE,
    ),
    Field(
        "concurrency",
        Encoding.INTEGER,
        "How many tries may be in progress at once, over all processes.",
        python_writers=_STORE,
    ),
    Field("state", Encoding.TEXT, "`enabled` or `disabled`.", python_writers=_STORE),
    Field("disabled_reason", Encoding.TEXT, "Why it is disabled.", absent="it is enabled", python_writers=_STORE),
    Field(
        "subscribed",
        Encoding.MSGPACK,
        "Its entry in the subscriptions, and their fields that have it.",
        absent="it is disabled",
        scripts_only=True,
    ),
    Field("request", Encoding.TEXT, "A random text of the last change.", scripts_only=True),
    *HEALTH_FIELDS,
)

KEY_KINDS: Final = (
    KeyKind(
        "webhook_endpoint",
        ":webhook_endpoint:%s",
        RedisType.HASH,
        Shard.THREAD,
        meaning="The record of a webhook endpoint.",
        lifetime="until it is removed",
        python_readers=(*_STORE, "slipway.webhooks"),
        fields=_ENDPOINT_FIELDS,
    ),
    KeyKind(
        "webhook_endpoints",
        ":webhook_endpoints",
        RedisType.ZSET,
        Shard.THREAD,
        meaning="The endpoints, by creation time in µs.",
        lifetime="while there are endpoints",
        python_readers=_STORE,
    ),
    KeyKind(
        "webhook_endpoints_of",
        ":webhook_endpoints:owner:%s",
        RedisType.SET,
        Shard.THREAD,
        meaning="The endpoints for one owner.",
        lifetime="while there are any",
    ),
    KeyKind(
        "webhook_subscriptions",
        ":webhook_subscriptions",
        RedisType.HASH,
        Shard.THREAD,
        meaning="Which enabled endpoints are subscribed to what. Scripts that change something look here.",
        lifetime="while an endpoint is enabled",
        fields=(
            Field(
                "*",
                Encoding.TEXT,
                "By type, owner (JSON) and graph, joined by line feeds, the last two empty for all: each endpoint as"
                " `id:queue:format`, separated by spaces. Queue is `e` (external) or `i`, format is `t` (thin) or `f`.",
                scripts_only=True,
            ),
        ),
    ),
)
