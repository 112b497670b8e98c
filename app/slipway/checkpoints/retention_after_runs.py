"""Applies the retention of checkpoints to the thread of each run that ends in this process, in the background.

If the process dies before, the retention is applied when the next run of the thread ends, or by `slipway checkpoints
prune`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import StoreUnavailable

log = structlog.get_logger(__name__)


class RetentionAfterRuns:
    """`keep_of` returns how many of the last checkpoints of a graph's threads are kept, None for all. Threads are
    handled one after the other, each once although several of its runs have ended."""

    def __init__(self, checkpointer: BaseCheckpointer, keep_of: Callable[[str], int | None]) -> None:
        self._checkpointer, self._keep_of = checkpointer, keep_of
        self._waiting: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def run_ended(self, thread_id: str, graph_id: str) -> None:
        """Returns at once."""
        keep = self._keep_of(graph_id)
        if keep is None:
            return
        self._waiting[thread_id] = keep
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="retention of checkpoints")

    async def close(self) -> None:
        """Stops after the step in progress."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._waiting:
            thread_id, keep = self._waiting.popitem()
            try:
                await self._checkpointer.retain(thread_id, keep)
            except StoreUnavailable as error:
                log.warning("checkpoints.not_pruned", thread=thread_id, problem=str(error))
            except Exception:
                log.exception("checkpoints.prune_failed", thread=thread_id)
