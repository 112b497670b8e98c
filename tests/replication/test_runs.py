"""Replicated runs: what clients are told is on the replica, and nothing is told or executed before."""

from __future__ import annotations

import asyncio
import random
from types import ModuleType

import httpx
import pytest

from slipway.errors import ConfigError, NotReplicated
from slipway.graphs.registry import Registry
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import Phase, new_id
from slipway.services import Services, open_services
from tests.http.conftest import serving
from tests.replication.pair import Pair, pair
from tests.replication.rounds import one_round
from tests.replication.services import create_run, events_to_end, settings_of
from tests.runs.servers import server
from tests.waiting import wait_until
from tests.worker import executing, running_worker

BODY = {"assistant_id": "plain", "input": {"supersteps": 3}, "if_not_exists": "create", "durability": "replicated"}


async def phase_on_replica(servers: Pair, graphs: Registry, run_id: str) -> Phase | None:
    """The phase that the replica has; None if it has no such run."""
    async with open_services(settings_of(servers.replica_url), graphs, "cli") as services:
        fields = await services.pipeline.send("HGET", services.keys.run(run_id), "phase")
    return None if fields is None else Phase(fields.decode())


async def test_a_run_is_created_executed_and_ended_on_both_servers(graphs: Registry) -> None:
    async with pair() as servers:
        settings = settings_of(servers.url)
        async with (
            serving(settings, graphs) as served,
            running_worker(settings, graphs),
            httpx.AsyncClient(base_url=served.url, timeout=30) as client,
        ):
            response = await client.post(f"/threads/{new_id()}/runs/wait", json=BODY)
            assert response.json()["done"] == 3
            run_id = response.headers["content-location"].rpartition("/")[2]
            run = await served.services.runs.find(run_id)
            assert run.options.durability == "replicated"
        await servers.kill_primary()
        assert await phase_on_replica(servers, graphs, run_id) is Phase.COMPLETED


async def test_a_request_is_answered_when_the_replica_has_the_run(graphs: Registry) -> None:
    async with (
        pair() as servers,
        serving(settings_of(servers.url), graphs) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        first = (await client.post(f"/threads/{new_id()}/runs", json=BODY)).json()["run_id"]
        servers.delay_link()
        unprotected = await client.post(f"/threads/{new_id()}/runs", json=BODY | {"durability": "async"})
        assert unprotected.status_code == 200
        headers = {"idempotency-key": new_id()}
        body, path = BODY, f"/threads/{new_id()}/runs"
        unconfirmed = await client.post(path, json=body, headers=headers)
        assert unconfirmed.status_code == 503
        assert unconfirmed.json()["code"] == "store.not_replicated"
        assert "may be stored, but not on 1 replica and the disk of the primary" in unconfirmed.text
        refused = await client.post(f"/threads/{new_id()}/runs", json=BODY)
        assert refused.status_code == 503
        assert "nothing was stored" in refused.text
        servers.restore_link()
        repeated = await client.post(path, json=body, headers=headers)
        assert repeated.status_code == 200, repeated.text
        servers.delay_link()
        lost = (await client.post(f"/threads/{new_id()}/runs", json=BODY | {"durability": "async"})).json()["run_id"]
        await servers.kill_primary()
        assert await phase_on_replica(servers, graphs, first) is Phase.QUEUED
        assert await phase_on_replica(servers, graphs, repeated.json()["run_id"]) is Phase.QUEUED
        assert await phase_on_replica(servers, graphs, lost) is None


async def test_a_superstep_begins_when_the_replica_has_all_before_it(graphs: Registry, project: ModuleType) -> None:
    """While the link is delayed the first superstep does not begin, because the replica lacks the claim; the `end`
    event is withheld as well."""
    async with pair() as servers:
        settings = settings_of(servers.url)
        async with open_services(settings, graphs, "web") as web:
            replicated, plain = await create_run(web, "replicated"), await create_run(web, "async")
            servers.delay_link()
            async with running_worker(settings, graphs):
                assert "end" in await events_to_end(web, plain.run_id)
                await wait_until(lambda: _is(web, replicated.run_id, Phase.RUNNING))
                assert replicated.thread_id not in project.begun
                servers.restore_link()
                names = asyncio.create_task(events_to_end(web, replicated.run_id))
                await wait_until(lambda: project.begun.get(replicated.thread_id, 0) >= 1)
                assert (await names)[-1] == "end"


async def test_a_claim_that_a_failover_lost_executes_nothing(graphs: Registry, project: ModuleType) -> None:
    """Another process has an attempt with the same number at the promoted server. The first one notices that it is not
    the owner, before its first superstep."""
    async with pair() as servers, open_services(settings_of(servers.url), graphs, "web") as web:
        run = await create_run(web, "replicated")
        async with running_worker(settings_of(servers.url), graphs) as (process, worker):
            servers.delay_link()
            await wait_until(lambda: executing(process))
            await wait_until(lambda: worker.replicated.problem)
            await servers.kill_primary()
            await servers.promote()
            await _claim(servers, graphs, run.run_id)
            await servers.take_over()
            async with servers.another_replica():
                await wait_until(lambda: not executing(process))
            assert run.thread_id not in project.begun


async def _claim(servers: Pair, graphs: Registry, run_id: str) -> None:
    """Another process claims the run at the promoted server."""
    async with open_services(settings_of(servers.replica_url), graphs, "cli") as services:
        queue = QueueScripts(services.pipeline, services.shards.only)
        (claimed,) = (await queue.run_claim("other", 10, 60_000)).runs
        assert claimed["run_id"].decode() == run_id
        assert claimed["attempt"] == b"1"


async def test_the_end_is_sent_when_the_replica_has_it(graphs: Registry) -> None:
    async with pair() as servers:
        settings = settings_of(servers.url)
        async with open_services(settings, graphs, "web") as web, running_worker(settings, graphs) as (_, worker):
            run = await create_run(web, "replicated")
            assert "end" in await events_to_end(worker, run.run_id)
            servers.delay_link()
            again = asyncio.create_task(events_to_end(web, run.run_id))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(again), 1)
            servers.restore_link()
            assert (await again)[-1] == "end"


