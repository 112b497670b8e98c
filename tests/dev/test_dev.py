"""`slipway dev`: it waits until its children are ready, and releases the runs of a child that exited."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
from pathlib import Path

import pytest

from slipway.processes.dev import announce_when_ready, child_specs, listen
from slipway.processes.readiness import VARIABLE
from slipway.processes.supervisor import ChildExit, ChildSpec, Supervisor
from slipway.redis.keys import Keys
from slipway.runs.record import Phase, Run
from slipway.settings import Settings
from tests.runs.conftest import PROJECT, Stores, opened
from tests.waiting import Eventually, event_loop_iterations

pytestmark = pytest.mark.processes

NO_PROCESS = 2**22 + 1
"""A process id above the largest that Linux assigns."""


SERVES_LATER = f"""
import os, pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
os.write(int(os.environ[{VARIABLE!r}]), b"1")
time.sleep(60)
"""
"""Becomes ready when the file in its argument exists."""


@pytest.mark.parametrize(("first", "second"), [("web", "worker"), ("worker", "web")])
async def test_the_ready_line_is_printed_when_both_processes_serve(
    first: str, second: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], eventually: Eventually
) -> None:
    supervisor, settings = Supervisor(), Settings.from_values({"config": PROJECT, "host": "127.0.0.1"})
    for name in (first, second):
        command = (sys.executable, "-c", SERVES_LATER, str(tmp_path / name))
        await supervisor.start_child(ChildSpec(name, command))
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        (tmp_path / first).touch()
        await eventually(lambda: supervisor.is_ready(first))
        announcing = asyncio.create_task(announce_when_ready(settings, listener, supervisor))
        await event_loop_iterations(5)
        assert not announcing.done()
        assert "ready http" not in capsys.readouterr().out
        (tmp_path / second).touch()
        await announcing
        assert capsys.readouterr().out.endswith(f"ready http://127.0.0.1:{listener.getsockname()[1]}\n")
    supervisor.kill()
    await supervisor.stop()


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
