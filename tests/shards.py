"""Shards for tests that know only the keys."""

from __future__ import annotations

from slipway.redis.keys import Keys
from slipway.redis.shards import RecordKeys, Shards


def shards_of(keys: Keys) -> Shards:
    """The shards to which these keys belong."""
    return keys.shards if isinstance(keys, RecordKeys) else Shards(keys.prefix)
