"""How many keys Redis has."""

from __future__ import annotations

import asyncio

from slipway.redis.pipeline import Pipeline


async def number_of_keys(pipeline: Pipeline) -> int:
    """The keys of all servers, also those of other deployments. One round trip."""
    servers = pipeline.servers.values()
    return sum(await asyncio.gather(*(server.send("DBSIZE", repeatable=True) for server in servers)))
