"""`useStream` of @langchain/langgraph-sdk/react: event callbacks, tool calls, several threads, and joining a run."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PageObserver
from tests.js.client_versions import SDK, VERSIONS
from tests.js.conftest import home_of
from tests.js.page_actions import (
    FULL_REPLY,
    HALF_REPLY,
    RUN_TIMEOUT_MS,
    open_gate,
    open_page,
    replies,
    see_error_of_run,
    send_message,
    switch_threads,
    wait_idle,
)
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


home = home_of("stream_details", VERSIONS)


async def test_custom_events_and_tool_calls_are_shown(site: Site, page: Page) -> None:
    await open_page(page, site, "consulting")
    await send_message(page, "hello")
    await expect(page.locator("#calls li")).to_have_text(
        ['consult {"question":"why?"} completed'], timeout=RUN_TIMEOUT_MS
    )
    await wait_idle(page)
    await expect(page.locator("#custom li")).to_have_text(['0 {"asking":"why?"}'])
    await expect(page.locator("#log li")).to_have_text([f"finished 3 {len(str(uuid4()))}"])


# The other versions have no events of tools.
@pytest.mark.parametrize("home", [SDK], indirect=True)
async def test_the_progress_of_tools_is_shown(site: Site, page: Page) -> None:
    await open_page(page, site, "consulting")
    await send_message(page, "hello")
    await expect(page.locator("#progress li")).to_have_text(["consult completed"], timeout=RUN_TIMEOUT_MS)
    await expect(page.locator("#tools li")).to_have_text(["on_tool_start consult", "on_tool_end consult"])
    await wait_idle(page)


async def test_a_message_is_shown_before_its_run_starts(site: Site, page: Page) -> None:
    gate = f"at once {uuid4()}"
    await open_page(page, site, "gated")
    await send_message(page, gate)
    await expect(page.locator("#messages .human .text")).to_have_text(gate)
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip())
    await wait_idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


async def test_a_page_can_switch_between_threads(site: Site, page: Page) -> None:
    await switch_threads(page, site)


async def test_a_run_of_another_client_is_joined(site: Site, page: Page) -> None:
    gate, thread = f"join {uuid4()}", (await site.call("POST", "/threads", {}))["thread_id"]
    run_input = {"messages": [{"type": "human", "content": gate}]}
    modes = {"stream_mode": ["values", "messages-tuple"], "stream_resumable": True}
    run = await site.call("POST", f"/threads/{thread}/runs", {"assistant_id": "gated", "input": run_input, **modes})
    await open_page(page, site, "gated", thread=thread, run=run["run_id"])
    await page.get_by_role("button", name="Join").click()
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip())
    await wait_idle(page)
    await expect(page.locator("#log li")).to_have_text([f"finished 2 {len(thread)}"])


async def test_the_error_of_a_run_is_shown_and_reported(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("no luck today")
    await see_error_of_run(page, site)
    await expect(page.locator("#log li").first).to_contain_text("no luck today")
