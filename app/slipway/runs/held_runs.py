"""Tries runs that are held again, when something has changed that decides about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from slipway.graphs.version_choice import VersionChoice
from slipway.redis.per_shard import PerShard
from slipway.runs.queue_scripts import QueueScripts

_RUNS_A_CALL: Final = 100


class HeldRuns:
    """The runs whose threads no version may continue. `versions_served` and `rollout_changed` only note what has
    happened; the duty `paused_runs` calls `try_again`. `choices` returns the choice of each graph that this process
    has: a run gets its version anew, because the one that it had may not be served any more."""

    def __init__(self, queues: PerShard[QueueScripts], choices: Callable[[], Mapping[str, VersionChoice]]) -> None:
        self._queues, self._choices = queues, choices
        self._reason: str | None = None

    def versions_served(self) -> None:
        """Code is served that no live worker has served until now."""
        self._reason = self._reason or "other code is served"

    def rollout_changed(self) -> None:
        """Other versions may be chosen."""
        self._reason = "a rollout has changed"

    async def try_again(self) -> int:
        """Queues the runs that were held before, if there is a reason. Returns how many."""
        reason, self._reason = self._reason, None
        if reason is None:
            return 0
        choices = self._choices()
        return sum(await asyncio.gather(*(_try_again(queue, reason, choices) for queue in self._queues)))


async def _try_again(queue: QueueScripts, reason: str, choices: Mapping[str, VersionChoice]) -> int:
    total, until = await queue.held_retry(_RUNS_A_CALL, reason, choices=choices)
    while until is not None:
        queued, until = await queue.held_retry(_RUNS_A_CALL, reason, choices=choices, until_ms=until)
        total += queued
    return total
