"""A process that switches the graph `steps` off or on in eight shards: `python -m … URL PREFIX off|on`."""

from __future__ import annotations

import asyncio
import sys

from slipway import failpoints
from slipway.clock import Clock
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.shards import Shards
from slipway.switches.record import Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore

GRAPH = Target(Kind.GRAPH, "steps")


async def switch(url: str, prefix: str, to: str) -> None:
    """Switches it."""
    pipeline = pipeline_to(Address(url), "test switching", patience_s=5)
    await pipeline.open()
    store = SwitchStore(SwitchScripts(pipeline, Shards(prefix, 8)), Clock())
    await (store.switch_off(GRAPH, by="eve", reason="too many") if to == "off" else store.switch_on(GRAPH, by="bo"))
    await pipeline.close()


if __name__ == "__main__":
    failpoints.arm()
    asyncio.run(switch(*sys.argv[1:]))
