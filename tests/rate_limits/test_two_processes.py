"""Rates and streams over two real web processes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import websockets

from slipway.runs.record import new_id
from tests.crash.cluster import Cluster, running
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

PROJECT: Final = Path(__file__).parent / "project" / "langgraph.json"
CLIENTS: Final = 64
SLOT_LEASE_S: Final = 15


def token(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}-token"}


async def send_all(cluster: Cluster, requests: int, path: str, headers: dict[str, str]) -> Counter[int]:
    """The statuses of requests that 64 clients send at once to both processes."""
    urls = [web.url for web in cluster.webs]

    async def client(number: int) -> list[int]:
        async with httpx.AsyncClient(base_url=urls[number % len(urls)], headers=headers, timeout=30) as client:
            return [(await client.get(path)).status_code for _ in range(requests // CLIENTS)]

    return Counter(status for each in await asyncio.gather(*map(client, range(CLIENTS))) for status in each)


async def test_rate_per_key_is_exact_to_one_request_over_two_processes() -> None:
    async with running(webs=2, project=PROJECT, rate_per_key="1/d burst 333") as cluster:
        statuses = await send_all(cluster, 640, f"/threads/{new_id()}", token("ann"))
        assert statuses == {404: 333, 429: 307}
        async with httpx.AsyncClient(base_url=cluster.webs[0].url) as client:
            limited = await client.get(f"/threads/{new_id()}", headers=token("ann"))
            assert limited.headers["ratelimit"].startswith('"user";r=0;t=')
            assert limited.headers["ratelimit-policy"] == f'"user";q=333;w={333 * 86400}'
            assert 80_000 < int(limited.headers["retry-after"]) <= 86_400
            assert limited.json()["code"] == "rate.limited"
            other = await client.get(f"/threads/{new_id()}", headers=token("bob"))
            assert (other.status_code, other.headers["ratelimit"].split(";")[1]) == (404, "r=332")
            assert (await client.get("/ok", headers=token("ann"))).status_code == 200
            assert (
                'slipway_rate_limited_requests_total{policy="user",shadow="no"}' in (await client.get("/metrics")).text
            )


async def test_rate_per_key_writes_limits_only_what_may_change_something() -> None:
    async with running(webs=1, project=PROJECT, rate_per_key_writes="1/d burst 2") as cluster:
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, headers=token("ann")) as client:
            created = [(await client.post("/threads", json={})).status_code for _ in range(3)]
            assert created == [200, 200, 429]
            assert (await client.post("/threads/search", json={})).status_code == 200
            assert (await client.get(f"/threads/{new_id()}")).status_code == 404
        uri = f"ws://{cluster.webs[0].url.removeprefix('http://')}/threads/{new_id()}/stream/events"
        async with websockets.connect(uri, additional_headers=token("ann")) as socket:
            await socket.send(json.dumps({"id": 1, "method": "run.start", "params": {"assistant_id": "graph"}}))
            assert "more requests than the rate 'user-writes' permits" in str(await socket.recv())


async def test_rate_per_address_limits_guesses_of_keys_exactly_and_not_those_who_have_one() -> None:
    async with running(webs=2, project=PROJECT, rate_per_address="1/d burst 100") as cluster:
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, headers=token("ann")) as client:
            for _ in range(120):
                assert (await client.get(f"/threads/{new_id()}")).status_code == 404
        statuses = await send_all(cluster, 256, f"/threads/{new_id()}", {"authorization": "Bearer guess"})
        assert statuses == {401: 100, 429: 156}
        async with httpx.AsyncClient(base_url=cluster.webs[1].url, headers=token("ann")) as client:
            found = await client.get(f"/threads/{new_id()}")
            assert found.status_code == 429, "a right guess is not tried any more"
            assert found.json()["policy"] == "address"


async def test_rate_shadow_serves_requests_above_the_rate_and_says_so() -> None:
    async with running(webs=1, project=PROJECT, rate_per_key="1/d", rate_shadow="1") as cluster:
        web = cluster.webs[0]
        async with httpx.AsyncClient(base_url=web.url, headers=token("ann")) as client:
            for _ in range(5):
                assert (await client.get(f"/threads/{new_id()}")).status_code == 404
            assert (
                'slipway_rate_limited_requests_total{policy="user",shadow="yes"} 4.0'
                in (await client.get("/metrics")).text
            )
        assert web.count_logged("rate.exceeded") == 1, "not a line for each request"


async def test_without_access_control_all_requests_of_an_address_are_counted() -> None:
    async with running(webs=2, rate_per_address="1/d burst 100") as cluster:
        assert await send_all(cluster, 256, f"/threads/{new_id()}", {}) == {404: 100, 429: 156}
        async with httpx.AsyncClient(base_url=cluster.webs[0].url) as client:
            assert (await client.get("/ok")).status_code == 200
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code in (200, 503)
            page = {"origin": "http://localhost:3000"}
            limited = await client.get(f"/threads/{new_id()}", headers=page)
            exposed = limited.headers["access-control-expose-headers"]
            assert {"ratelimit", "ratelimit-policy", "retry-after"} <= set(exposed.split(", "))


async def open_stream(stack: AsyncExitStack, url: str) -> int:
    """Opens a stream that stays open until the stack is closed. Returns its status."""
    client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
    request = client.build_request("GET", f"/threads/{THREAD}/stream")
    response = await client.send(request, stream=True)
    stack.push_async_callback(response.aclose)
    return response.status_code


THREAD: Final = new_id()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running(webs=2, max_streams_per_key=4) as cluster:
        async with httpx.AsyncClient(base_url=cluster.webs[0].url) as client:
            await client.post("/threads", json={"thread_id": THREAD})
        yield cluster


async def test_max_streams_per_key_counts_all_processes_and_a_killed_one_frees_its_streams(
    cluster: Cluster,
) -> None:
    first, second = cluster.webs
    socket = f"ws://{second.url.removeprefix('http://')}/threads/{THREAD}/stream/events"
    async with AsyncExitStack() as of_first, AsyncExitStack() as of_second:
        for stack, web in ((of_first, first), (of_first, first), (of_second, second)):
            assert await open_stream(stack, web.url) == 200
        await of_second.enter_async_context(websockets.connect(socket))

        async with httpx.AsyncClient(base_url=second.url) as client:
            rejected = await client.get(f"/threads/{THREAD}/stream")
            assert (rejected.status_code, rejected.json()["code"]) == (429, "streams.too_many")
            assert rejected.headers["retry-after"] == "5"
            run: dict[str, Any] = {"assistant_id": "steps", "input": {}}
            waited = await client.post(f"/threads/{THREAD}/runs/wait", json=run)
            assert waited.status_code == 429
            assert (await client.get(f"/threads/{THREAD}/runs")).json() == [], "nothing was created"
        async with websockets.connect(socket) as another:
            await another.wait_closed()
            assert another.close_code == 4429

        await first.kill()

        async def is_free() -> bool:
            return await open_stream(of_second, second.url) == 200

        await wait_until(is_free, SLOT_LEASE_S + 15)
    async with AsyncExitStack() as stack:

        async def all_are_free() -> bool:
            return all([await open_stream(stack, second.url) == 200 for _ in range(4)])

        await wait_until(all_are_free, SLOT_LEASE_S)


async def test_a_stream_that_stays_open_keeps_its_slot(cluster: Cluster) -> None:
    """Longer than the lease, which its process renews."""
    async with AsyncExitStack() as stack:
        for _ in range(4):
            assert await open_stream(stack, cluster.webs[0].url) == 200
        await asyncio.sleep(SLOT_LEASE_S + 2)  # the test is about time
        assert await open_stream(stack, cluster.webs[1].url) == 429
