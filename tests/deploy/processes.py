"""Starts and stops commands in a checkout as a platform does, and checks that they serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
from langgraph_sdk import get_client

from tests.waiting import wait_until


@contextlib.asynccontextmanager
async def command(line: str, folder: Path, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Executes a command line with a shell in `folder`, as a process group, and appends its output to `folder/log`. At
    the end of the block, the remaining processes of the group are killed."""
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", line), cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if group_exists(process):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def group_exists(process: asyncio.subprocess.Process) -> bool:
    """True while the process group has a process."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


async def stop(*processes: asyncio.subprocess.Process) -> None:
    """Sends SIGTERM to the process groups, and waits until all their processes exited."""
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
    await wait_until(lambda: not any(map(group_exists, processes)), 30)


async def dev_url(dev: asyncio.subprocess.Process, log: Path) -> str:
    """Waits until `slipway dev` logs that it is ready, and returns its URL."""
    with contextlib.suppress(TimeoutError):
        await wait_until(lambda: "ready http" in log.read_text() or dev.returncode is not None, 120)
    ready = re.search(r"ready (http://\S+)", log.read_text())
    assert ready is not None, log.read_text()
    return ready[1]


async def wait_ready(url: str) -> None:
    """Waits until the web process accepts runs and a worker is live."""
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        await wait_until(lambda: _is_ready(client))


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        response = await client.get("/readyz")
    except httpx.TransportError:
        return False
    return response.status_code == 200 and "workers.none" not in response.text


async def first_key(line: str, folder: Path, env: Mapping[str, str]) -> str:
    """The API key that `line`, a command line of Slipway up to its subcommand, creates."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"{line} keys create --scope administer"),
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return output.decode().strip()


async def assert_serves(url: str, key: str | None = None) -> None:
    """Asserts that a run of an example graph is executed and its events are streamed. `key` is an API key."""
    await wait_ready(url)
    async with get_client(url=url, api_key=key) as client:
        thread_id = (await client.threads.create())["thread_id"]
        run_input = {"question": "What has changed?"}
        stream = client.runs.stream(thread_id, "research_assistant", input=run_input, stream_mode=["updates", "values"])
        events = [part.event async for part in stream]
        assert {"metadata", "updates", "values"} <= set(events)
        assert "error" not in events
        assert (await client.threads.get(thread_id))["status"] == "idle"
