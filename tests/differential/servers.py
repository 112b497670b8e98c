"""Starts and stops both servers, each with its own copy of the same project."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import httpx

from tests.differential import reference
from tests.environment import free_port

PROJECT: Final = Path(__file__).parent / "project"
VARIABLES: Final = {
    "LANGGRAPH_CONFIG": '{"config_from_environment": {"configurable": {"from_environment": 1}, "tags": ["default"]}}',
    "LANGGRAPH_DEFAULT_RECURSION_LIMIT": "45",
}
"""Environment variables of both servers."""

START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 40.0


@contextlib.asynccontextmanager
async def both_servers(environment: Path, work: Path) -> AsyncIterator[tuple[str, str]]:
    """The URLs of the reference server and of Slipway. Both stop when the block ends; their logs stay in `work`."""
    async with (
        _server("reference", work, lambda port: reference.command(environment, port)) as reference_url,
        _server("slipway", work, lambda port: _slipway_command(work, port)) as slipway_url,
    ):
        yield reference_url, slipway_url


def _slipway_command(work: Path, port: int) -> list[str]:
    command = str(Path(sys.executable).parent / "slipway")
    return [command, "dev", "--config", "langgraph.json", "--port", str(port), "--data-dir", str(work / "data")]


@contextlib.asynccontextmanager
async def _server(name: str, work: Path, command: Callable[[int], list[str]]) -> AsyncIterator[str]:
    folder = work / name
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command(port), cwd=folder, env=_environment(), stdout=log, stderr=subprocess.STDOUT)
        try:
            await wait_ready(url, process, work / f"{name}.log")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**inherited, **reference.ENVIRONMENT, **VARIABLES}


async def wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until `GET /ok` succeeds. Raises `RuntimeError` with the end of the log if the process exits before, or
    after `START_WITHIN_S` seconds."""
    deadline = time.monotonic() + START_WITHIN_S
    async with httpx.AsyncClient(base_url=url) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/ok")).is_success:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{url} is not ready (exit code {process.poll()}):\n{log.read_text()[-4000:]}")
