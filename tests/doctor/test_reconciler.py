"""One worker repairs the problems of a deployment; another worker takes over the duty when that worker stops."""

from __future__ import annotations

from dataclasses import replace

from slipway.duties.scripts import DutyScripts
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.services import open_services
from slipway_workers.duties.reconciler import Reconciler
from tests.doctor.test_doctor import busy_without_run
from tests.project_fixtures import graphs_of
from tests.runs.conftest import PROJECT, Stores, settings_of
from tests.waiting import Eventually
from tests.worker import running_worker

graphs = graphs_of(PROJECT)


async def test_a_worker_repairs_a_stuck_thread(
    stores: Stores, valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually
) -> None:
    thread_id = await busy_without_run(stores)
    async with running_worker(settings_of(valkey_url, keys, reconcile_every_s=0.1), graphs):

        async def is_idle() -> bool:
            return (await stores.threads.get(thread_id)).status == "idle"

        await eventually(is_idle)


async def test_one_worker_holds_the_duty_until_it_stops_renewing(
    stores: Stores, valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually
) -> None:
    settings = settings_of(valkey_url, keys, reconcile_every_s=0.2)
    async with open_services(settings, graphs, "worker") as first, open_services(settings, graphs, "worker") as second:
        holder, successor = Reconciler(first), Reconciler(replace(second))
        assert await holder.run_round()
        assert not await successor.run_round()
        assert await holder.run_round()
        await eventually(successor.run_round)
        assert not await holder.run_round()


async def test_a_worker_that_holds_a_duty_renews_it(stores: Stores) -> None:
    scripts = DutyScripts(stores.pipeline, stores.keys)
    await stores.pipeline.send("ZADD", stores.keys.workers, 1, "a", 1, "b")
    assert [await scripts.acquire("d", name, 60_000) for name in ("a", "b", "a")] == [True, False, True]
    assert 0 < await stores.pipeline.send("PTTL", stores.keys.duty("d")) <= 60_000


async def test_the_duty_of_a_stopped_worker_is_free(stores: Stores) -> None:
    scripts = DutyScripts(stores.pipeline, stores.keys)
    await stores.pipeline.send("ZADD", stores.keys.workers, 1, "a", 1, "b")
    assert await scripts.acquire("d", "a", 60_000)
    await stores.pipeline.send("ZREM", stores.keys.workers, "a")
    assert [await scripts.acquire("d", name, 60_000) for name in ("b", "a")] == [True, False]
