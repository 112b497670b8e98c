"""What the commands that change stored checkpoints work with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.factory import open_checkpointer, serde_of
from slipway.checkpoints.requirements import CheckpointerName
from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import read
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.serde import Serde
from slipway.settings import Settings


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One connection to Redis, and the serializer, which preserves objects whose classes are unknown."""

    settings: Settings
    pipeline: Pipeline
    shards: Shards
    serde: Serde

    async def checkpointer(self, name: CheckpointerName) -> BaseCheckpointer:
        """Raises `ConfigError` when Redis lacks the modules that the checkpointer needs."""
        return await open_checkpointer(name, self.settings, self.serde, self.pipeline, self.shards)


@asynccontextmanager
async def maintenance(settings: Settings, graphs: Graphs, client_name: str) -> AsyncIterator[Maintenance]:
    """Opens the connection, under this name. Raises `ConfigError` if the data do not have the layout of this release,
    and `StoreUnavailable`."""
    pipeline, shards = (
        pipeline_to(Address(settings.redis), client_name, patience_s=settings.redis_patience_worker_s),
        shards_of(settings),
    )
    serde = serde_of(settings, read(settings.config).checkpointer.serde, graphs, preserve_unknown=True)
    await pipeline.open()
    try:
        await LayoutRecord(pipeline, shards).check()
        yield Maintenance(settings, pipeline, shards, serde)
    finally:
        await pipeline.close()
