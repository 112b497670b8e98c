"""`slipway dev` with a project of the tests, a temporary data directory and a free port."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
from playwright.async_api import Page

from slipway.processes.child_commands import slipway
from tests.environment import bare_environment, free_port

ROOT: Final = Path(__file__).parent.parent
READY_WITHIN_S: Final = 40.0
STOPS_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """A running `slipway dev`."""

    url: str
    process: subprocess.Popen[bytes]

    def children(self, name: str) -> list[psutil.Process]:
        """The processes whose command line is `slipway <name>`: none or two while one is replaced."""
        return [process for process in psutil.Process(self.process.pid).children() if _executes(process, name)]

    def child(self, name: str) -> psutil.Process:
        """The newest of these processes."""
        return max(self.children(name), key=lambda process: process.create_time())

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the JSON API. Returns the JSON of the response."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            response = await client.request(method, path, json=body)
            response.raise_for_status()
            return response.json() if response.content else None

    async def start(self, graph: str, graph_input: Any, **options: Any) -> str:
        """Create a run by the API. Returns the URL of its page."""
        body = {
            "assistant_id": graph,
            "input": graph_input,
            "if_not_exists": "create",
            "stream_mode": ["values", "tasks"],
        }
        run = await self.call("POST", f"/threads/{uuid4()}/runs", body | options)
        return f"{self.url}/ui/threads/{run['thread_id']}/runs/{run['run_id']}"

    async def run_of(self, page: Page) -> dict[str, Any]:
        """The record of the run that a page shows."""
        record: dict[str, Any] = await self.call("GET", urlsplit(page.url).path.removeprefix("/ui"))
        return record


def _executes(process: psutil.Process, name: str) -> bool:
    """The command line of a forked process is one string, which psutil divides only in some cases."""
    try:
        command_line = " ".join(process.cmdline()).split()
        return name in command_line and any("slipway" in part for part in command_line)
    except psutil.Error:
        return False


@contextmanager
def running_site(config: Path, folder: Path, **options: str) -> Iterator[Site]:
    """Serve the graphs of `config` until the end of the block, with data and log in `folder`. `options` are further
    environment variables."""
    port = free_port()
    arguments = ("--config", str(config), "--port", str(port), "--data-dir", str(folder))
    log = folder / "dev.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            slipway("dev", *arguments), cwd=ROOT, env=bare_environment() | options, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(process, log)
        yield Site(f"http://127.0.0.1:{port}", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOPS_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while b"ready http" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"slipway dev is not ready: {log.read_text()[-3000:]}")
        time.sleep(0.05)
