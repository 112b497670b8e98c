"""Reserves in budgets, before a call is made or a run is created, and corrects them afterwards.

The budgets are in a shard of their own, and a run is in the shard of its thread. So a reservation is one script, and
what it is for is another:

1. reserve: all budgets of the call have room, and count it;
2. the call is made, or the run is created. If it is not, the reservation is released.

A process that is killed between the two leaves a reservation that nobody releases: a budget counts too much, and never
too little. Everything has a number by which a repetition is recognised.

The script cannot create deliveries of webhooks, which are in the shards of threads. It keeps an event for each new
state of a budget. Who reserved tells the webhook endpoints; if that process is killed, a duty of the workers does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from slipway.budget_counts.scripts import BudgetEventScripts, BudgetReservation, BudgetScripts, NoRoom
from slipway.errors import StoreUnavailable
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards

_EVENTS_AT_ONCE: Final = 1000
_AGAIN_S: Final = 0.5


class BudgetStore:
    """The budgets of a deployment, over one pipeline."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._shards, self._scripts = shards, BudgetScripts(pipeline, shards.limits)
        self._events = BudgetEventScripts(pipeline, shards)
        self._corrections: set[asyncio.Task[None]] = set()

    async def reserve(self, reservation: BudgetReservation) -> NoRoom | None:
        """Counts it in all budgets and returns None, or in none of them if one has no room. One round trip; more if a
        budget has a new state, of which webhook endpoints are told first. Raises `StoreUnavailable`: then it is unknown
        whether it is counted."""
        reply = self._scripts.reserve_reply(await self._scripts.reserve(reservation))
        if reply.has_events:
            await self.tell()
        return reply.refused

    async def release(self, reservation: BudgetReservation) -> None:
        """Takes back what was reserved. One round trip."""
        await self._scripts.release(reservation)

    def correct(self, reservation: BudgetReservation) -> asyncio.Task[None]:
        """Adds the `ended` of a reservation without entries, which is sent at once. If Redis is unavailable, it is sent
        again until Redis has it, or this is closed. The task ends then."""
        first = self._scripts.reserve(reservation)
        task = asyncio.get_running_loop().create_task(self._correct(reservation, first), name="budget correction")
        self._corrections.add(task)
        task.add_done_callback(self._corrections.discard)
        return task

    async def _correct(self, reservation: BudgetReservation, sent: asyncio.Future[Sequence[bytes]]) -> None:
        while True:
            try:
                await sent
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN_S)
                sent = self._scripts.reserve(reservation)  # counted once: it has the same revision
            else:
                return

    async def tell(self) -> int:
        """Tells webhook endpoints of all new states of budgets, each once. Returns of how many."""
        waiting = await self._scripts.events(_EVENTS_AT_ONCE)
        by_shard = defaultdict[int, list[bytes]](list)
        for name, event in waiting.items():
            by_shard[self._shards.number_of_run(event["run_id"])].append(name)
        told = list[bytes]()
        for names in by_shard.values():
            events = [waiting[name] for name in names]
            if await self._events.tell(events[0]["run_id"], events):
                told += names
        if told:
            await self._scripts.forget_events(told)
        return len(told)

    async def close(self, within_s: float = 1.0) -> None:
        """Waits until Redis has the corrections that were made, for `within_s` at most."""
        if self._corrections:
            await asyncio.wait(self._corrections, timeout=within_s)
        for task in list(self._corrections):
            task.cancel()
