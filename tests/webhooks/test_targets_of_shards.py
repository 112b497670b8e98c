"""The limits of a target hold for the deliveries of eight shards together, whoever claims them and whoever dies."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from slipway.clock import Clock
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.delivery_queues import EXTERNAL
from slipway.webhook_endpoints.record import Endpoint, State
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from slipway.webhooks.claim_shards import ClaimShards
from slipway.webhooks.delivery_reads import DeliveryReads, TargetReads
from slipway.webhooks.scripts import Delivered, DeliveryScripts, GivenUp, TargetHealth, TriedAgain
from slipway.webhooks.shared_targets import SharedTargets
from slipway.webhooks.target_scripts import ClaimedDelivery, TargetScripts
from tests.environment import PYTHON_PATH, bare_environment
from tests.shared_records.sharded_runs import ShardedRuns
from tests.waiting import Eventually, wait_until
from tests.webhooks.conftest import Receiver
from tests.webhooks.delivery_scripts import LIMITS, settled

SHARDS: Final = 8
LEASE_MS: Final = 60_000
FAILED: Final = TargetHealth(answered=False)
ANSWERED: Final = TargetHealth(answered=True)
GONE: Final = TargetHealth(answered=False, gone=True)


@pytest.fixture
def shards() -> Shards:
    """Eight shards with a key prefix for this test only."""
    return Shards(f"test-{uuid.uuid4().hex[:12]}", SHARDS)


@pytest.fixture
def runs(pipeline: Pipeline, shards: Shards) -> ShardedRuns:
    """Runs in every shard."""
    return ShardedRuns.on(pipeline, shards)


def store_of(runs: ShardedRuns) -> EndpointStore:
    return EndpointStore(EndpointScripts(runs.pipeline, runs.shards), Clock(), lambda url: None, ["steps"])


async def endpoint(runs: ShardedRuns, concurrency: int, url: str = "https://e.example/") -> Endpoint:
    """An endpoint that is told of each run that is created."""
    change = EndpointChange(url=url, types=["run.queued"], concurrency=concurrency)
    return (await store_of(runs).add(change, by="ann")).endpoint


def process(runs: ShardedRuns) -> DeliveryScripts:
    """The scripts of one process, which looks at all shards in each round."""
    return DeliveryScripts(runs.pipeline, runs.shards, LIMITS, look_every_ms=0)


async def claim(scripts: DeliveryScripts, limit: int = 100) -> list[ClaimedDelivery]:
    return await scripts.claim((EXTERNAL,), limit, LEASE_MS)


async def end(scripts: DeliveryScripts, delivery: ClaimedDelivery, health: TargetHealth) -> str | None:
    """The try is settled. Returns why the endpoint was disabled by it."""
    result = Delivered() if health.answered else TriedAgain("HTTP 500", 3_600_000)
    return (await settled(scripts, delivery.delivery_id, delivery.try_number, result, health)).disabled


async def look_again(runs: ShardedRuns) -> None:
    """As if the time had come to look at all targets with parked deliveries."""
    for keys in runs.shards.threads:
        for target in await runs.pipeline.send("ZRANGE", keys.parked_targets, 0, -1):
            await runs.pipeline.send("ZADD", keys.parked_targets, 0, target)


async def parked(runs: ShardedRuns, target: str) -> list[int]:
    """How many deliveries of a target are parked in each shard."""
    return [await runs.pipeline.send("ZCARD", keys.parked_deliveries(target)) for keys in runs.shards.threads]


async def calls_now(runs: ShardedRuns, target: str) -> Sequence[bytes]:
    members: Sequence[bytes] = await runs.pipeline.send("ZRANGE", runs.shards.targets.target_calls(target), 0, -1)
    return members


@asynccontextmanager
async def delivering(valkey_url: str, shards: Shards, project: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that calls webhooks."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.webhooks.delivering_process", valkey_url, shards.prefix, str(shards.count)),
        str(project),
        env=bare_environment() | {"PYTHONPATH": os.pathsep.join([PYTHON_PATH, "."]), "LG_WEBHOOK_TOKEN": "hush"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.processes
@pytest.mark.timeout(180)
async def test_a_receiver_gets_few_calls_at_once_from_all_shards_and_processes(
    runs: ShardedRuns, valkey_url: str, project: Path, receiver: Receiver
) -> None:
    """Three processes send 200 deliveries of eight shards to an endpoint that permits two calls."""
    now, most = 0, 0

    async def count() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)  # the time that the receiver needs
        now -= 1

    receiver.before_answer = count
    target = (await endpoint(runs, 2, receiver.url)).endpoint_id
    for number in range(200):
        await runs.create(number % SHARDS)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(delivering(valkey_url, runs.shards, project))
        await wait_until(lambda: len(receiver.headers) >= 200, within_s=120)

        async def all_delivered() -> bool:
            names = [keys.deliveries_with("delivered") for keys in runs.shards.threads]
            return sum([int(await runs.pipeline.send("ZCARD", name)) for name in names]) == 200

        await wait_until(all_delivered)
        await wait_until(lambda: has_no_call(runs, target))
    assert most == 2
    assert len(receiver.headers) == len({headers["webhook-id"] for headers in receiver.headers}) == 200
    assert await parked(runs, target) == [0] * SHARDS


async def has_no_call(runs: ShardedRuns, target: str) -> bool:
    return len(await calls_now(runs, target)) == 0


@pytest.mark.processes
@pytest.mark.timeout(120)
async def test_a_killed_process_blocks_a_target_only_for_the_lease_of_its_call(
    runs: ShardedRuns, valkey_url: str, project: Path, receiver: Receiver, eventually: Eventually
) -> None:
    """It is killed while the receiver has its request."""
    received, hold = asyncio.Event(), asyncio.Event()

    async def before_answer() -> None:
        received.set()
        await hold.wait()

    receiver.before_answer = before_answer
    target = (await endpoint(runs, 1, receiver.url)).endpoint_id
    created = await runs.create_in_all()
    async with delivering(valkey_url, runs.shards, project) as killed:
        async with asyncio.timeout(60):
            await received.wait()
        killed.kill()
        await killed.wait()
    hold.set()
    (call,) = await calls_now(runs, target)
    scripts = process(runs)
    await look_again(runs)
    assert await claim(scripts) == [], "the lease has not ended"
    seconds, _ = await runs.pipeline.send("TIME")
    ends_ms = float(await runs.pipeline.send("ZSCORE", runs.shards.targets.target_calls(target), call))
    assert ends_ms / 1000 - int(seconds) <= 46
    lost = call.decode().partition(":")[2]
    await runs.pipeline.send("ZADD", runs.shards.targets.target_calls(target), "XX", 0, call)
    await runs.pipeline.send("ZADD", runs.shards.of_delivery(lost).deliveries, "XX", 0, lost)
    await look_again(runs)
    found = []
    while claimed := await claim(scripts):
        (one,) = claimed
        found.append(one.delivery_id)
        await end(scripts, one, ANSWERED)
    assert len(set(found)) == len(created), "each is delivered, also the one whose process was killed"


async def test_the_breaker_counts_the_failures_of_all_shards_and_admits_one_probe(runs: ShardedRuns) -> None:
    target = (await endpoint(runs, 5)).endpoint_id
    await runs.create_in_all()
    first, second = process(runs), process(runs)
    claimed = await claim(first)
    assert len(claimed) == 5
    assert await claim(second) == []
    for each in claimed:
        assert await end(first, each, FAILED) is None
    await look_again(runs)
    assert await claim(first) == [], "the breaker is open"
    assert (await store_of(runs).get(target)).failures == 5
    record = runs.shards.targets.target(target)
    for answered in (FAILED, ANSWERED):
        await runs.pipeline.send("HSET", record, "open_until_us", 1)
        await look_again(runs)
        (probe,) = [*await claim(first), *await claim(second)]
        await end(second, probe, answered)
        await look_again(runs)
        assert len(await claim(first)) == (0 if answered is FAILED else 1), "the last one follows the probe"
    assert await runs.pipeline.send("EXISTS", record) == 0


async def test_deliveries_show_the_health_of_their_target(runs: ShardedRuns) -> None:
    target = await endpoint(runs, 1)
    await runs.create(1)
    await runs.create(6)
    scripts = process(runs)
    (called,) = await claim(scripts)
    await end(scripts, called, FAILED)
    reads, targets = DeliveryReads(runs.pipeline, runs.shards.records), TargetReads(runs.pipeline, runs.shards)
    (waiting,) = await claim(scripts)
    for delivery in (called, waiting):
        fields, _ = await reads.with_tries(delivery.delivery_id)
        shown = await targets.target(delivery.delivery_id, fields)
        assert shown is not None
        assert (shown.url, shown.failures, shown.parks_delivery) == (target.url, 1, False)
        assert shown.failing_since_us is not None
    await store_of(runs).remove(target.endpoint_id, by="ann")
    assert await runs.pipeline.send("EXISTS", runs.shards.targets.target(target.endpoint_id)) == 0


async def test_two_processes_disable_an_endpoint_once(runs: ShardedRuns) -> None:
    target = (await endpoint(runs, 2)).endpoint_id
    change = EndpointChange(url="https://other.example/", types=["endpoint.disabled"], concurrency=9)
    await store_of(runs).add(change, by="ann")
    await runs.create(2)
    await runs.create(7)
    first, second = process(runs), process(runs)
    one, other = await claim(first)
    results = await asyncio.gather(
        settled(first, one.delivery_id, 1, GivenUp("HTTP 410"), GONE),
        settled(second, other.delivery_id, 1, GivenUp("HTTP 410"), GONE),
    )
    assert {each.disabled for each in results} == {"it responded 410 Gone", None}
    assert (await store_of(runs).get(target)).state is State.DISABLED
    (told,) = await claim(first)
    assert told.fields["type"] == b"endpoint.disabled"


async def test_a_delivery_that_is_not_let_in_is_as_before_its_claim(runs: ShardedRuns) -> None:
    """A try of it had not ended: its process was killed. Then its target has no free call."""
    target = (await endpoint(runs, 1)).endpoint_id
    await runs.create(3)
    scripts, keys = process(runs), runs.shards.threads[3]
    (lost,) = await claim(scripts)
    record, queue, tries = keys.delivery(lost.delivery_id), keys.deliveries, keys.delivery_tries(lost.delivery_id)
    before = await runs.pipeline.send("HMGET", record, "tries", "called_us")
    calls = runs.shards.targets.target_calls(target)
    await runs.pipeline.send("DEL", calls)
    await runs.pipeline.send("ZADD", calls, 9e15, "1:another")
    await runs.pipeline.send("ZADD", queue, "XX", 5, lost.delivery_id)
    assert await claim(scripts) == []
    assert await runs.pipeline.send("HMGET", record, "tries", "called_us") == before
    assert await runs.pipeline.send("LLEN", tries) == 0
    assert await runs.pipeline.send("ZRANGE", keys.parked_deliveries(target), 0, -1, "WITHSCORES") == [
        lost.delivery_id.encode(),
        b"5",
    ]
    await runs.pipeline.send("DEL", calls)
    await look_again(runs)
    (again,) = await claim(scripts)
    assert again.try_number == 2
    assert await runs.pipeline.send("LLEN", tries) == 1, "the try that was lost is recorded"


async def test_only_the_first_that_waits_asks_for_a_free_call(runs: ShardedRuns) -> None:
    """Those behind it are parked in their shard, and follow in the order in which they were due."""
    target = (await endpoint(runs, 1)).endpoint_id
    created = [await runs.create(4) for _ in range(30)]
    scripts = process(runs)
    (called,) = await claim(scripts, 2)
    assert (await parked(runs, target))[4] == len(created) - 1
    assert await runs.pipeline.send("ZRANGE", runs.shards.targets.target_waiting(target), 0, -1) == [b"4"]
    found = [called]
    while True:
        await end(scripts, found[-1], ANSWERED)
        claimed = await claim(scripts)
        if not claimed:
            break
        found += claimed
    assert {each.fields["run_id"].decode() for each in found} == {run.run_id for run in created}
    due_ms = [int(each.fields["due_ms"]) for each in found]
    assert due_ms == sorted(due_ms)
    assert await runs.pipeline.send("EXISTS", runs.shards.targets.target_waiting(target)) == 0


async def test_the_late_end_of_a_try_does_not_end_the_call_of_the_next(runs: ShardedRuns) -> None:
    """A process stored how its try ended, and was suspended before the shard of the targets knew it."""
    target = (await endpoint(runs, 1)).endpoint_id
    await runs.create(0)
    scripts = process(runs)
    (first,) = await claim(scripts)
    await runs.pipeline.send("ZADD", runs.shards.threads[0].deliveries, "XX", 0, first.delivery_id)
    (second,) = await claim(scripts)
    assert (first.try_number, second.try_number) == (1, 2)
    stubs = TargetScripts(runs.pipeline, runs.shards)
    targets = SharedTargets(stubs, runs.shards, ClaimShards(stubs))
    assert await targets.leave(target, first.delivery_id, 1, 1, {"target": "failed"}) is None
    assert await calls_now(runs, target) == [f"2:{first.delivery_id}".encode()]
    assert (await store_of(runs).get(target)).failures == 0


async def test_processes_divide_the_shards(runs: ShardedRuns) -> None:
    """However many processes look, each shard is asked once in a while; a run that ended here is looked for at once."""
    stubs = TargetScripts(runs.pipeline, Shards(runs.shards.prefix, 40))
    processes = [ClaimShards(stubs, 60_000) for _ in range(5)]
    taken = [await each.take((EXTERNAL,), 64) for each in processes]
    assert sorted(number for numbers in taken for number in numbers) == [*range(40)]
    assert [len(numbers) for numbers in taken] == [16, 16, 8, 0, 0]
    assert [await each.take((EXTERNAL,), 64) for each in processes] == [[]] * 5
    processes[4].add(6)
    assert await processes[4].take((EXTERNAL,), 64) == [6]
