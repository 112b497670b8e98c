"""What a deployment needs to store its data in a cluster."""

from __future__ import annotations

from slipway.errors import ConfigError
from slipway.redis.connection import Address
from slipway.redis.shards import Shards


def check_shards(address: Address, shards: Shards) -> None:
    """Raises `ConfigError` if a cluster cannot divide the data: scripts use keys of one shard, and all keys of a shard
    must be in one slot."""
    if address.is_cluster and not shards.tagged:
        raise ConfigError(
            f"Redis at {address} is a cluster, which cannot divide the one shard of this deployment: set "
            "SLIPWAY_SHARDS, such as 64, or use one server"
        )
