"""After an outage of Redis, live workers renew their leases before the reaper reclaims any."""

from __future__ import annotations

import time

from slipway.graphs.registry import Registry
from slipway.runs.record import new_id
from slipway.services import open_services
from slipway_workers.duties.reaper import Reaper
from tests.crash.cluster import Cluster
from tests.health.conftest import settings_of
from tests.runs.conftest import new_run, opened
from tests.waiting import Eventually
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


async def test_runs_are_reclaimed_soon_after_a_short_loss_of_the_connection(
    server: Cluster, graphs: Registry, eventually: Eventually
) -> None:
    """A loss that is too short for a lease to expire costs one heartbeat of time, not one lease."""
    settings = settings_of(server, lease_s=60, heartbeat_s=0.5)
    async with open_services(settings, graphs, "worker") as services:
        reaper = Reaper(services)
        assert await reaper.run_round()
        lost_at = time.monotonic()
        connections = services.pipeline.connections
        await server.pipeline.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await eventually(lambda: services.pipeline.connections > connections)
        await eventually(lambda: reaper.grace_period_s() == 0)
        assert time.monotonic() - lost_at > settings.heartbeat_s


async def test_no_run_is_reclaimed_right_after_the_connection_was_lost(
    server: Cluster, graphs: Registry, eventually: Eventually
) -> None:
    settings = settings_of(server, lease_s=60, heartbeat_s=0.5)
    async with open_services(settings, graphs, "worker") as services:
        reaper = Reaper(services)
        assert reaper.grace_period_s() == 0
        connections = services.pipeline.connections
        await server.pipeline.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await eventually(lambda: services.pipeline.connections > connections)
        assert reaper.grace_period_s() > 0
