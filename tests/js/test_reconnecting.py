"""The JavaScript client comes back by itself when the web process that it reads from dies, and misses nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Eventually
from tests.js.lines import LINES
from tests.js.test_node import environment
from tests.site import Site

HERE = Path(__file__).parent
ENDS_WITHIN_S = 60
STEPS = 16


async def follow(site: Site, line: str, *thread: str) -> Process:
    """A client of this line that starts a run, on a thread or without one, and prints what it reads."""
    given = json.dumps({"steps": STEPS, "pause_s": 0.25})
    command = ("node", "node/follow.js", "climb", given, *thread)
    return await asyncio.create_subprocess_exec(
        *command, cwd=HERE, env=environment(site, line), stdout=PIPE, stderr=PIPE
    )


async def read(process: Process, count: int) -> list[dict[str, Any]]:
    """The next events; fewer when it ended."""
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(count)]
    return [json.loads(line) for line in lines if line]


async def logged_ids(site: Site, thread: str) -> list[str]:
    """The ids of all events of the thread's run, by the API."""
    (run,) = await site.call("GET", f"/threads/{thread}/runs")
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as client:
        log = await client.get(f"/threads/{thread}/runs/{run['run_id']}/stream", headers={"last-event-id": "-1"})
    return re.findall(r"^id: (\S+)", log.text, re.MULTILINE)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_web_process_goes_and_no_event_is_lost_or_doubled(
    site: Site, packages: Path, eventually: Eventually, by: signal.Signals
) -> None:
    threads = {line: str((await site.call("POST", "/threads", {}))["thread_id"]) for line in LINES}
    asked = [(line, thread) for line, made in threads.items() for thread in (made, None)]
    started = await asyncio.gather(*(follow(site, line, *filter(None, [thread])) for line, thread in asked))
    try:
        seen = [await read(process, 4) for process in started]
        before = site.child("web").pid
        site.child("web").send_signal(by)
        await eventually(lambda: any(one.pid != before for one in site.children("web")), 30)
        async with asyncio.timeout(ENDS_WITHIN_S):
            for events, process in zip(seen, started, strict=True):
                events.extend(await read(process, 200))
                assert process.stderr is not None
                assert await process.wait() == 0, await process.stderr.read()
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()
    for (line, thread), events in zip(asked, seen, strict=True):
        logged = [event for event in events if event["event"] != "reconnect"]
        assert len({event["id"] for event in logged}) == len(logged), (line, thread)
        assert [event["data"]["at"] for event in logged if "at" in event["data"]] == [*range(1, STEPS + 1)]
        if thread is not None:
            assert [event["id"] for event in logged] == await logged_ids(site, thread), line
