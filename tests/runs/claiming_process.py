"""A process whose worker claims runs and holds them until it is killed.

`python -m tests.runs.claiming_process URL PREFIX SHARDS NAME` writes a line when it waits for jobs of every shard."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from slipway.redis.shards import Shards
from slipway.runs.record import Run
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import opened
from tests.waiting import wait_until


async def _hold(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
    await asyncio.Event().wait()


async def _main(url: str, prefix: str, shards: int, name: str) -> None:
    async with (
        opened(url, Shards(prefix, shards).records) as stores,
        claiming_worker(url, stores, _hold, name) as claiming,
    ):
        await wait_until(lambda: claiming.health.pending() == (), beside=claiming.task)
        sys.stdout.write("waits\n")
        sys.stdout.flush()
        await claiming.task


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
