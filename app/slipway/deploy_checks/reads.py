"""Reads what a deploy check needs to know of the records of all threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from slipway.graph_versions.pin import PIN_FIELDS, pin_of
from slipway.redis.hash_fields import METADATA_PREFIX
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.shard_pages import pages_of_all
from slipway.redis.shards import Shards

PAGE: Final = 500
"""Threads that are read and checked at a time."""

_FIELDS: Final = ("status", f"{METADATA_PREFIX}graph_id", *PIN_FIELDS)


@dataclass(frozen=True, slots=True)
class CheckedThread:
    """A thread of a graph. `version` and `schema` are those of its pin, empty if they are not known."""

    thread_id: str
    graph_id: str
    status: str
    version: str = ""
    schema: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a run of it is queued, executes, is paused or waits for an answer."""
        return self.status in ("busy", "interrupted")


class DeployCheckReads:
    """Reads all shards at once. Reads only."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._shards = PerShard(shards, partial(_ShardReads, pipeline))

    async def number_of_threads(self) -> int:
        """One round trip."""
        return sum(await asyncio.gather(*(shard.number_of_threads() for shard in self._shards)))

    async def pages(self) -> AsyncIterator[list[CheckedThread | None]]:
        """All threads, at most `PAGE` at a time, each once; None for one that has no graph yet or was deleted
        meanwhile. Two round trips for a page of each shard. Threads that are created meanwhile may be missing."""
        async for page in pages_of_all(shard.pages() for shard in self._shards):
            yield page


class _ShardReads(ReadStubs):
    """Reads one shard."""

    async def number_of_threads(self) -> int:
        return int(await self._pipeline.send("ZCARD", self._keys.threads, repeatable=True))

    async def pages(self) -> AsyncIterator[list[CheckedThread | None]]:
        """See `DeployCheckReads`."""
        seen: set[str] = set()
        async for names in self._members("ZSCAN", self._keys.threads, PAGE):
            new = [name for name in dict.fromkeys(names) if name not in seen]
            seen.update(new)
            yield list(await asyncio.gather(*map(self._thread, new)))

    async def _thread(self, thread_id: str) -> CheckedThread | None:
        key = self._keys.thread(thread_id)
        status, graph_id, *pin = await self._pipeline.send("HMGET", key, *_FIELDS, repeatable=True)
        if status is None or graph_id is None:
            return None
        name = str(orjson.loads(graph_id))
        pinned = pin_of(name, *pin)
        return CheckedThread(thread_id, name, status.decode(), pinned.version, pinned.schema)
