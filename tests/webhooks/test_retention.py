"""How long deliveries are kept that were delivered, or that nobody accepted."""

from __future__ import annotations

import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL
from slipway.webhooks.scripts import Delivered, GivenUp, ReplayOutcome, TryResult
from tests.webhooks.delivery_scripts import delivery_scripts, settled

pytestmark = pytest.mark.one_shard("it looks into the queue of deliveries of one shard")


async def all_keys(pipeline: Pipeline, keys: Keys) -> set[bytes]:
    return set(await pipeline.send("KEYS", f"{keys.prefix}:*"))


@pytest.mark.parametrize(("result", "kept_s"), [(Delivered(), 500), (GivenUp("HTTP 410"), 900)])
async def test_ended_deliveries_are_kept_as_long_as_the_settings_say(
    pipeline: Pipeline, keys: Keys, result: TryResult, kept_s: int
) -> None:
    scripts = delivery_scripts(pipeline, keys, delivered_keep_s=500, dead_keep_s=900)
    await pipeline.send("HSET", keys.delivery("a"), "tries", 0, "type", "x", "owner", "o", "run_id", "r", "url", "u")
    await pipeline.send("ZADD", keys.deliveries, 1, "a")
    await scripts.claim((EXTERNAL,), 1, 60_000)
    await settled(scripts, "a", 1, result)
    seconds, _ = await pipeline.send("TIME")
    until_s = float(await pipeline.send("ZSCORE", keys.deliveries_expiring, "a")) / 1000
    assert kept_s - 2 <= until_s - int(seconds) <= kept_s + 2
    assert await scripts.sweep(10) == 0
    await pipeline.send("ZADD", keys.deliveries_expiring, 1, "a")
    assert await scripts.sweep(10) == 1
    assert await all_keys(pipeline, keys) - {keys.pending_counts.encode()} == set(), "nothing is left but its count"


async def test_a_replayed_delivery_is_kept(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys, dead_keep_s=0)
    await pipeline.send("HSET", keys.delivery("a"), "tries", 0, "url", "u")
    await pipeline.send("ZADD", keys.deliveries, 1, "a")
    await scripts.claim((EXTERNAL,), 1, 60_000)
    await settled(scripts, "a", 1, GivenUp("HTTP 500"))
    assert await scripts.replay(["a", "b"]) == [ReplayOutcome.REPLAYED, ReplayOutcome.MISSING]
    assert await scripts.sweep(10) == 0
    (again,) = await scripts.claim((EXTERNAL,), 1, 60_000)
    assert again.fields["tries"] == b"2"
    assert await scripts.replay(["a"]) == [ReplayOutcome.CALLING]
