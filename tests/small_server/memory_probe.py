"""Samples the memory of a Redis, and counts the commands that it rejected because it was full."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline

SAMPLE_EVERY_S = 0.003


@dataclass(slots=True)
class MemoryProbe:
    """`peak` and `used` are bytes that Redis compares with `maxmemory`."""

    pipeline: Pipeline
    peak: int = 0
    used: int = 0
    samples: int = 0

    async def sample(self) -> int:
        """Measures once."""
        fields = await self._info("memory")
        self.used = fields["used_memory"] - fields.get("mem_not_counted_for_evict", 0)
        self.peak, self.samples = max(self.peak, self.used), self.samples + 1
        return self.used

    async def rejected(self) -> int:
        """How many commands Redis has rejected because it was full, since it started."""
        text = (await self.pipeline.send("INFO", "errorstats", repeatable=True)).decode()
        found = re.search(r"errorstat_OOM:count=(\d+)", text)
        return 0 if found is None else int(found[1])

    async def _info(self, section: str) -> dict[str, int]:
        text = (await self.pipeline.send("INFO", section, repeatable=True)).decode()
        return {name: int(value) for name, value in re.findall(r"^(\w+):(\d+)\r?$", text, re.MULTILINE)}


@asynccontextmanager
async def probing(url: str) -> AsyncIterator[MemoryProbe]:
    """Samples until the end of the block, over a connection of its own."""
    pipeline = ServerPipeline(Address(url), "memory probe", patience_s=30)
    await pipeline.open()
    probe = MemoryProbe(pipeline)

    async def sample() -> None:
        while True:
            await probe.sample()
            await asyncio.sleep(SAMPLE_EVERY_S)

    task = asyncio.create_task(sample(), name="memory probe")
    try:
        yield probe
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await pipeline.close()
