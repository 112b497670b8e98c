"""A process that reserves in a budget and corrects it, as attempts do, until it is killed. It prints what each finished
call has used when Redis has confirmed its correction."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

from slipway.budget_counts.scripts import BudgetedRun, BudgetReservation
from slipway.budget_counts.store import BudgetStore
from slipway.redis.connection import Address
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shards import Shards

RESERVED, USED = 10, 7
"""What each call reserves, and what it has used when it ends."""


async def reserve_until_killed(url: str, prefix: str, count: int, budget_id: str, limit: int, ends_ms: int) -> None:
    """Each call is made by an attempt of its own, at a run of any shard."""
    pipeline = ServerPipeline(Address(url), "reserving process", patience_s=30)
    await pipeline.open()
    store = BudgetStore(pipeline, Shards(prefix, count))

    async def call() -> bool:
        run_id = str(uuid4())
        run = BudgetedRun(run_id, "steps", '"ann"')
        entry = (budget_id, "tokens", RESERVED, limit, ends_ms)
        if await store.reserve(BudgetReservation(run, run_id, 1, 1, [entry])) is not None:
            return False
        print("made", flush=True)
        correction = (budget_id, "tokens", USED - RESERVED, limit, ends_ms)
        await store.correct(BudgetReservation(run, run_id, 2, 2, [], [correction]))
        print("ended", flush=True)
        return True

    while all(await asyncio.gather(*(call() for _ in range(4)))):
        pass
    print("refused", flush=True)


if __name__ == "__main__":
    _, url, prefix, count, budget_id, limit, ends_ms = sys.argv
    asyncio.run(reserve_until_killed(url, prefix, int(count), budget_id, int(limit), int(ends_ms)))
