"""The keys of page sessions and stream tickets."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue.declarations import Encoding, Field, KeyKind, RedisType, Shard

_SESSION_FIELDS: Final = (
    Field("key_id", Encoding.TEXT, "The API key with which the person has signed in."),
    Field("until_us", Encoding.TIME_US, "When the session ends."),
)

KEY_KINDS: Final = (
    KeyKind(
        "page_session",
        ":page_session:%s",
        RedisType.HASH,
        Shard.ACCESS,
        meaning="One session of the pages, by SHA-256 of the id in the cookie.",
        lifetime="until it ends, or the person signs out",
        python_writers=("slipway.browser_access",),
        python_readers=("slipway.browser_access",),
        fields=_SESSION_FIELDS,
    ),
    KeyKind(
        "stream_ticket",
        ":stream_ticket:%s",
        RedisType.STRING,
        Shard.ACCESS,
        meaning="By SHA-256 of a ticket: the path and the user for whom it opens one stream, as JSON.",
        lifetime="30 s, or until it is used",
        python_writers=("slipway.browser_access",),
        python_readers=("slipway.browser_access",),
    ),
)
