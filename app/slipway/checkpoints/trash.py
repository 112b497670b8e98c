"""The trash: deleted threads whose checkpoints are not deleted yet.

A script deletes the record of a thread atomically. It cannot delete the checkpoints in the same call, because their
number is unbounded. They are deleted afterwards: by the request that deletes the thread, by the duty `trash` of
workers, or by the request that creates the next thread of the same id. A thread is created only when no
checkpoint of an earlier thread of its id exists, and leftovers are deleted only while no thread of their id exists. So
every thread starts without checkpoints and never loses one of its own, even if a process dies at any point.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.checkpoints.scripts import TrashScripts
from slipway.errors import StoreUnavailable
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100

_Result = TypeVar("_Result")


class Trash:
    """The trash of one deployment. Any number of processes may empty it at the same time."""

    def __init__(self, pipeline: Pipeline, shards: Shards, checkpointer: BaseCheckpointer) -> None:
        self._shards, self._scripts = shards, TrashScripts(pipeline, shards)
        self._checkpointer = checkpointer

    async def create_after_emptying(
        self, thread_id: str, create: Callable[[], Awaitable[_Result | LeftoversExist]]
    ) -> _Result:
        """Returns the result of `create`. Each time it returns `LeftoversExist`, deletes the checkpoints that remain of
        an earlier thread with this id, and calls it again."""
        while True:
            result = await create()
            if not isinstance(result, LeftoversExist):
                return result
            if (deleted_us := await self._scripts.deleted_us_of(thread_id)) is not None:
                await self.remove(thread_id, deleted_us)

    async def remove(self, thread_id: str, deleted_us: bytes) -> None:
        """Deletes the checkpoints of a deleted thread, unless a thread of its id exists again."""
        await self._checkpointer.remove_leftovers(thread_id)
        await self._scripts.remove(thread_id, deleted_us)

    async def empty(self) -> None:
        """Deletes the checkpoints of the oldest entries of each shard. An interrupted deletion is repeated later. A
        thread that cannot be deleted is logged and skipped."""
        entries = await asyncio.gather(*(self._scripts.entries(keys, 0, _AT_ONCE) for keys in self._shards.threads))
        for thread_id, deleted_us in itertools.chain.from_iterable(entries):
            try:
                await self.remove(thread_id, deleted_us)
            except StoreUnavailable:
                raise
            except Exception:  # any reply of Redis about this thread
                log.exception("trash.delete_failed", thread=thread_id)
