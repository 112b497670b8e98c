"""The scripts for whole threads: copying one, removing or shrinking those whose time is over, emptying the trash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ormsgpack

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.runs.scripts import Fields, Ttl, fields

_COPY = load("thread_copy", repeatable=True)
_SWEEP = load("thread_sweep", repeatable=True)
_FORGET = load("trash_forget", repeatable=True, prelude=False)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: threads it deleted, threads whose checkpoints are to be shrunk, each with its time of
    creation, and how many were busy."""

    deleted: list[str]
    shrink: list[tuple[str, str]]
    busy: int


class ThreadScripts:
    """On one pipeline, under one prefix; one round trip a call."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    def _args(self, **arguments: object) -> tuple[str, bytes]:
        return self._keys.prefix, ormsgpack.packb(arguments)

    async def copy(
        self, source: str, thread_id: str, token: str, ttl: Ttl | None, metadata: dict[str, str] | None = None
    ) -> tuple[str, Fields]:
        """("ok" or "exists", fields of the new thread), ("missing", {}), or ("leftovers", {}) when those of a removed
        thread must go first."""
        args = self._args(source=source, thread_id=thread_id, token=token, ttl=ttl, metadata=metadata)
        reply = await self._pipeline.run(_COPY, [], args)
        return reply[0].decode(), fields(reply[1]) if len(reply) > 1 else {}

    async def sweep(self, limit: int, shrunk: Sequence[tuple[str, str]] = ()) -> Swept:
        """At most `limit` threads whose time is over."""
        deleted, shrink, busy = await self._pipeline.run(_SWEEP, [], self._args(limit=limit, shrunk=list(shrunk)))
        words = iter(word.decode() for word in shrink)
        return Swept([name.decode() for name in deleted], list(zip(words, words, strict=True)), int(busy))

    async def removed(self, first: int, limit: int) -> list[tuple[str, bytes]]:
        """Removed threads that may have left something, from the `first`, each with its place in the trash."""
        trash = self._keys.trash
        found = await self._pipeline.send("ZRANGE", trash, first, first + limit - 1, "WITHSCORES", repeatable=True)
        return [(name.decode(), place) for name, place in zip(found[::2], found[1::2], strict=True)]

    async def place_in_trash(self, thread_id: str) -> bytes | None:
        """When a thread was removed that may have left something."""
        place: bytes | None = await self._pipeline.send("ZSCORE", self._keys.trash, thread_id, repeatable=True)
        return place

    async def forget_removed(self, thread_id: str, place: bytes) -> None:
        """Nothing of a removed thread is left: its id is free, unless another thread of this id was removed since."""
        await self._pipeline.run(_FORGET, [self._keys.trash], [thread_id, place])
