"""The shard that counts the calls of targets does not reply: deliveries wait, and none is lost or counted as tried."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from slipway.clock import Clock
from slipway.errors import StoreUnavailable
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.delivery_queues import EXTERNAL
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from slipway.webhooks.scripts import Delivered, DeliveryScripts, TargetHealth
from tests.shared_records.sharded_runs import ShardedRuns
from tests.two_servers import TwoServers, two_servers
from tests.webhooks.delivery_scripts import LIMITS, settled


@pytest.fixture
def shards() -> Shards:
    """Eight shards with a key prefix for this test only."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", 8)


@pytest.fixture
async def servers(pipeline: Pipeline, shards: Shards) -> AsyncIterator[TwoServers]:
    """The shard of the targets is on a second server."""
    async with two_servers(pipeline, (shards.targets.prefix,)) as servers:
        yield servers


async def test_deliveries_wait_while_the_shard_of_the_targets_does_not_reply(
    servers: TwoServers, shards: Shards
) -> None:
    both = servers.both
    runs = ShardedRuns.on(both, shards)
    store = EndpointStore(EndpointScripts(both, shards), Clock(), lambda url: None, ["steps"])
    change = EndpointChange(url="https://e.example/", types=["run.queued"], concurrency=20)
    target = (await store.add(change, by="ann")).endpoint.endpoint_id
    scripts = DeliveryScripts(both, shards, LIMITS, look_every_ms=60_000)
    await runs.create(5)
    (called,) = await scripts.claim((EXTERNAL,), 9, 60_000)
    created = [await runs.create(number) for number in (0, 3, 3)]
    for run in created:
        scripts.may_be_due(run.run_id)
    async with servers.second_suspended():
        assert await scripts.claim((EXTERNAL,), 9, 60_000) == []
        waiting = [await servers.first.send("ZCARD", keys.parked_deliveries(target)) for keys in shards.threads]
        assert waiting == [1, 0, 0, 2, 0, 0, 0, 0]
        answered = TargetHealth(answered=True)
        assert (await settled(scripts, called.delivery_id, called.try_number, Delivered(), answered)).stored
        with pytest.raises(StoreUnavailable):
            await DeliveryScripts(both, shards, LIMITS).claim((EXTERNAL,), 9, 60_000)
    found = []
    for _ in created:  # as if the time had come to ask again; each time one of a shard asks
        for keys, run in [(shards.of_run(run.run_id), run) for run in created]:
            await servers.first.send("ZADD", keys.parked_targets, "XX", 0, target)
            scripts.may_be_due(run.run_id)
        found += await scripts.claim((EXTERNAL,), 9, 60_000)
    assert {each.fields["run_id"].decode() for each in found} == {run.run_id for run in created}
    assert [each.try_number for each in found] == [1, 1, 1]
