"""The health of the workers of one host, as arq records it and as `arq --check` reads it: a text with an expiry.

A health check asks for the workers of its own container, so the key has the name of the host. One live worker on the
host is enough."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.stop_times import HEALTH_RECORD_WITHIN_S


def health_key(keys: Keys) -> str:
    """The key of the workers of this host."""
    return keys.worker_health(platform.node())


class WorkerHealth:
    """What arq's `Worker` calls on its redis-py client to record its health and to delete the record, on a pipeline."""

    def __init__(self, pipeline: Pipeline, shards: Shards, worker_id: str) -> None:
        self._pipeline, self._shards, self._worker_id = pipeline, shards, worker_id
        self.key = health_key(shards.processes)
        self.pending: Callable[[], Sequence[int]] = lambda: range(shards.count)
        """The numbers of the shards that may have due jobs, as the worker knows."""

    async def zcard(self, queue: str) -> int:
        """The number of due jobs that wait for this worker, crash suspects included. The name `queue` is not used."""
        shards = [self._shards.threads[number] for number in self.pending()]
        names = [name for keys in shards for name in (keys.queue, keys.suspect_queue)]
        return sum(await asyncio.gather(*(self._pipeline.send("ZCARD", name, repeatable=True) for name in names)))

    async def psetex(self, key: str, lifetime_ms: int, value: bytes) -> None:
        """Records the health, until it expires."""
        await self._pipeline.send("PSETEX", key, lifetime_ms, value, repeatable=True)

    async def delete(self, key: str) -> None:
        """Deletes the record, unless another worker of this host is live. Without a reply from Redis in time, the
        record stays until it expires."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(HEALTH_RECORD_WITHIN_S):
                live = await self._pipeline.send("ZRANGE", self._shards.processes.workers, 0, -1, repeatable=True)
                if not any(self._is_other_of_this_host(worker.decode()) for worker in live):
                    await self._pipeline.send("DEL", key, repeatable=True)

    async def close(self, *, close_connection_pool: bool) -> None:
        """Does nothing: the pipeline belongs to the process."""

    def _is_other_of_this_host(self, worker_id: str) -> bool:
        return worker_id != self._worker_id and worker_id.startswith(f"{platform.node()}:")
