"""Commands that a meter adds to the write groups of its attempt."""

from __future__ import annotations

from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand


def store_metered(keys: Keys, run_id: str, metered: str, revision: int) -> RedisCommand:
    """Stores what the chain has used of models and tools, unless something newer is stored."""
    return ("STORE_METERED", keys.run(run_id), metered, revision)
