"""`slipway dev` with its own data, and a Chromium whose every request and complaint is watched; both once a session."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from app.processes import slipway
from app.settings import Settings

HERE = Path(__file__).parent
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
READY_WITHIN_S = 40.0
STOPS_WITHIN_S = 30.0
WAIT_MS = 15_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here are marked, share one event loop (the browser lives on it), and need Chromium: without it they
    are skipped, but never in CI."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if not CHROMIUM.exists() and os.environ.get("CI") != "true":
                item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not installed (Debian: apt install chromium)"))


@dataclass(frozen=True, slots=True)
class Site:
    """A running `slipway dev`."""

    url: str
    process: subprocess.Popen[bytes]

    def child(self, name: str) -> psutil.Process:
        """The process that `ps` shows as `slipway <name>`; the newest, when one is just being replaced."""
        every = psutil.Process(self.process.pid).children()
        return max((one for one in every if _runs(one, name)), key=lambda one: one.create_time())

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON API."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            answer = await client.request(method, path, json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    async def start(self, graph: str, given: Any, **more: Any) -> str:
        """A run by the API; returns its page's address."""
        body = {"assistant_id": graph, "input": given, "if_not_exists": "create", "stream_mode": ["values", "tasks"]}
        run = await self.call("POST", f"/threads/{uuid4()}/runs", body | more)
        return f"{self.url}/ui/threads/{run['thread_id']}/runs/{run['run_id']}"

    async def run_of(self, page: Page) -> dict[str, Any]:
        """The record of the run that a page shows."""
        found: dict[str, Any] = await self.call("GET", urlsplit(page.url).path.removeprefix("/ui"))
        return found


def _runs(process: psutil.Process, name: str) -> bool:
    try:
        return name in process.cmdline() and any("slipway" in part or part == "app.cli" for part in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The project's graphs, served."""
    folder = tmp_path_factory.mktemp("browser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bare = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    options = ("--config", str(HERE / "project" / "langgraph.json"), "--port", str(port), "--data-dir", str(folder))
    log = folder / "dev.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            slipway("dev", *options), cwd=HERE.parent.parent, env=bare, stdout=out, stderr=subprocess.STDOUT
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        await chromium.close()


@dataclass
class Watch:
    """What a page said and asked for. A test adds to `allowed` what it provokes."""

    url: str
    allowed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def request(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.complaints.append(f"request to {request.url}")

    def unexpected(self) -> list[str]:
        return [each for each in self.complaints if not any(part in each for part in self.allowed)]


@pytest_asyncio.fixture(loop_scope="session")
async def watch(site: Site) -> Watch:
    """What the test's page complains about."""
    return Watch(site.url)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, site: Site, watch: Watch) -> AsyncIterator[Page]:
    """An empty page of a fresh browser profile. The test fails when the page complained, or asked another host."""
    async with await browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("console", watch.console)
        page.on("pageerror", lambda error: watch.complaints.append(f"error: {error}"))
        page.on("request", watch.request)
        yield page
        assert await page.evaluate("window.pwned") is None, "a script of a graph's output ran"
    await asyncio.sleep(0)
    assert watch.unexpected() == []
