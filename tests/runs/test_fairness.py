"""Who is served first, and that nobody waits for ever: priorities, limits of groups, many long runs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import PRIORITY_MS, Phase, Run, new_id
from slipway.runs.script_results import Settled
from slipway.services import Services
from slipway_workers.claims import ClaimingWorker
from tests.conftest import Eventually
from tests.runs.conftest import Stores, new_run, settings_of
from tests.working import working

LONG_RUNS = 500


async def _queued(stores: Stores, **differs: object) -> Run:
    return await stores.create_run(**differs)


async def test_high_goes_before_normal_before_low(stores: Stores) -> None:
    runs = {priority: await _queued(stores, priority=priority) for priority in ("low", "normal", "high")}
    order = [(await stores.claim(limit=1))[0].run_id for _ in runs]
    assert order == [runs[priority].run_id for priority in ("high", "normal", "low")]


async def test_a_low_run_that_has_waited_long_enough_goes_before_a_new_normal_one(stores: Stores) -> None:
    low = await _queued(stores, priority="low")
    job = f"{low.run_id}:1"
    await stores.pipeline.send("ZINCRBY", stores.keys.queue, -PRIORITY_MS["low"] - 1, job)  # as if it came a minute ago
    await _queued(stores)
    assert (await stores.claim(limit=1))[0].run_id == low.run_id


async def test_a_group_never_has_more_running_than_its_limit_and_others_pass(stores: Stores) -> None:
    limited = [await _queued(stores, groups=[("graph:steps", 2)]) for _ in range(5)]
    other = await _queued(stores)
    first = await stores.claim()
    assert [run.run_id for run in first] == [limited[0].run_id, limited[1].run_id, other.run_id]
    assert await stores.claim() == []
    waiting = await stores.reload(limited[2])
    assert (waiting.phase, waiting.reason) == (Phase.QUEUED, "limit of graph:steps")
    for done, following in zip(first[:2], limited[2:4], strict=True):
        await stores.settle(done)
        assert (await stores.claim_one()).run_id == following.run_id


async def test_the_limit_holds_for_runs_that_died_and_were_handed_back(stores: Stores) -> None:
    first = await _queued(stores, groups=[("owner:ada", 1)])
    second = await _queued(stores, groups=[("owner:ada", 1)])
    assert [run.run_id for run in await stores.claim()] == [first.run_id]
    await stores.reap()
    claimed = await stores.claim()
    assert len(claimed) == 1
    await stores.settle(claimed[0])
    last = await stores.claim_one()
    assert {claimed[0].run_id, last.run_id} == {first.run_id, second.run_id}
    await stores.settle(last)
    assert (
        await stores.pipeline.send("EXISTS", stores.keys.group_runs("owner:ada"), stores.keys.parked_queue("owner:ada"))
        == 0
    )


async def test_a_place_that_the_first_in_line_cannot_take_goes_to_the_next(stores: Stores) -> None:
    graph, owner = ("graph:steps", 1), ("owner:ada", 1)
    of_graph, of_owner = await _queued(stores, groups=[graph]), await _queued(stores, groups=[owner])
    assert [run.run_id for run in await stores.claim()] == [of_graph.run_id, of_owner.run_id]
    of_both, following = await _queued(stores, groups=[graph, owner]), await _queued(stores, groups=[graph])
    assert await stores.claim() == []
    await stores.settle(await stores.reload(of_graph))
    assert (await stores.claim_one()).run_id == following.run_id
    assert (await stores.reload(of_both)).reason == "limit of owner:ada"
    await stores.settle(await stores.reload(of_owner))
    assert await stores.claim() == []
    await stores.settle(await stores.reload(following))
    assert (await stores.claim_one()).run_id == of_both.run_id


async def test_a_claim_ends_when_all_that_waits_is_of_full_groups(stores: Stores) -> None:
    one, other = ("graph:steps", 1), ("owner:ada", 1)
    for groups in ([one], [other], [one, other], [other, one]):
        await _queued(stores, groups=groups)
    due_in_ms, claimed = await stores.scripts.run_claim("w", 10, 60_000)
    assert (due_in_ms, len(claimed)) == (None, 2)
    for group, _ in (one, other):
        assert await stores.pipeline.send("ZCARD", stores.keys.parked_queue(group)) == 1


async def test_a_run_of_a_full_group_is_not_executed_inline(stores: Stores) -> None:
    async def accept() -> Run:
        new = new_run(await stores.create_thread(), inline=True, groups=[("owner:ada", 1)])
        return (await stores.creator.create(new, inline_worker="web")).run

    first, second = await accept(), await accept()
    assert (first.phase, second.phase) == (Phase.RUNNING, Phase.QUEUED)
    await stores.settle(first)
    assert (await stores.claim_one()).run_id == second.run_id


async def test_a_deleted_thread_gives_back_its_places_in_groups(stores: Stores) -> None:
    await _queued(stores, groups=[("owner:ada", 1)])
    held = await stores.claim_one()
    second = await _queued(stores, groups=[("owner:ada", 1)])
    assert await stores.claim() == []
    await stores.threads.delete(held.thread_id)
    assert (await stores.claim_one()).run_id == second.run_id


async def test_a_worker_executes_no_more_runs_than_it_has_room_for(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    gates: dict[str, asyncio.Event] = {}
    at_once: list[int] = []

    async def perform(_: dict[str, Any], run: Run) -> None:
        gates[run.run_id] = asyncio.Event()
        at_once.append(len(gates))
        await gates[run.run_id].wait()
        assert await stores.settle(run) == Settled()

    runs = [await _queued(stores) for _ in range(6)]
    wake = Pipeline(Address(valkey_url), "test worker wake", patience_s=5)
    await wake.open()
    worker = ClaimingWorker(perform, keys, wake, "w", lease_ms=60_000, max_runs=2)
    work = asyncio.create_task(worker.main())
    for _ in runs[1:]:
        await eventually(lambda: len(gates) == 2, beside=work)
        gates.pop(next(iter(gates))).set()
    gates.pop(next(iter(gates))).set()
    worker.stop_claiming()
    await work
    await wake.close()
    assert (len(at_once), max(at_once)) == (len(runs), 2)


async def _made(services: Services, graph_id: str) -> Run:
    return await services.submission.submit(new_run(new_id(), graph_id=graph_id, create_thread=True))


@pytest.mark.slow
async def test_with_500_long_runs_in_progress_a_new_short_one_starts_at_once(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, max_runs_per_worker=260)
    async with AsyncExitStack() as stack:
        (_, services), _ = [await stack.enter_async_context(working(settings, graphs)) for _ in range(2)]
        long = await asyncio.gather(*(_made(services, "gate") for _ in range(LONG_RUNS)))

        async def all_running() -> bool:
            return bool(await services.pipeline.send("ZCARD", keys.leases) == LONG_RUNS)

        await eventually(all_running, within_s=30)
        short = await _made(services, "steps")
        events = services.events.follow(short.run_id)
        async with asyncio.timeout(30):
            assert [event.name async for batch in events for event in batch][-1] == "end"
        for run in long:
            project.gates[run.thread_id].set()

        async def none_running() -> bool:
            return bool(await services.pipeline.send("ZCARD", keys.leases) == 0)

        await eventually(none_running, within_s=30)
