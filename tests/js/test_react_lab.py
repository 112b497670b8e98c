"""What else React's `useStream` gives: events as they come, tool calls, threads to switch between, runs to join."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Watch
from tests.js.bundle import bundle, origin
from tests.js.driving import ALL, HALF, SOON_MS, idle, open_gate, replies, say, switch_threads, visit
from tests.js.lines import LINES, SDK
from tests.site import Site

pytestmark = pytest.mark.timeout(180)
ACTIVE = next(line for line, package in LINES.items() if package == SDK)


@pytest.fixture(scope="module", params=LINES)
def home(request: pytest.FixtureRequest, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served."""
    folder = tmp_path_factory.mktemp("lab")
    bundle("lab", folder, LINES[request.param])
    with origin(folder) as url:
        yield url


async def test_events_and_tool_calls_are_shown_as_they_come(site: Site, page: Page) -> None:
    await visit(page, site, "consulting")
    await say(page, "hello")
    await expect(page.locator("#calls li")).to_have_text(['consult {"question":"why?"} completed'], timeout=SOON_MS)
    await idle(page)
    await expect(page.locator("#custom li")).to_have_text(['0 {"asking":"why?"}'])
    await expect(page.locator("#told li")).to_have_text([f"finished 3 {len(str(uuid4()))}"])


@pytest.mark.parametrize("home", [ACTIVE], indirect=True)  # the other knows no events of tools
async def test_the_progress_of_tools_is_shown(site: Site, page: Page) -> None:
    await visit(page, site, "consulting")
    await say(page, "hello")
    await expect(page.locator("#progress li")).to_have_text(["consult completed"], timeout=SOON_MS)
    await expect(page.locator("#tools li")).to_have_text(["on_tool_start consult", "on_tool_end consult"])
    await idle(page)


async def test_what_is_said_is_shown_before_it_is_answered(site: Site, page: Page) -> None:
    gate = f"at once {uuid4()}"
    await visit(page, site, "gated")
    await say(page, gate)
    await expect(page.locator("#messages .human .text")).to_have_text(gate)
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(ALL.strip())
    await idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


async def test_threads_are_switched(site: Site, page: Page) -> None:
    await switch_threads(page, site)


async def test_a_run_that_somebody_else_started_is_joined(site: Site, page: Page) -> None:
    gate, thread = f"join {uuid4()}", (await site.call("POST", "/threads", {}))["thread_id"]
    given = {"messages": [{"type": "human", "content": gate}]}
    modes = {"stream_mode": ["values", "messages-tuple"], "stream_resumable": True}
    run = await site.call("POST", f"/threads/{thread}/runs", {"assistant_id": "gated", "input": given, **modes})
    await visit(page, site, "gated", thread=thread, run=run["run_id"])
    await page.get_by_role("button", name="Join").click()
    await expect(replies(page)).to_have_text(HALF.strip())
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(ALL.strip())
    await idle(page)
    await expect(page.locator("#told li")).to_have_text([f"finished 2 {len(thread)}"])


async def test_a_failure_is_shown_and_told(site: Site, page: Page, watch: Watch) -> None:
    watch.allowed.append("no luck today")
    await visit(page, site, "fail")
    await say(page, "anything")
    await expect(page.locator(".error")).to_contain_text("no luck today")
    await expect(page.locator("#told li").first).to_contain_text("no luck today")
    await idle(page)
