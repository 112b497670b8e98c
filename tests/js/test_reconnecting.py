"""The JavaScript client reconnects when its web process stops, and receives every event once."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import logged_event_ids
from tests.js.client_versions import VERSIONS
from tests.js.test_node import environment
from tests.site import Site
from tests.waiting import Eventually

HERE = Path(__file__).parent
ENDS_WITHIN_S = 60
STEPS = 16


async def follow(site: Site, version: str, *thread: str) -> Process:
    """Starts a client of this version that creates a run, on a thread or stateless, and prints the events."""
    run_input = json.dumps({"steps": STEPS, "pause_s": 0.25})
    command = ("node", "node/follow.js", "slow_steps", run_input, *thread)
    return await asyncio.create_subprocess_exec(
        *command, cwd=HERE, env=environment(site, version), stdout=PIPE, stderr=PIPE
    )


async def read(process: Process, count: int) -> list[dict[str, Any]]:
    """The next `count` events; fewer if the client exits."""
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(count)]
    return [json.loads(line) for line in lines if line]


async def logged_ids(site: Site, thread: str) -> list[str]:
    """The ids of all events in the log of the thread's only run."""
    (run,) = await site.call("GET", f"/threads/{thread}/runs")
    return await logged_event_ids(site, f"/threads/{thread}/runs/{run['run_id']}")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_no_event_is_lost_or_repeated_when_a_web_process_stops(
    site: Site, node_modules: Path, eventually: Eventually, stop_signal: signal.Signals
) -> None:
    threads = {version: str((await site.call("POST", "/threads", {}))["thread_id"]) for version in VERSIONS}
    cases = [(version, thread) for version, created in threads.items() for thread in (created, None)]
    clients = await asyncio.gather(*(follow(site, version, *filter(None, [thread])) for version, thread in cases))
    try:
        received = [await read(client, 4) for client in clients]
        before = site.child("web").pid
        site.child("web").send_signal(stop_signal)
        await eventually(lambda: any(process.pid != before for process in site.children("web")), 30)
        async with asyncio.timeout(ENDS_WITHIN_S):
            for events, client in zip(received, clients, strict=True):
                events.extend(await read(client, 200))
                assert client.stderr is not None
                assert await client.wait() == 0, await client.stderr.read()
    finally:
        for client in clients:
            if client.returncode is None:
                client.kill()
                await client.wait()
    for (version, thread), events in zip(cases, received, strict=True):
        logged = [event for event in events if event["event"] != "reconnect"]
        assert len({event["id"] for event in logged}) == len(logged), (version, thread)
        assert [event["data"]["done"] for event in logged if "done" in event["data"]] == [*range(1, STEPS + 1)]
        if thread is not None:
            assert [event["id"] for event in logged] == await logged_ids(site, thread), version
