"""What a superstep takes with each durability, on a primary with one replica.

python -m tests.replication.costs
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from slipway.graphs.registry import Registry
from slipway.services import open_services
from tests.replication.conftest import PROJECT
from tests.replication.pair import pair
from tests.replication.services import create_run, events_to_end, settings_of
from tests.worker import running_worker

SUPERSTEPS: Final = 100
CASES: Final = (
    ("always", "async", "memory", SUPERSTEPS),
    ("always", "sync", "memory", SUPERSTEPS),
    ("always", "replicated", "memory", SUPERSTEPS),
    ("always", "replicated", "disk", SUPERSTEPS),
    ("everysec", "async", "memory", SUPERSTEPS),
    ("everysec", "replicated", "memory", SUPERSTEPS),
    ("everysec", "replicated", "disk", 5),
)
"""The appendfsync of both servers, the durability, SLIPWAY_REPLICATED_ON, and how many supersteps a run has."""


async def measured(graphs: Registry, fsync: str, durability: str, on: str, supersteps: int, runs: int) -> float:
    """The seconds of a superstep, when `runs` runs execute at once."""
    async with pair("--appendfsync", fsync) as servers:
        settings = settings_of(servers.url, replicated_on=on, max_steps=1000)
        async with open_services(settings, graphs, "web") as web, running_worker(settings, graphs):
            first = await create_run(web, durability, supersteps=2)  # loads the scripts
            await events_to_end(web, first.run_id)
            began = time.monotonic()
            started = [await create_run(web, durability, supersteps=supersteps) for _ in range(runs)]
            await asyncio.gather(*(events_to_end(web, run.run_id) for run in started))
            return (time.monotonic() - began) / supersteps


async def main() -> None:
    graphs = await Registry.load(PROJECT)
    for case in CASES:
        alone, together = await measured(graphs, *case, runs=1), await measured(graphs, *case, runs=16)
        fsync, durability, on, _ = case
        name = f"{durability} ({on})" if durability == "replicated" else durability
        print(f"{fsync:9} {name:20} {alone * 1000:8.2f} ms   16 at once: {together * 1000:8.2f} ms", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
