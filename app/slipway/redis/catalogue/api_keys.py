"""The keys of API keys."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_KEY_FIELDS: Final = (
    Field("digest", Encoding.TEXT, "SHA-256 of the text of the key, in hexadecimal digits."),
    Field("last_characters", Encoding.TEXT, "The last characters of the text of the key."),
    Field("name", Encoding.TEXT, "A text for people; may be empty."),
    Field("scopes", Encoding.JSON, "A list of scopes."),
    Field(
        "owner",
        Encoding.TEXT,
        "To whose records the key is restricted.",
        absent="if it may use the records of all owners",
    ),
    Field("created_us", Encoding.TIME_US, "When the key was created."),
    Field("created_by", Encoding.TEXT, "Who created it."),
    Field("expires_us", Encoding.TIME_US, "When it expires.", absent="if it does not expire"),
    Field("revoked_us", Encoding.TIME_US, "When it was revoked.", absent="unless it was revoked"),
    Field("revoked_by", Encoding.TEXT, "Who revoked it.", absent="unless it was revoked"),
    Field(
        "last_used_us",
        Encoding.TIME_US,
        "When a request was last sent with the key, exact to a minute.",
        absent="until its first use",
    ),
)

KEY_KINDS: Final = (
    KeyKind(
        "api_key",
        ":api_key:%s",
        RedisType.HASH,
        Shard.ACCESS,
        meaning="One API key, without its text.",
        lifetime="until 90 days after it was revoked or has expired, and a further key is created",
        python_readers=("slipway.api_keys",),
        fields=_KEY_FIELDS,
    ),
    KeyKind(
        "api_keys",
        ":api_keys",
        RedisType.ZSET,
        Shard.ACCESS,
        meaning="All API keys, by creation time in µs.",
        lifetime="while there are keys",
    ),
    KeyKind(
        "api_keys_end",
        ":api_keys:end",
        RedisType.ZSET,
        Shard.ACCESS,
        meaning="All API keys, by the time in µs at which they end or have ended: infinite without an end.",
        lifetime="while there are keys",
    ),
    KeyKind(
        "api_key_changes",
        ":api_keys:changes",
        RedisType.CHANNEL,
        shard=None,
        meaning="The id of an API key that was revoked.",
        python_readers=("slipway.api_keys",),
    ),
)
