"""Order of claims: priorities, limits of concurrency groups, and short runs beside many long runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.runs.record import PRIORITY_MS, Phase, Run, new_id
from slipway.runs.script_results import Settled
from slipway.services import Services
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import Stores, new_run, settings_of
from tests.waiting import Eventually
from tests.worker import running_worker

pytestmark = pytest.mark.one_queue

LONG_RUNS = 500


async def test_runs_are_claimed_by_priority(stores: Stores) -> None:
    runs = {priority: await stores.create_run(priority=priority) for priority in ("low", "normal", "high")}
    order = [(await stores.claim(limit=1))[0].run_id for _ in runs]
    assert order == [runs[priority].run_id for priority in ("high", "normal", "low")]


async def test_a_low_priority_run_is_claimed_before_normal_ones_that_came_a_minute_later(stores: Stores) -> None:
    low = await stores.create_run(priority="low")
    job = f"{low.run_id}:1"
    await stores.pipeline.send(
        "ZINCRBY", stores.shards.home.queue, -PRIORITY_MS["low"] - 1, job
    )  # as if it was queued a minute ago
    await stores.create_run()
    assert (await stores.claim(limit=1))[0].run_id == low.run_id


@pytest.mark.one_shard("a shard that gets a free slot starts its own first run")
async def test_a_group_runs_at_most_its_limit_and_does_not_block_other_runs(stores: Stores) -> None:
    limited = [await stores.create_run(groups=[("graph:steps", 2)]) for _ in range(5)]
    other = await stores.create_run()
    first = await stores.claim()
    assert [run.run_id for run in first] == [limited[0].run_id, limited[1].run_id, other.run_id]
    assert await stores.claim() == []
    waiting = await stores.reload(limited[2])
    assert (waiting.phase, waiting.reason) == (Phase.QUEUED, "limit of graph:steps")
    for done, following in zip(first[:2], limited[2:4], strict=True):
        await stores.settle(done)
        assert (await stores.claim_one()).run_id == following.run_id


async def test_the_limit_of_a_group_applies_to_reclaimed_runs(stores: Stores) -> None:
    first = await stores.create_run(groups=[("owner:ada", 1)])
    second = await stores.create_run(groups=[("owner:ada", 1)])
    assert [run.run_id for run in await stores.claim()] == [first.run_id]
    await stores.reap()
    claimed = await stores.claim()
    assert len(claimed) == 1
    await stores.settle(claimed[0])
    last = await stores.claim_one()
    assert {claimed[0].run_id, last.run_id} == {first.run_id, second.run_id}
    await stores.settle(last)
    assert (
        await stores.pipeline.send(
            "EXISTS", stores.shards.home.group_runs("owner:ada"), stores.shards.home.parked_queue("owner:ada")
        )
        == 0
    )


async def test_a_free_group_slot_goes_to_the_first_run_that_no_other_group_blocks(stores: Stores) -> None:
    graph, owner = ("graph:steps", 1), ("owner:ada", 1)
    of_graph, of_owner = await stores.create_run(groups=[graph]), await stores.create_run(groups=[owner])
    assert [run.run_id for run in await stores.claim()] == [of_graph.run_id, of_owner.run_id]
    of_both, following = await stores.create_run(groups=[graph, owner]), await stores.create_run(groups=[graph])
    assert await stores.claim() == []
    await stores.settle(await stores.reload(of_graph))
    assert (await stores.claim_one()).run_id == following.run_id
    assert (await stores.reload(of_both)).reason == "limit of owner:ada"
    await stores.settle(await stores.reload(of_owner))
    assert await stores.claim() == []
    await stores.settle(await stores.reload(following))
    assert (await stores.claim_one()).run_id == of_both.run_id


@pytest.mark.one_shard("it claims from one queue")
async def test_a_claim_ends_when_all_queued_runs_belong_to_full_groups(stores: Stores) -> None:
    graph, owner = ("graph:steps", 1), ("owner:ada", 1)
    for groups in ([graph], [owner], [graph, owner], [owner, graph]):
        await stores.create_run(groups=groups)
    due_in_ms, claimed, *_ = await stores.queues[0].run_claim("w", 10, 60_000)
    assert (due_in_ms, len(claimed)) == (None, 2)
    for group, _ in (graph, owner):
        assert await stores.pipeline.send("ZCARD", stores.shards.home.parked_queue(group)) == 1


@pytest.mark.one_shard("a shard without a slot of the group gets one when a worker claims")
async def test_a_run_of_a_full_group_is_not_executed_inline(stores: Stores) -> None:
    async def submit_inline() -> Run:
        spec = new_run(await stores.create_thread(), inline=True, groups=[("owner:ada", 1)])
        return (await stores.creator.create(spec, inline_worker="web")).run

    first, second = await submit_inline(), await submit_inline()
    assert (first.phase, second.phase) == (Phase.RUNNING, Phase.QUEUED)
    await stores.settle(first)
    assert (await stores.claim_one()).run_id == second.run_id


async def test_deleting_a_thread_frees_the_group_slots_of_its_runs(stores: Stores) -> None:
    await stores.create_run(groups=[("owner:ada", 1)])
    running = await stores.claim_one()
    second = await stores.create_run(groups=[("owner:ada", 1)])
    assert await stores.claim() == []
    await stores.threads.delete(running.thread_id)
    assert (await stores.claim_one()).run_id == second.run_id


async def test_a_worker_executes_at_most_max_runs_at_once(
    valkey_url: str, stores: Stores, eventually: Eventually
) -> None:
    gates: dict[str, asyncio.Event] = {}
    active_counts: list[int] = []

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        gates[run.run_id] = asyncio.Event()
        active_counts.append(len(gates))
        await gates[run.run_id].wait()
        assert await stores.settle(run) == Settled()

    runs = [await stores.create_run() for _ in range(6)]
    async with claiming_worker(valkey_url, stores, execute, max_runs=2) as claiming:
        for _ in runs[1:]:
            await eventually(lambda: len(gates) == 2, beside=claiming.task)
            gates.pop(next(iter(gates))).set()
        gates.pop(next(iter(gates))).set()
    assert (len(active_counts), max(active_counts)) == (len(runs), 2)


async def submit(services: Services, graph_id: str) -> Run:
    return await services.submission.submit(new_run(new_id(), graph_id=graph_id, create_thread=True))


@pytest.mark.slow
async def test_with_500_long_runs_in_progress_a_new_short_one_starts_at_once(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, max_runs_per_worker=260)
    async with AsyncExitStack() as stack:
        (_, services), _ = [await stack.enter_async_context(running_worker(settings, graphs)) for _ in range(2)]
        long_runs = await asyncio.gather(*(submit(services, "gate") for _ in range(LONG_RUNS)))

        async def all_running() -> bool:
            return bool(await services.pipeline.send("ZCARD", services.shards.home.leases) == LONG_RUNS)

        await eventually(all_running, within_s=30)
        short_run = await submit(services, "steps")
        events = services.events.follow(short_run.run_id)
        async with asyncio.timeout(30):
            assert [event.name async for batch in events for event in batch][-1] == "end"
        for run in long_runs:
            project.gates[run.thread_id].set()

        async def none_running() -> bool:
            return bool(await services.pipeline.send("ZCARD", services.shards.home.leases) == 0)

        await eventually(none_running, within_s=30)
