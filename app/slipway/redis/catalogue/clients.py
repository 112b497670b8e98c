"""The keys of clients: how often they asked, and what they have open."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import KeyKind, RedisType, Shard

KEY_KINDS: Final = (
    KeyKind(
        "rate",
        ":rate:%s",
        RedisType.STRING,
        Shard.CLIENTS,
        meaning="By `<policy>:<digest of the client>`: when the bucket of the client will be full again, in µs.",
        lifetime="until the bucket is full",
    ),
    KeyKind(
        "stream_slots",
        ":stream_slots:%s",
        RedisType.ZSET,
        Shard.CLIENTS,
        meaning="By the digest of a client: the streams that it has open in all processes, by the time in ms when the "
        "lease of each expires.",
        lifetime="until the last lease expires",
        python_writers=("slipway.rate_limits",),
    ),
)
