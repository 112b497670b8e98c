"""The shards of a deployment, from its settings."""

from __future__ import annotations

from slipway.redis.connection import Address
from slipway.redis.shards import Shards
from slipway.settings import CLUSTER_SHARDS, Settings


def shards_of(settings: Settings) -> Shards:
    """The shards of the deployment with these settings. Raises `ConfigError` for an address of Redis that is wrong."""
    count = settings.shards
    if count is None:
        # without an address, `slipway dev` starts a server, which is no cluster
        is_cluster = settings.redis_url is not None and Address(settings.redis).is_cluster
        count = CLUSTER_SHARDS if is_cluster else 1
    return Shards(settings.key_prefix, count)
