"""`slipway dev`: it waits until its children are ready, and releases the runs of a child that exited."""

from __future__ import annotations

import contextlib
import platform

import pytest

from slipway.processes.dev import child_specs, listen, not_ready_reason
from slipway.processes.supervisor import ChildExit
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase, Run
from slipway.settings import Settings
from tests.environment import free_port
from tests.runs.conftest import PROJECT, Stores, opened

pytestmark = pytest.mark.processes

NO_PROCESS = 2**22 + 1
"""A process id above the largest that Linux assigns."""


async def test_heartbeats_of_earlier_workers_do_not_count_for_readiness(pipeline: Pipeline, keys: Keys) -> None:
    port = free_port()
    await pipeline.send("ZADD", keys.workers, 1999, "an earlier worker")
    assert await not_ready_reason(pipeline, keys, 2000, "127.0.0.1", port) == "no worker has sent a heartbeat"
    await pipeline.send("ZADD", keys.workers, 2000, "a worker of this start")
    assert await not_ready_reason(pipeline, keys, 2000, "127.0.0.1", port) == "the web process does not respond"


@pytest.mark.parametrize("child", ["worker", "web"])
async def test_the_runs_of_a_child_that_exited_are_queued_at_once(valkey_url: str, keys: Keys, child: str) -> None:
    """Also if no Redis URL is set, because `slipway dev` started the server itself."""
    settings = Settings.from_values({"key_prefix": keys.prefix, "config": PROJECT})
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        specs = {spec.name: spec for spec in child_specs(settings, valkey_url, listener)}
    async with opened(valkey_url, keys) as stores:
        run = await claimed_by_dead_worker(stores)
        on_exit = specs[child].on_exit
        assert on_exit is not None
        await on_exit(ChildExit(child, NO_PROCESS, -9, 1.0))
        assert await stores.phase_of(run) is Phase.QUEUED


async def claimed_by_dead_worker(stores: Stores) -> Run:
    """A run claimed by a worker whose process does not exist."""
    await stores.create_run()
    return await stores.claim_one(worker=f"{platform.node()}:{NO_PROCESS}:0")
