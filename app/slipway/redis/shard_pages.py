"""Reads pages in several shards at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Page = TypeVar("Page")


async def pages_of_all(shards: Iterable[AsyncIterator[Page]]) -> AsyncIterator[Page]:
    """The pages that each shard yields, in any order. One page of each shard is read at a time, all at once."""
    reading = list(shards)
    while reading:
        if len(reading) == 1:  # nothing is read before it is needed
            async for page in reading[0]:
                yield page
            return
        pages = await asyncio.gather(*(_next(shard) for shard in reading))
        reading = [shard for shard, page in zip(reading, pages, strict=True) if page]
        for found in pages:
            for page in found:
                yield page


async def _next(pages: AsyncIterator[Page]) -> list[Page]:
    """The next page, nothing at the end."""
    try:
        return [await anext(pages)]
    except StopAsyncIteration:
        return []
