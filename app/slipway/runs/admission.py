"""Admission: whether the memory of Redis has room for what a request stores.

`redis/lua/lib/admission.lua` decides, and describes how. Far below the high-water mark, the script that admits a
request also gives the process a credit: bytes that it may store without asking again. So in most requests nothing is
checked, and near the mark everything is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.queue_scripts import QueueScripts

CREDIT_S: Final = 0.25
"""Seconds for which a credit is valid."""

BIG_BYTES: Final = 64 * 1024
"""A body of this size is admitted before it is sent to Redis, because even a request that a script rejects takes
memory while it is received."""

STORED_FACTOR: Final = 3
"""The memory that Redis needs for a byte of a body, at most: it may be stored in several forms."""


class Admission:
    """Admits the requests of one process. `mark` is the part of Redis's memory above which requests are rejected. Each
    shard of threads has a credit of its own: the shards of a cluster are on several servers."""

    def __init__(self, pipeline: Pipeline, queues: PerShard[QueueScripts], mark: float) -> None:
        self._pipeline, self._queues, self.mark = pipeline, queues, mark
        self._credits = [_Credit() for _ in queues]

    @property
    def sharing(self) -> int:
        """How many shards share a server."""
        return shards_on_a_server(self._pipeline, self._queues.shards)

    def spend(self, bytes_to_store: int, shard: int) -> bool:
        """Whether the credit of this process covers these bytes. If so, they are subtracted from it."""
        return self._credits[shard].spend(bytes_to_store)

    def add_credit(self, credit_bytes: int, shard: int) -> None:
        """Replaces the credit by one that Redis has just given."""
        self._credits[shard] = _Credit(credit_bytes, time.monotonic() + CREDIT_S)

    async def admit(self, body_bytes: int, shard: int = 0) -> None:
        """Raises `Overloaded` if memory has no room for what a request with this body stores. Takes one round trip,
        none if the credit covers it. What belongs to no shard of threads is admitted by the first."""
        bytes_to_store = STORED_FACTOR * body_bytes
        if not self.spend(bytes_to_store, shard):
            admitted = self._queues[shard].memory_admit(self.mark, bytes_to_store, sharing=self.sharing)
            self.add_credit(await admitted, shard)


def shards_on_a_server(pipeline: Pipeline, shards: Shards) -> int:
    """How many shards of threads share the memory of one server."""
    return math.ceil(shards.count / max(len(pipeline.servers), 1))


@dataclass(slots=True)
class _Credit:
    """Bytes of one shard that this process may store, until a time of the monotonic clock."""

    credit_bytes: int = 0
    until: float = 0.0

    def spend(self, bytes_to_store: int) -> bool:
        if bytes_to_store > self.credit_bytes or time.monotonic() > self.until:
            return False
        self.credit_bytes -= bytes_to_store
        return True
