"""Finds due jobs that nobody claims, and says in all shards which workers are live.

Interval: 1 s. One round looks at the queue of each shard. If a due job waits, it wakes a worker that waits for jobs of
the shard; if none does, this worker claims from the shard itself as soon as it has a free slot. A job waits like this
if the worker that was woken for it has died, or its connection was lost without notice.

With several shards, a round also reads from the first one which workers claim runs and what they serve, and replaces
the lists in the others when these have changed, and before they expire. The heartbeat of a worker that starts or stops
claiming tells all shards at once; this duty removes the workers that died.
Who: one worker at a time.
Logs: nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.redis.per_shard import PerShard
from slipway.runs.leases import COPY_LISTED_MS
from slipway.runs.queue_scripts import LiveGroups, QueueScripts
from slipway.services import Services

INTERVAL_S: Final = 1.0
COPY_AGAIN_S: Final = COPY_LISTED_MS / 1000 / 3


class QueueWatch(ExclusiveDuty):
    """One round looks at every shard."""

    name = "queue_watch"

    def __init__(self, services: Services) -> None:
        super().__init__(services, INTERVAL_S)
        assert services.control_channels is not None
        channels = services.control_channels
        self._round = QueueRound(services.queues, lambda shard: channels.on_wake(shard, False))

    async def run_once(self) -> None:
        await self._round.run()


class QueueRound:
    """What a round does. `wake_self` wakes this worker for a shard."""

    def __init__(self, queues: PerShard[QueueScripts], wake_self: Callable[[int], None]) -> None:
        self._queues, self._wake_self = queues, wake_self
        self._copied: LiveGroups | None = None
        self._copy_at = 0.0

    async def run(self) -> None:
        """Looks at all shards. Raises the error of one that is unavailable when the others are done."""
        results = await asyncio.gather(*map(self._watch, range(len(self._queues))), return_exceptions=True)
        await self._copy_live_groups()
        for result in results:
            if result is not None:
                raise result

    async def _watch(self, shard: int) -> None:
        if await self._queues[shard].watch():
            self._wake_self(shard)

    async def _copy_live_groups(self) -> None:
        first, *others = self._queues
        if not others:
            return
        live = await first.live_groups()
        if live == self._copied and time.monotonic() < self._copy_at:
            return
        await asyncio.gather(*(each.copy_live_groups(live, for_ms=COPY_LISTED_MS) for each in others))
        self._copied, self._copy_at = live, time.monotonic() + COPY_AGAIN_S
