"""The read stubs of the indexes of threads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from slipway.redis.read_stubs import ReadStubs

_PAGE: Final = 100
"""Threads that are read at a time when all of them are."""


class ThreadIndexReads(ReadStubs):
    """Reads the indexes of one shard. One round trip for each page."""

    async def page_of_ids(self, position: str) -> tuple[list[str], str]:
        """About `_PAGE` threads, and the position of the next page: `0` after the last one. Threads that exist during
        all pages are in one of them; any may come twice."""
        following, members = await self._pipeline.send(
            "ZSCAN", self._keys.threads, position, "COUNT", _PAGE, repeatable=True
        )
        return [name.decode() for name in members[::2]], following.decode()

    async def members_of_set(self, name: str) -> AsyncIterator[list[str]]:
        """The threads in the set of a term or a status."""
        async for ids in self._members("ZSCAN", self._keys.threads_with(name), _PAGE):
            yield ids

    async def ids_missing_in_updates(self) -> AsyncIterator[list[str]]:
        """Threads that are in the order of ids, but not in that of updates."""
        async for ids in self._members("ZSCAN", self._keys.threads_ids, _PAGE):
            if ids:
                scores = await self._pipeline.send("ZMSCORE", self._keys.threads, *ids, repeatable=True)
                if missing := [thread_id for thread_id, score in zip(ids, scores, strict=True) if score is None]:
                    yield missing

    async def changed_since(self, since_us: int) -> AsyncIterator[list[str]]:
        """Threads that have changed since, the last one first."""
        key, first = self._keys.threads, 0
        last = int(await self._pipeline.send("ZCOUNT", key, since_us, "+inf", repeatable=True))
        while first < last:
            yield await self._ids(key, first, min(first + _PAGE, last) - 1, descending=True)
            first += _PAGE
