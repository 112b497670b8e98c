"""Tries of webhooks are counted once each, by how they ended."""

from __future__ import annotations

import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL
from slipway.telemetry.table.people_metrics import WEBHOOK_TRIES
from slipway.webhooks.scripts import Delivered, GivenUp, TriedAgain, TryResult
from tests.metrics.stored_figures import stored_figures
from tests.webhooks.delivery_scripts import delivery_scripts, settled


@pytest.mark.one_shard("it looks into the queue of deliveries of one shard")
async def test_each_try_is_counted_once_by_its_result(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys)
    results: dict[str, TryResult] = {"a": Delivered(), "b": GivenUp("gone"), "c": TriedAgain("late", 60_000)}
    for name in results:
        await pipeline.send("HSET", keys.delivery(name), "tries", 0)
        await pipeline.send("ZADD", keys.deliveries, 0, name)
    assert len(await scripts.claim((EXTERNAL,), 9, 45_000)) == 3
    for _ in range(2):  # the reply to the first one was lost
        for name, result in results.items():
            await settled(scripts, name, 1, result)
    figures = await stored_figures(pipeline, keys)
    assert figures.values(WEBHOOK_TRIES) == {("delivered",): 1, ("dead",): 1, ("retried",): 1}
