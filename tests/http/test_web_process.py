"""A real web process whose host app has streams of its own: garbage collections under load, and the stop."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from slipway.processes.child_commands import slipway
from slipway.processes.garbage_collection import FULL_AFTER_UNDER_LOAD
from slipway.redis.keys import Keys
from slipway.runs.record import new_id
from tests.bench.client import connections
from tests.environment import bare_environment, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

GRAPH = """
from langgraph.graph import START, StateGraph
graph = StateGraph(dict).add_node("answer", lambda state: state).add_edge(START, "answer").compile()
"""
HOST_APP = """
import asyncio, gc
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def ticks(request):
    async def events():
        while True:
            yield {"event": "tick", "data": "1"}
            await asyncio.sleep(0.05)
    return EventSourceResponse(events())

async def collector(request):
    return JSONResponse({"full": gc.get_stats()[2]["collections"], "threshold": gc.get_threshold()})

app = Starlette(routes=[Route("/ticks", ticks), Route("/collector", collector)])
"""
RUN = {"assistant_id": "graph", "input": {}, "if_not_exists": "create"}
STOPS_WITHIN_S = 10


@contextmanager
def web_process(folder: Path, valkey_url: str, keys: Keys, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`slipway web` with a graph and the host app. Kills it at the end if it still runs."""
    (folder / "graph.py").write_text(GRAPH)
    (folder / "app.py").write_text(HOST_APP)
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"graph": "./graph.py:graph"}, "http": {"app": "./app.py:app"}}))
    environment = {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": keys.prefix, "SLIPWAY_PORT": str(port)}
    process = subprocess.Popen(slipway("web", "--config", str(file)), env=bare_environment() | environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def web(
    tmp_path: Path, valkey_url: str, keys: Keys
) -> AsyncIterator[tuple[subprocess.Popen[bytes], httpx.AsyncClient]]:
    """The process, and an HTTP client of it."""
    port = free_port()
    with web_process(tmp_path, valkey_url, keys, port) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            async def is_ready() -> bool:
                assert process.poll() is None, "the process has exited"
                try:
                    return (await client.get("/ok")).status_code == 200
                except httpx.ConnectError:
                    return False

            await wait_until(is_ready, 60)
            yield process, client


async def test_no_full_garbage_collection_runs_under_load(
    web: tuple[subprocess.Popen[bytes], httpx.AsyncClient],
) -> None:
    _, client = web
    thread = f"/threads/{new_id()}"
    run = f"{thread}/runs/{(await client.post(f'{thread}/runs', json=RUN)).json()['run_id']}"
    assert (await client.post(f"{run}/cancel?wait=true")).status_code == 200
    before = (await client.get("/collector")).json()
    async with connections(str(client.base_url), 16) as opened:
        for _ in range(25):
            bodies = await asyncio.gather(*(each.get(f"{run}/stream?since_event_id=-1&end=true") for each in opened))
            assert all(body.count(b"event: end\r\n") == 1 for body in bodies)
    after = (await client.get("/collector")).json()
    assert after["full"] == before["full"]
    assert after["threshold"][2] == FULL_AFTER_UNDER_LOAD


async def test_streams_of_slipway_and_of_the_host_app_end_when_the_process_stops(
    web: tuple[subprocess.Popen[bytes], httpx.AsyncClient],
) -> None:
    """The host app uses sse-starlette as well, with the shutdown of that library."""
    process, client = web
    async with (
        client.stream("GET", "/ticks") as ticks,
        client.stream("POST", f"/threads/{new_id()}/runs/stream", json=RUN) as events,
    ):
        received = {"ticks": bytearray(), "events": bytearray()}

        async def read(name: str, response: httpx.Response) -> bool:
            """Returns whether the response is complete."""
            try:
                async for chunk in response.aiter_bytes():
                    received[name].extend(chunk)
            except httpx.RemoteProtocolError:
                return False
            return True

        reading = asyncio.gather(read("ticks", ticks), read("events", events))
        await wait_until(lambda: all(received.values()))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOPS_WITHIN_S):
            _, complete = await reading
    await wait_until(lambda: process.poll() is not None, STOPS_WITHIN_S)
    assert received["ticks"].count(b"event: tick\r\n") > 0
    assert b"event: reconnect\r\n" in received["events"]
    assert not complete
