"""The scripts of deliveries with limits for tests, and a short way to end a try."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.webhooks.limits import Limits
from slipway.webhooks.scripts import DeliveryScripts, Settled, TargetHealth, TryResult
from slipway.webhooks.try_record import TryRecord
from tests.shards import shards_of

LIMITS: Final = Limits(concurrency=4, disable_after_s=432_000, delivered_keep_s=3600, dead_keep_s=7200)


def delivery_scripts(pipeline: Pipeline, keys: Keys, **limits: int) -> DeliveryScripts:
    """`limits` replace those of `LIMITS`."""
    return DeliveryScripts(pipeline, shards_of(keys), replace(LIMITS, **limits))


async def settled(
    scripts: DeliveryScripts, delivery_id: str, number: int, result: TryResult, health: TargetHealth | None = None
) -> Settled:
    """Stores how a try ended, with a record that nobody looks at."""
    return await scripts.settle_try(delivery_id, number, result, TryRecord(number, 1_000_000), health)
