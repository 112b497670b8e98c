"""Commands in a checkout, as a platform starts and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
from langgraph_sdk import get_client

from tests.conftest import wait_until


@contextlib.asynccontextmanager
async def command(line: str, folder: Path, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that a shell runs in `folder`, with a process group of its own. What it writes is appended to the file
    `log` there; what is left of it at the end is killed."""
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", line), cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if running(process):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def running(process: asyncio.subprocess.Process) -> bool:
    """Whether anything of its process group is left."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


async def stops(*processes: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to all their process groups, and return when nothing is left of them."""
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
    await wait_until(lambda: not any(map(running, processes)), 30)


async def ready(url: str) -> None:
    """Return once new runs would be kept and a worker is there to execute them."""
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        await wait_until(lambda: _ready(client))


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/readyz")
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and "workers.none" not in answer.text


async def serves(url: str) -> None:
    """A run of a graph that ships is executed, and its events are streamed."""
    await ready(url)
    async with get_client(url=url) as client:
        thread_id = (await client.threads.create())["thread_id"]
        given = {"question": "What has changed?"}
        stream = client.runs.stream(thread_id, "research_assistant", input=given, stream_mode=["updates", "values"])
        events = [part.event async for part in stream]
        assert {"metadata", "updates", "values"} <= set(events)
        assert "error" not in events
        assert (await client.threads.get(thread_id))["status"] == "idle"
