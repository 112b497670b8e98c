"""The trash: removed threads, until their checkpoints are removed too.

Which thread is there is decided in one moment, by a script; how much its checkpoints are is not known then, so they are
removed afterwards, by whoever deletes the thread, by the workers' duty, or by whoever makes the next thread of the same
id. None is made while anything of the last one may be left, and nothing is removed while one is there. So each thread
begins empty, and keeps what is its own, whoever is killed at whatever moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from slipway.checkpoints.leftovers import Leftovers
from slipway.checkpoints.scripts import TrashScripts
from slipway.checkpoints.thread_saver import ThreadSaver
from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 100

_Result = TypeVar("_Result")


class Trash:
    """The trash of one deployment. Any number of processes may empty it at once."""

    def __init__(self, pipeline: Pipeline, keys: Keys, checkpointer: ThreadSaver) -> None:
        self._scripts, self._checkpointer = TrashScripts(pipeline, keys), checkpointer

    async def emptied_for(self, thread_id: str, make: Callable[[], Awaitable[_Result | Leftovers]]) -> _Result:
        """What `make` returns, once nothing of an earlier thread of this id is in its way."""
        while True:
            result = await make()
            if not isinstance(result, Leftovers):
                return result
            if (deleted_us := await self._scripts.deleted_us_of(thread_id)) is not None:
                await self.remove(thread_id, deleted_us)

    async def remove(self, thread_id: str, deleted_us: bytes) -> None:
        """Remove what a removed thread left, unless a thread of its id is there by now."""
        await self._checkpointer.remove_leftovers(thread_id)
        await self._scripts.forget(thread_id, deleted_us)

    async def empty(self) -> None:
        """Remove what the first removed threads left; what is cut short here is found again. One that cannot be
        removed does not keep the others from it."""
        for thread_id, deleted_us in await self._scripts.entries(0, _AT_ONCE):
            try:
                await self.remove(thread_id, deleted_us)
            except StoreUnavailable:
                raise
            except Exception:  # whatever the server says of this one
                log.exception("trash.kept", thread=thread_id)
