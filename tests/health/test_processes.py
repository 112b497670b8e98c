"""Real processes: with many clients on a plan of 20 connections, and with a Valkey that is killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redis import connection_budget
from slipway.runs.record import new_id
from slipway.services import open_services
from slipway.settings import Settings
from tests.crash.cluster import CONFIG, Cluster, running
from tests.health.conftest import settings_of
from tests.waiting import wait_until

PLAN = 20
CLIENTS = 100


@dataclass
class StreamClient:
    """Reads one event stream over one connection, without reconnecting."""

    counts: list[int] = field(default_factory=list)
    ended: bool = False

    async def follow(self, client: httpx.AsyncClient, path: str) -> None:
        name = ""
        async with client.stream("GET", path, headers={"last-event-id": "-1"}, params={"end": "true"}) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "values":
                    self.counts.append(json.loads(line.removeprefix("data: ")).get("count", 0))
                self.ended = self.ended or name == "end"


@contextlib.asynccontextmanager
async def clients_of(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=CLIENTS + 10)
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=30, limits=limits) as client:
        yield client


async def create_run(client: httpx.AsyncClient, **input_: Any) -> httpx.Response:
    body = {"assistant_id": "steps", "input": input_, "if_not_exists": "create"}
    return await client.post(f"/threads/{new_id()}/runs", json=body)


def path_of(run: dict[str, Any]) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['run_id']}"


async def test_a_plan_of_20_connections_serves_100_clients() -> None:
    async with running(webs=1, workers=1) as cluster, clients_of(cluster) as client:
        await cluster.pipeline.send("CONFIG", "SET", "maxclients", PLAN)

        async def open_connections() -> int:
            return (
                len((await cluster.pipeline.send("CLIENT", "LIST")).splitlines()) - 1
            )  # without the connection of this test

        async def all_are_open() -> bool:
            most = connection_budget.needed("web") + connection_budget.needed("worker")
            return await open_connections() == most - 2  # nobody has made a synchronous call

        await wait_until(all_are_open)
        gate = cluster.gate()
        run = (await create_run(client, until=str(gate), pause_s=0.1)).json()
        followers = [StreamClient() for _ in range(CLIENTS)]
        following = asyncio.gather(*(each.follow(client, f"{path_of(run)}/stream") for each in followers))
        await wait_until(lambda: all(each.counts for each in followers), beside=following)
        others = await asyncio.gather(*(create_run(client, upto=1) for _ in range(20)))
        assert {response.status_code for response in others} == {200}
        assert await all_are_open()
        gate.touch()
        await following
        assert all(each.ended and each.counts == followers[0].counts for each in followers)

        async with _all_connections_taken(cluster):
            late = cluster.add_worker()
            late.start()
            await wait_until(lambda: "max number of clients" in late.log.read_text())
            assert late.alive
            assert (await create_run(client, upto=1)).status_code == 200
        await wait_until(lambda: late.count_logged("worker.ready"))
        assert "Traceback" not in late.log.read_text()


@contextlib.asynccontextmanager
async def _all_connections_taken(cluster: Cluster) -> AsyncIterator[None]:
    """Open connections until the server rejects them."""
    taken: list[asyncio.StreamWriter] = []
    try:
        while True:
            reader, writer = await asyncio.open_unix_connection(str(cluster.socket))
            taken.append(writer)
            if not await _replies(reader, writer):
                break
        yield
    finally:
        for writer in taken:
            writer.close()


async def _replies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    except OSError:
        return False


@pytest.mark.parametrize(("process", "too_few"), [("web", 3), ("worker", 4), ("dev", 4), ("cli", 1)])
def test_a_connection_budget_below_the_minimum_is_rejected(process: str, too_few: int) -> None:
    with pytest.raises(ConfigError, match=rf"SLIPWAY_REDIS_MAX_CONNECTIONS \({too_few}\)"):
        connection_budget.check(Settings.from_values({"redis_max_connections": too_few}), process)
    connection_budget.check(Settings.from_values({"redis_max_connections": too_few + 1}), process)


def test_dev_checks_the_connection_budget_before_it_starts_processes() -> None:
    with pytest.raises(ConfigError, match=r"SLIPWAY_REDIS_MAX_CONNECTIONS \(4\)"):
        load_settings_and_logs("dev", CONFIG, redis_max_connections=4)
    assert load_settings_and_logs("dev", CONFIG, redis_max_connections=5).redis_max_connections == 5


async def test_a_process_with_too_small_a_connection_budget_opens_no_connection(
    server: Cluster, graphs: Registry
) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_MAX_CONNECTIONS"):
        async with open_services(settings_of(server, redis_max_connections=2), graphs, "web"):
            pass


async def test_runs_and_streams_continue_after_valkey_was_killed() -> None:
    async with running(webs=1, workers=1) as cluster, clients_of(cluster) as client:
        gate = cluster.gate()
        run = (await create_run(client, until=str(gate), pause_s=0.05)).json()
        follower = StreamClient()
        following = asyncio.create_task(follower.follow(client, f"{path_of(run)}/stream"))
        await wait_until(lambda: len(follower.counts) > 5, beside=following)
        accepted = [(await create_run(client, upto=2)).json() for _ in range(20)]
        await cluster.valkey.kill()

        rejected = await create_run(client, upto=1)  # within the timeout of the client
        assert (rejected.status_code, rejected.json()["code"]) == (503, "store.unavailable")
        assert int(rejected.headers["retry-after"]) >= 1
        assert (await client.get("/ok")).status_code == 200
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert "redis.unavailable" in {finding["code"] for finding in unready.json()["findings"]}
        assert not following.done()

        await cluster.start_valkey()

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await wait_until(ready, beside=following)
        gate.touch()
        await following
        for each in accepted:
            assert (await client.get(f"{path_of(each)}/join")).json()["count"] == 2
        assert follower.ended
        assert (await client.get(path_of(run))).json()["attempt"] == 1, "no node ran twice"
        counts = [count for count in follower.counts if count]
        assert counts == list(range(1, len(counts) + 1)), "every event was sent once"
