"""After an outage of Redis, live workers renew their leases before the reaper reclaims any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.graphs.registry import Registry
from slipway.redis.pipeline import Pipeline
from slipway.runs.leases import CONTACT_WITHIN_S, certain_for_s
from slipway.runs.record import new_id
from slipway.services import open_services
from slipway_workers.duties.reaper import Reaper
from tests.crash.cluster import Cluster
from tests.health.conftest import settings_of
from tests.runs.conftest import new_run, opened
from tests.waiting import Eventually, wait_until
from tests.worker import running_worker

LEASE_S = 2.0


async def test_a_run_stays_with_its_worker_when_writes_failed_for_longer_than_a_lease(
    server: Cluster, graphs: Registry, eventually: Eventually
) -> None:
    """The connection stays open. Only the failed commands show that heartbeats were lost too."""
    settings = settings_of(server, lease_s=LEASE_S, heartbeat_s=0.5, reap_every_s=0.1)
    async with opened(server.redis_url, server.keys) as stores, running_worker(settings, graphs):
        thread_id = (await stores.threads.create_or_get(new_id(), {}))[0].thread_id
        gate = server.gate()
        input_ = {"until": str(gate), "pause_s": 0.03}
        run = await stores.create(new_run(thread_id, options={"input": input_}))

        async def has_started() -> bool:
            return (await stores.reload(run)).attempt == 1

        async def lease_expired() -> bool:
            seconds, _ = await server.pipeline.send("TIME")
            ends_ms = await server.pipeline.send("ZSCORE", server.keys.leases, run.run_id)
            return ends_ms is not None and float(ends_ms) < int(seconds) * 1000

        async def has_ended() -> bool:
            return (await stores.reload(run)).final

        await eventually(has_started)
        await server.pipeline.send("REPLICAOF", "127.0.0.1", 1)
        await eventually(lease_expired)
        await server.pipeline.send("REPLICAOF", "NO", "ONE")
        gate.touch()
        await eventually(has_ended)
        assert (await stores.reload(run)).attempt == 1


@asynccontextmanager
async def reaper_of(server: Cluster, graphs: Registry, **settings: float) -> AsyncIterator[tuple[Reaper, Pipeline]]:
    """The reaper of a worker, after a round, and its pipeline."""
    async with open_services(settings_of(server, **settings), graphs, "worker") as services:
        reaper = Reaper(services)
        assert await reaper.run_round()
        assert reaper.grace_period_s() == 0
        yield reaper, services.pipeline


async def lose_connection(server: Cluster, pipeline: Pipeline) -> None:
    """Closes the connection, and waits until the pipeline has connected again."""
    connections = pipeline.connections
    await server.pipeline.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await wait_until(lambda: pipeline.connections > connections)


async def test_no_run_is_reclaimed_after_an_outage_until_live_workers_have_sent_a_heartbeat(
    server: Cluster, graphs: Registry
) -> None:
    """A lease that was renewed 2.9 s before it ends may end at once, because Redis may have lost the writes of 2 s."""
    async with reaper_of(server, graphs, lease_s=3.4, heartbeat_s=0.5) as (reaper, pipeline):
        lost_at = time.monotonic()
        await lose_connection(server, pipeline)
        assert reaper.grace_period_s() > 0
        assert await reaper.run_round()  # a round does not end the grace period
        await wait_until(lambda: reaper.grace_period_s() == 0)
        assert time.monotonic() - lost_at >= CONTACT_WITHIN_S


async def test_runs_are_reclaimed_at_once_after_an_outage_that_all_leases_of_live_workers_outlast(
    server: Cluster, graphs: Registry
) -> None:
    async with reaper_of(server, graphs, lease_s=60, heartbeat_s=0.5) as (reaper, pipeline):
        await lose_connection(server, pipeline)
        assert reaper.grace_period_s() == 0


async def test_short_outages_that_follow_each_other_count_as_one(server: Cluster, graphs: Registry) -> None:
    """No live worker is certain to have sent a heartbeat between them."""
    settings = {"lease_s": 5.0, "heartbeat_s": 0.5}
    async with reaper_of(server, graphs, **settings) as (reaper, pipeline):
        had_contact_at = time.monotonic()
        grace_period_s = 0.0
        async with asyncio.timeout(30):
            while grace_period_s == 0:
                await lose_connection(server, pipeline)
                grace_period_s = reaper.grace_period_s()
                assert await reaper.run_round()
        certain_s = certain_for_s(settings_of(server, **settings))
        assert time.monotonic() - had_contact_at > certain_s - CONTACT_WITHIN_S
        await wait_until(lambda: reaper.grace_period_s() == 0)
        assert await reaper.run_round()
        await lose_connection(server, pipeline)
        assert reaper.grace_period_s() == 0
