"""Bursts of runs on a Redis of 25 MB with 20 connections, as small plans of platforms have it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from slipway.runs.record import new_id
from tests.crash.cluster import ROOT, Cluster, running
from tests.small_server.memory_probe import MemoryProbe, probing

MAX_BYTES: Final = 25 * 1024 * 1024
HIGH_WATER: Final = 0.85
ALLOWED_OVER: Final = 0.05
"""The part of the memory by which a burst may exceed the high-water mark."""
PROJECT: Final = Path(__file__).with_name("langgraph.json")
INPUTS: Final[dict[str, dict[str, Any]]] = {
    "research_assistant": {"question": "What changed in the refund policy between its versions?"},
    "small": {"text": "x"},
}
_PAUSE_S: Final = 0.05


@dataclass(slots=True)
class Burst:
    """What the clients of one burst received. `rejected_since` counts the rejected requests since a run was accepted,
    and `phases` the accepted runs by their status in the end."""

    graph: str
    accepted: list[tuple[str, str]] = field(default_factory=list)
    rejected: int = 0
    rejected_since: int = 0
    other: Counter[int] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    peak: int = 0
    used_before: int = 0
    used_after: int = 0

    @property
    def peak_ratio(self) -> float:
        return self.peak / MAX_BYTES

    @property
    def bytes_per_run(self) -> float:
        return (self.used_after - self.used_before) / max(len(self.accepted), 1)


@asynccontextmanager
async def small_server(*, webs: int = 2, workers: int = 2) -> AsyncIterator[tuple[Cluster, MemoryProbe]]:
    """The processes of a deployment, and the probe of its Redis."""
    library = {"SLIPWAY_LIBRARY_DIR": str(ROOT / "examples" / "library")}
    async with running(webs=webs, workers=workers, project=PROJECT, graphs_env=library) as cluster:
        for name, value in (("maxmemory", MAX_BYTES), ("maxclients", 20)):
            await cluster.pipeline.send("CONFIG", "SET", name, value)
        await asyncio.sleep(1)  # the time in which every process measures the memory again
        async with probing(cluster.redis_url) as probe:
            yield cluster, probe


async def burst(
    cluster: Cluster, probe: MemoryProbe, graph: str, *, clients: int = 32, seconds: float, rejections: int
) -> Burst:
    """Clients create runs on new threads and wait for each, until that many requests in a row were rejected or the time
    is over: what runs in progress have reserved is free for others when they have ended. Returns when no run is in
    progress any more."""
    result = Burst(graph, used_before=await probe.sample())
    probe.peak = 0
    ends_at = time.monotonic() + seconds

    async def client(number: int) -> None:
        url = cluster.webs[number % len(cluster.webs)].url
        async with httpx.AsyncClient(base_url=url, timeout=120) as http:
            while time.monotonic() < ends_at and result.rejected_since < rejections:
                thread_id = new_id()
                body = {"assistant_id": graph, "input": INPUTS[graph], "if_not_exists": "create"}
                response = await http.post(f"/threads/{thread_id}/runs/wait", json=body)
                if response.status_code == 200:
                    result.accepted.append((thread_id, response.headers["content-location"].rpartition("/")[2]))
                    result.rejected_since = 0
                elif response.status_code == 503 and response.json().get("code") == "overloaded":
                    result.rejected += 1
                    result.rejected_since += 1
                    await asyncio.sleep(_PAUSE_S)  # clients that do not respect Retry-After
                else:
                    result.other[response.status_code] += 1

    await asyncio.gather(*map(client, range(clients)))
    result.peak, result.used_after = probe.peak, await probe.sample()
    for _, run_id in result.accepted:
        result.phases[(await cluster.run(run_id)).get("phase", "missing")] += 1
    return result


async def delete_threads(cluster: Cluster, threads: list[str]) -> None:
    """Deletes threads through the API, while memory is at the mark."""
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=30) as http:
        for thread_id in threads:
            response = await http.delete(f"/threads/{thread_id}")
            assert response.status_code == 204, response.text


async def seconds_until_accepted(cluster: Cluster, graph: str, within_s: float = 20) -> float:
    """How long it takes until a run is created and ends again."""
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=30) as http:
        while time.monotonic() < began + within_s:
            body = {"assistant_id": graph, "input": INPUTS[graph], "if_not_exists": "create"}
            response = await http.post(f"/threads/{new_id()}/runs/wait", json=body)
            if response.status_code == 200:
                return time.monotonic() - began
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError(f"no run was accepted within {within_s:g} s after the deletions: {response.text}")
