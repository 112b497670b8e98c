"""The share of the new threads that a rollout gives to a version, as threads really get it when their runs are created.

`SLIPWAY_TEST_THREADS` sets the number of threads; `make drill` creates 10,000.
"""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.version_drills.projects import project

THREADS: Final = int(os.environ.get("SLIPWAY_TEST_THREADS", "300"))
AT_ONCE: Final = 50
PATH: Final = "/ops/rollouts/chain"


async def test_threads_keep_their_version_and_the_share_is_within_binomial_bounds(
    valkey_url: str, keys: Keys, tmp_path: Path
) -> None:
    config = project(tmp_path, ["chain"], ["1", "2"], "at-next-run", default="1")
    settings = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config})
    async with (
        serving(settings, await Registry.load(config)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        await send(client, "PUT", PATH, {"versions": {"2": 20}})
        threads = [str(uuid4()) for _ in range(THREADS)]
        first = await create_runs(client, threads)
        assert_share(list(first.values()), 0.2)
        seen = {each["version"]: each["threads"] for each in (await send(client, "GET", PATH))["versions"]}
        assert seen["2"] == list(first.values()).count("2"), "the status counts what threads have got"
        await send(client, "PUT", PATH, {"versions": {"2": 50}})
        again = await create_runs(client, threads[:AT_ONCE])
        assert again == {thread: first[thread] for thread in again}, "a thread keeps its version"


async def create_runs(client: httpx.AsyncClient, threads: list[str]) -> dict[str, str]:
    """Creates a run on each thread. Returns the version of each."""

    async def create(thread: str) -> str:
        body = {"assistant_id": "chain", "input": {"log": []}, "if_not_exists": "create"}
        return str((await send(client, "POST", f"/threads/{thread}/runs", body))["version"])

    created: dict[str, str] = {}
    for start in range(0, len(threads), AT_ONCE):
        some = threads[start : start + AT_ONCE]
        created |= dict(zip(some, await asyncio.gather(*map(create, some)), strict=True))
    return created


async def send(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    response = await client.request(method, path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def assert_share(versions: list[str], share: float) -> None:
    """The share of version 2 is within five standard deviations: by chance one of three million runs fails."""
    deviation = math.sqrt(len(versions) * share * (1 - share))
    assert abs(versions.count("2") - len(versions) * share) <= 5 * deviation
