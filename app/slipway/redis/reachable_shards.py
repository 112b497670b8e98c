"""Calls to several shards, some of whose nodes may be unavailable: the shards that reply are not held up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

from slipway.errors import StoreUnavailable

T = TypeVar("T")

REPLY_WITHIN_S: Final = 2.0
"""A shard that does not reply within this time counts as unavailable. A failover of its node takes longer."""


async def within_time(reply: Awaitable[T]) -> T:
    """The result. Raises `StoreUnavailable` after `REPLY_WITHIN_S`."""
    try:
        async with asyncio.timeout(REPLY_WITHIN_S):
            return await reply
    except TimeoutError:
        raise StoreUnavailable(f"no reply within {REPLY_WITHIN_S:g} s") from None


async def from_reachable(calls: Mapping[int, Awaitable[T]]) -> dict[int, T]:
    """The results of calls by number of the shard, all at the same time, without those of shards that are unavailable.
    Raises other errors."""
    results = await asyncio.gather(*map(within_time, calls.values()), return_exceptions=True)
    found = {}
    for number, result in zip(calls, results, strict=True):
        if isinstance(result, BaseException):
            if not isinstance(result, StoreUnavailable):
                raise result
        else:
            found[number] = result
    return found
