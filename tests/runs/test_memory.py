"""Admission near the high-water mark of memory, and what works while Redis is full."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from slipway.errors import Overloaded
from slipway.graphs.version_choice import VersionChoice
from slipway.redis.keys import Keys
from slipway.redis.shards import Shards
from slipway.runs.admission import BIG_BYTES, Admission
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Phase
from slipway.runs.run_sizes import RunSizes
from slipway.runs.script_results import CancelResult
from tests.runs.conftest import LEASE_MS, Stores, handover, opened
from tests.runs.servers import server
from tests.runs.versioned_workers import worker_of
from tests.waiting import wait_until

pytestmark = pytest.mark.one_shard("it is about the room of one shard")

MARK = 0.85
MIB = 1024 * 1024
GRAPH = "steps"


@pytest.fixture
async def small(keys: Keys) -> AsyncIterator[Stores]:
    """Stores on a Redis with 25 MB of memory."""
    async with (
        server("--maxmemory", "25mb", "--maxmemory-policy", "noeviction") as valkey,
        opened(valkey.url, keys) as stores,
    ):
        yield stores


async def fill(stores: Stores, free_bytes: int, *, expected: int = 40_000) -> None:
    """Leaves this much room below the mark, with runs that are expected to store `expected` bytes. The next claim or
    request measures again."""
    await stores.pipeline.send("DEL", "filler")
    fields = dict(
        line.split(":") for line in (await stores.pipeline.send("INFO", "memory")).decode().splitlines() if ":" in line
    )
    filler = int(MARK * int(fields["maxmemory"])) - int(fields["used_memory"]) - free_bytes
    await stores.pipeline.send("SETRANGE", "filler", filler, "x")
    await stores.pipeline.send("DEL", stores.keys.memory)
    await stores.pipeline.send("HSET", stores.keys.memory, f"run:{GRAPH}", expected)


async def test_runs_are_created_until_those_in_progress_are_expected_to_reach_the_mark(small: Stores) -> None:
    await fill(small, MIB)
    created = 0

    async def create_all() -> None:
        nonlocal created
        while True:
            await small.create_run()
            created += 1

    with pytest.raises(Overloaded) as caught:
        await create_all()
    assert 15 <= created <= 26  # 1 MiB for runs of 40,000 bytes, whose records exist already
    assert caught.value.reserved == pytest.approx(created * 40_000 / (25 * MIB), rel=0.2)
    assert "runs in progress are expected to need" in str(caught.value)


async def test_a_run_whose_body_does_not_fit_is_rejected_before_it_is_sent(small: Stores) -> None:
    await fill(small, MIB)
    before = await received_bytes(small)
    with pytest.raises(Overloaded):
        await small.create_run(options={"input": {"text": secrets.token_hex(1_000_000)}})
    assert await received_bytes(small) - before < BIG_BYTES


async def received_bytes(stores: Stores) -> int:
    """What Redis has received from all clients."""
    text = (await stores.pipeline.send("INFO", "stats")).decode()
    return int(text.partition("total_net_input_bytes:")[2].split()[0])


async def test_a_run_that_does_not_fit_waits_and_an_attempt_that_was_interrupted_does_not(small: Stores) -> None:
    await small.create_run()
    interrupted = await small.claim_one()
    await small.attempt(interrupted).release(handover(interrupted))
    first, second = await small.create_run(), await small.create_run()
    await fill(small, 300_000, expected=200_000)

    due_in_ms, claimed, near, *_ = await small.queues[0].run_claim("w", 9, LEASE_MS, mark=MARK)
    assert {run["run_id"].decode() for run in claimed} == {interrupted.run_id, first.run_id}
    assert near
    assert due_in_ms is not None
    assert due_in_ms > 0  # the worker claims again soon
    assert (await small.reload(second)).reason == "memory pressure"
    await small.pipeline.send("DEL", "filler")

    async def starts() -> bool:
        await small.queues[0].run_claim("w", 9, LEASE_MS, mark=MARK)
        return await small.phase_of(second) is Phase.RUNNING

    await wait_until(starts)


async def test_a_run_that_waits_counts_the_runs_that_execute(small: Stores) -> None:
    await small.create_run()
    await small.claim_one()
    waiting = await small.create_run()
    await fill(small, 500_000, expected=300_000)
    _, claimed, *_ = await small.queues[0].run_claim("w", 9, LEASE_MS, mark=MARK)
    assert claimed == []
    assert (await small.reload(waiting)).reason == "memory pressure"


async def test_memory_is_reserved_for_runs_that_wait_in_lanes(small: Stores) -> None:
    """They start as soon as a worker of their version comes."""
    other = await worker_of(small, "2")
    await fill(small, MIB)
    for _ in range(5):
        await small.create_run(version=VersionChoice(explicit="1"))
    assert await other.claim() == []
    created = 0

    async def create_all() -> None:
        nonlocal created
        while True:
            await small.pipeline.send("HDEL", small.keys.memory, "room")  # measures again
            await small.create_run()
            created += 1

    with pytest.raises(Overloaded) as caught:
        await create_all()
    assert caught.value.reserved == pytest.approx((5 + created) * 40_000 / (25 * MIB), rel=0.01)


async def test_one_run_executes_although_it_is_expected_to_be_too_large(small: Stores) -> None:
    await fill(small, MIB, expected=10 * MIB)
    run = await small.create_run()
    with pytest.raises(Overloaded):
        await small.create_run()
    _, [claimed], *_ = await small.queues[0].run_claim("w", 9, LEASE_MS, mark=MARK)
    assert claimed["run_id"].decode() == run.run_id


async def test_the_size_of_runs_is_learnt_and_rises_faster_than_it_falls() -> None:
    sizes = RunSizes()
    first = sizes.after_run(GRAPH, 10_000)
    assert first is not None
    assert sizes.after_run(GRAPH, 10_500) is None, "a small change is not published"
    larger = sizes.after_run(GRAPH, 100_000)
    assert larger is not None
    assert larger[1] > 4 * first[1] > 40_000
    assert sizes.after_run(GRAPH, 10_000) is None


async def test_the_learnt_size_is_stored_when_a_run_ends(small: Stores) -> None:
    run = await small.create_run()
    claimed = await small.claim_one()
    attempt = small.attempt(claimed)
    attempt.append("values", b"event: values\r\ndata: {}\r\n")
    await small.settle(claimed)
    stored = await small.pipeline.send("HGET", small.keys.memory, f"run:{run.graph_id}")
    assert int(stored) >= 4096


async def test_far_below_the_mark_most_requests_are_admitted_without_a_round_trip(small: Stores) -> None:
    admission = Admission(small.pipeline, small.queues, MARK)
    before = small.pipeline.round_trips
    for _ in range(20):
        await admission.admit(1000)
    assert small.pipeline.round_trips - before <= 2
    with pytest.raises(Overloaded):
        await admission.admit(20 * MIB)
    assert BIG_BYTES < MIB


@pytest.mark.parametrize("count", [1, 8])
async def test_shards_of_one_server_share_its_room(keys: Keys, count: int) -> None:
    """Each may use its part, so all together do not pass the mark, whichever of them a thread is in."""
    async with (
        server("--maxmemory", "25mb", "--maxmemory-policy", "noeviction") as valkey,
        opened(valkey.url, Shards(keys.prefix, count).records) as small,
    ):
        admission = Admission(small.pipeline, small.queues, MARK)
        assert admission.sharing == count
        for shard in range(count):
            await admission.admit(MIB // 3, shard)
            with pytest.raises(Overloaded) if count > 1 else nullcontext():
                await admission.admit(2 * MIB, shard)


async def test_cancels_and_deletions_work_while_redis_is_full(small: Stores) -> None:
    running = await small.create_run()
    await small.claim_one()
    queued, deleted, idle = await small.create_run(), await small.create_run(), await small.create_thread()
    await small.pipeline.send("CONFIG", "SET", "maxmemory", "1")
    for run in (queued, running):
        result = await small.scripts.run_cancel(
            run.run_id, run.thread_id, action="interrupt", cause="c", reason=None, event_ttl_s=60
        )
        assert result is CancelResult.ACCEPTED
    assert await small.phase_of(queued) is Phase.CANCELLED
    assert (await small.reload(running)).cancel is Action.INTERRUPT
    await small.threads.delete(deleted.thread_id)
    await small.threads.delete(idle)
    await small.settle(await small.reload(running), Phase.CANCELLED)
    await small.threads.delete(running.thread_id)
