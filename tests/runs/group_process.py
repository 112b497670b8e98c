"""A process with a worker that claims runs of several shards and ends each after a moment, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from slipway.redis.shards import Shards
from slipway.runs.group_exchange import GroupExchange
from slipway.runs.record import Run
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import opened

EXECUTES_S = 0.01


async def work(url: str, prefix: str, count: int, name: str) -> None:
    """Also performs the duty that continues exchanges, without the pauses."""
    async with opened(url, Shards(prefix, count).records) as stores:

        async def execute(ctx: dict[str, Any], run: Run, claim_sent_at: float) -> None:
            await asyncio.sleep(EXECUTES_S)
            await stores.settle(run)

        async with claiming_worker(url, stores, execute, name, max_runs=4):
            exchange = GroupExchange(stores.pipeline, stores.shards)
            while True:
                await asyncio.sleep(0.5)
                await exchange.continue_exchanges()
                for queue in stores.queues:
                    await queue.watch()


if __name__ == "__main__":
    _, url, prefix, count, name = sys.argv
    asyncio.run(work(url, prefix, int(count), name))
