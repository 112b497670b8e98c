"""What else `@langchain/react` gives: tool calls, the graphs inside with their own messages, and a queue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.js.bundle import bundle, origin
from tests.js.driving import ALL, HALF, SOON_MS, idle, open_gate, replies, say, switch_threads, visit
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def home(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served."""
    folder = tmp_path_factory.mktemp("scoped")
    bundle("scoped", folder)
    with origin(folder) as url:
        yield url


async def test_tool_calls_are_rendered(site: Site, page: Page) -> None:
    await visit(page, site, "agent")
    await say(page, "hello")
    await expect(page.locator("#messages li.tool")).to_have_count(2, timeout=SOON_MS)
    await idle(page)
    # the client takes the answer of a tool that failed for its output, once there is one
    await expect(page.locator("#calls li")).to_have_text(
        [re.compile(r'^double {"number":21} finished 42$'), re.compile(r'^fail {"number":3} finished .*no luck with 3')]
    )


async def test_the_graphs_inside_have_messages_of_their_own(site: Site, page: Page) -> None:
    """The client hears those of a graph that goes on; where it ends in the same instant it may stop listening first."""
    gate, inside = f"inside {uuid4()}", page.locator("#subgraphs .inside")
    await visit(page, site, "inside")
    await say(page, gate)
    await expect(inside.locator(".text")).to_contain_text(HALF.strip(), timeout=SOON_MS)
    await open_gate(site, gate)
    await expect(inside.locator(".text")).to_contain_text(ALL.strip())
    await idle(page)
    await expect(inside).to_contain_text("complete")
    await expect(replies(page)).to_have_text(ALL.strip())


async def test_a_breakpoint_lets_the_page_go(site: Site, page: Page) -> None:
    await visit(page, site, "stops", input='{"until": 2}')
    await say(page, "-")
    await expect(page.locator("#values")).to_contain_text('"at":1', timeout=SOON_MS)
    await idle(page)


async def test_what_is_said_meanwhile_waits_its_turn(site: Site, page: Page) -> None:
    first, second = f"first {uuid4()}", f"second {uuid4()}"
    await visit(page, site, "gated")
    await say(page, first)
    await expect(replies(page)).to_have_text(HALF.strip())
    await say(page, second)
    await expect(page.locator("#queue")).to_have_text("1")
    await open_gate(site, second)
    await open_gate(site, first)
    await expect(replies(page)).to_have_text([ALL.strip()] * 2, timeout=SOON_MS)
    await expect(page.locator("#queue")).to_have_text("0")
    await idle(page)


async def test_threads_are_switched(site: Site, page: Page) -> None:
    await switch_threads(page, site)
