"""The shard that counts the calls of targets does not reply: deliveries wait, and none is lost or counted as tried."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from slipway.clock import Clock
from slipway.errors import StoreUnavailable
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address, Arg
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.shards import Shards
from slipway.runs.delivery_queues import EXTERNAL
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from slipway.webhooks.scripts import Delivered, DeliveryScripts, TargetHealth
from tests.embedded_valkey import embedded_valkey
from tests.shared_records.sharded_runs import ShardedRuns
from tests.webhooks.delivery_scripts import LIMITS, settled


@dataclass(frozen=True, slots=True)
class TargetsApart:
    """The shard of the targets is on a second server, as a slot of a cluster may be."""

    first: Pipeline
    second: Pipeline
    targets: str

    @property
    def servers(self) -> Mapping[str, Pipeline]:
        return {"first": self.first, "second": self.second}

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        return self._of(at or str(args[1])).send(*args, repeatable=repeatable, at=at)

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        return self._of(str(args[0])).run(script, keys, args, may_be_overtaken=may_be_overtaken)

    def _of(self, name: str) -> Pipeline:
        return self.second if name.startswith(self.targets) else self.first


@pytest.fixture
def shards() -> Shards:
    """Eight shards with a key prefix for this test only."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", 8)


@pytest.fixture
def second_url() -> Iterator[str]:
    """A second Valkey."""
    with embedded_valkey() as url:
        yield url


@pytest.fixture
async def servers(pipeline: Pipeline, second_url: str, shards: Shards) -> AsyncIterator[TargetsApart]:
    """Both servers."""
    second = pipeline_to(Address(second_url), "test", patience_s=30)
    await second.open()
    try:
        yield TargetsApart(pipeline, second, shards.targets.prefix)
    finally:
        await second.close()


async def test_deliveries_wait_while_the_shard_of_the_targets_does_not_reply(
    servers: TargetsApart, shards: Shards
) -> None:
    both = cast(Pipeline, servers)
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
    server = int((await servers.second.send("INFO", "server")).split(b"process_id:")[1].split()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        assert await scripts.claim((EXTERNAL,), 9, 60_000) == []
        waiting = [await servers.first.send("ZCARD", keys.parked_deliveries(target)) for keys in shards.threads]
        assert waiting == [1, 0, 0, 2, 0, 0, 0, 0]
        answered = TargetHealth(answered=True)
        assert (await settled(scripts, called.delivery_id, called.try_number, Delivered(), answered)).stored
        with pytest.raises(StoreUnavailable):
            await DeliveryScripts(both, shards, LIMITS).claim((EXTERNAL,), 9, 60_000)
    finally:
        os.kill(server, signal.SIGCONT)
    found = []
    for _ in created:  # as if the time had come to ask again; each time one of a shard asks
        for keys, run in [(shards.of_run(run.run_id), run) for run in created]:
            await servers.first.send("ZADD", keys.parked_targets, "XX", 0, target)
            scripts.may_be_due(run.run_id)
        found += await scripts.claim((EXTERNAL,), 9, 60_000)
    assert {each.fields["run_id"].decode() for each in found} == {run.run_id for run in created}
    assert [each.try_number for each in found] == [1, 1, 1]
