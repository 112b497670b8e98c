"""What `slipway dev` does beside starting its children: it waits until they serve, and frees the runs of dead ones."""

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
from tests.conftest import free_port
from tests.runs.conftest import PROJECT, Stores, opened

pytestmark = pytest.mark.processes

NO_PROCESS = 2**22 + 1
"""A process id above the largest one that Linux gives."""


async def test_workers_of_an_earlier_start_do_not_make_it_ready(pipeline: Pipeline, keys: Keys) -> None:
    port = free_port()
    await pipeline.send("ZADD", keys.workers, 1999, "an earlier worker")
    assert await not_ready_reason(pipeline, keys, 2000, "127.0.0.1", port) == "no worker has sent a heartbeat"
    await pipeline.send("ZADD", keys.workers, 2000, "a worker of this start")
    assert await not_ready_reason(pipeline, keys, 2000, "127.0.0.1", port) == "the web process does not respond"


@pytest.mark.parametrize("child", ["worker", "web"])
async def test_the_runs_of_a_dead_child_are_free_at_once(valkey_url: str, keys: Keys, child: str) -> None:
    """Also when no address of Redis is set, because the server is the one that `slipway dev` started."""
    settings = Settings.of({"key_prefix": keys.prefix, "config": PROJECT})
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        specs = {spec.name: spec for spec in child_specs(settings, valkey_url, listener)}
    async with opened(valkey_url, keys) as stores:
        run = await claimed(stores)
        on_exit = specs[child].on_exit
        assert on_exit is not None
        await on_exit(ChildExit(child, NO_PROCESS, -9, 1.0))
        assert await stores.phase_of(run) is Phase.QUEUED


async def claimed(stores: Stores) -> Run:
    """A run that is held by a worker whose process is gone."""
    await stores.create_run()
    return await stores.claim_one(worker=f"{platform.node()}:{NO_PROCESS}:0")
