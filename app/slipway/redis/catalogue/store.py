"""The keys of the long-term store."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_STORE_ITEMS_FIELDS: Final = (
    Field(
        "*",
        Encoding.TEXT,
        (
            "By key: created and updated in µs, end of its time in ms or 0, TTL in ms, then the value as "
            "JSON; `|` is between them."
        ),
    ),
)

_STORE_VECTORS_FIELDS: Final = (Field("*", Encoding.BYTES, "By key: dimensions and unit vectors, float32."),)

KEY_KINDS: Final = (
    KeyKind(
        "store_items",
        ":store:items:%s",
        RedisType.HASH,
        Shard.STORE,
        meaning="The items of one namespace, its labels joined by dots.",
        lifetime="until they are deleted or expire",
        python_readers=("slipway.store",),
        fields=_STORE_ITEMS_FIELDS,
    ),
    KeyKind(
        "store_order",
        ":store:order:%s",
        RedisType.ZSET,
        Shard.STORE,
        meaning="The keys of one namespace, by the time of the last put in µs.",
        lifetime="with its items",
        python_readers=("slipway.store",),
    ),
    KeyKind(
        "store_vectors",
        ":store:vectors:%s",
        RedisType.HASH,
        Shard.STORE,
        meaning="The embeddings of the items of one namespace.",
        lifetime="with its items",
        python_readers=("slipway.store",),
        fields=_STORE_VECTORS_FIELDS,
    ),
    KeyKind(
        "store_namespaces",
        ":store:namespaces",
        RedisType.ZSET,
        Shard.STORE,
        meaning="All namespaces that have items, each with a dot at its end; all scores are 0.",
        lifetime="with its items",
        python_readers=("slipway.store", "slipway.health"),
    ),
    KeyKind(
        "store_changed",
        ":store:changed",
        RedisType.ZSET,
        Shard.STORE,
        meaning=(
            "The same namespaces, by the time of the last put in µs. No item of a namespace is newer, but after a "
            "deletion its newest one may be older."
        ),
        lifetime="with its items",
        python_readers=("slipway.store",),
    ),
    KeyKind(
        "store_expiry",
        ":store:expiry",
        RedisType.ZSET,
        Shard.STORE,
        meaning="`<namespace>\\0<key>` of items that have a TTL, by its end in ms.",
        lifetime="with its items",
    ),
)