async def test_a_run_continues_at_the_promoted_replica_and_ends_once(graphs: Registry, project: ModuleType) -> None:
    """The replica lacks what the attempt has written last. Its calls are repeated there."""
    async with pair() as servers:
        settings = settings_of(servers.url, lease_s=4, heartbeat_s=0.5)
        async with open_services(settings, graphs, "web") as web, running_worker(settings, graphs) as (_, worker):
            run = await create_run(web, "replicated", supersteps=400)
            await wait_until(lambda: project.begun.get(run.thread_id, 0) >= 3)
            servers.delay_link()
            await wait_until(lambda: worker.replicated.problem)
            begun = project.begun[run.thread_id]
            await servers.kill_primary()
            await servers.take_over()
            async with servers.another_replica():
                await wait_until(lambda: project.begun[run.thread_id] > begun)
                names = await asyncio.wait_for(events_to_end(web, run.run_id), 120)
                assert names.count("end") == 1
                assert (await web.runs.find(run.run_id)).phase is Phase.COMPLETED
                state = (await web.threads.get(run.thread_id)).values
                assert isinstance(state, dict)
                assert state["done"] == 400


async def test_the_graph_says_which_durability_its_runs_have(graphs: Registry) -> None:
    async with (
        pair() as servers,
        serving(settings_of(servers.url), graphs) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        for sent, stored in (
            ({}, "replicated"),
            ({"durability": "sync"}, "sync"),
            ({"checkpoint_during": True}, "async"),
        ):
            body = {"assistant_id": "replicated", "input": {}, "if_not_exists": "create"} | sent
            run = (await client.post(f"/threads/{new_id()}/runs", json=body)).json()
            assert run["kwargs"]["durability"] == stored


async def test_without_a_replica_a_request_is_rejected_and_nothing_is_stored(graphs: Registry) -> None:
    async with (
        server() as alone,
        serving(settings_of(alone.url), graphs) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        refused = await client.post(f"/threads/{new_id()}/runs", json=BODY)
        assert refused.status_code == 503
        assert (
            "a run with durability replicated cannot be created now, and nothing was stored: 0 of 1 replica confirmed "
            "a write within 1 s"
        ) in refused.text
        assert await served.services.pipeline.send("KEYS", served.services.keys.run("*")) == []


async def test_replicated_to_says_how_many_replicas_confirm(graphs: Registry) -> None:
    async with (
        pair() as servers,
        open_services(settings_of(servers.url, replicated_to=2), graphs, "web") as web,
        servers.another_replica() as second,
    ):
        await create_run(web, "replicated")
        second.suspend()
        with pytest.raises(NotReplicated, match="not on 2 replicas and the disk of the primary"):
            await create_run(web, "replicated")
        second.resume()


async def test_a_graph_that_needs_it_does_not_start_on_a_server_without_an_append_only_file(graphs: Registry) -> None:
    async with server("--appendonly", "no") as alone:
        with pytest.raises(ConfigError, match=r"graphs\.replicated\.durability is .* the primary has no append-only"):
            async with open_services(settings_of(alone.url), graphs, "web"):
                raise AssertionError("it started")
        async with open_services(settings_of(alone.url, replicated_on="memory"), graphs, "web"):
            pass


async def test_a_connection_budget_without_room_for_replicated_runs(graphs: Registry) -> None:
    async with server() as alone:
        with pytest.raises(ConfigError, match=r"SLIPWAY_REDIS_MAX_CONNECTIONS \(6\) leaves no .*: set it to 7 or more"):
            async with open_services(settings_of(alone.url, redis_max_connections=6), graphs, "web"):
                raise AssertionError("it started")


async def _is(services: Services, run_id: str, phase: Phase) -> bool:
    return (await services.runs.find(run_id)).phase is phase


@pytest.mark.parametrize("on", ["memory", "disk"])
async def test_nothing_acknowledged_is_lost_when_the_primary_is_killed_and_the_replica_promoted(
    graphs: Registry, on: str
) -> None:
    losses = await one_round(graphs, "replicated", random.Random(on), on=on)
    assert losses.created
    assert losses.supersteps
    assert not losses.any, str(losses)
