"""Starts `slipway dev` and Chromium, both once per session; observes the console and the requests of each page."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.site import Site, running_site

HERE = Path(__file__).parent
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WAIT_MS = 15_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this folder with `chromium`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            mark_chromium(item)


def mark_chromium(item: pytest.Item) -> None:
    """Marks a test with `chromium`, and runs it in the event loop of the session, which the browser uses.

    Without Chromium the test is skipped; in CI it fails.
    """
    item.add_marker(pytest.mark.chromium)
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    if not CHROMIUM.exists() and os.environ.get("CI") != "true":
        item.add_marker(pytest.mark.skip(reason=f"{CHROMIUM} is not installed (Debian: apt install chromium)"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`slipway dev` with the graphs of the project."""
    with running_site(HERE / "project" / "langgraph.json", tmp_path_factory.mktemp("browser")) as site:
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        await chromium.close()


async def logged_event_ids(site: Site, run_path: str, **parameters: str) -> list[str]:
    """The ids of all events in the log of a run; `run_path` is `/threads/<id>/runs/<id>`."""
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as client:
        log = await client.get(f"{run_path}/stream", params=parameters, headers={"last-event-id": "-1"})
    return re.findall(r"^id: (\S+)", log.text, re.MULTILINE)


@dataclass
class PageObserver:
    """Collects the errors and warnings in the console of a page, and its requests to other hosts.

    A test adds to `allowed` the parts of texts that it expects.
    """

    url: str
    allowed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def request(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.problems.append(f"request to {request.url}")

    def unexpected(self) -> list[str]:
        return [problem for problem in self.problems if not any(part in problem for part in self.allowed)]


@pytest_asyncio.fixture(loop_scope="session")
async def observer(site: Site) -> PageObserver:
    return PageObserver(site.url)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, site: Site, observer: PageObserver) -> AsyncIterator[Page]:
    """An empty page of a new browser profile. An unexpected console message or request fails the test."""
    async with await browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("console", observer.console)
        page.on("pageerror", lambda error: observer.problems.append(f"error: {error}"))
        page.on("request", observer.request)
        yield page
        assert await page.evaluate("window.pwned") is None, "a script in the output of a graph was executed"
    await asyncio.sleep(0)
    assert observer.unexpected() == []
