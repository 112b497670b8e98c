"""`useStream` of @langchain/react: tool calls, the messages of subgraphs, breakpoints, and the queue of submissions."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.js.conftest import home_of
from tests.js.page_actions import (
    FULL_REPLY,
    HALF_REPLY,
    RUN_TIMEOUT_MS,
    open_gate,
    open_page,
    replies,
    send_message,
    switch_threads,
    wait_idle,
)
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


home = home_of("subgraphs", {"bundled": None})


async def test_tool_calls_are_shown_with_their_output(site: Site, page: Page) -> None:
    await open_page(page, site, "agent")
    await send_message(page, "hello")
    await expect(page.locator("#messages li.tool")).to_have_count(2, timeout=RUN_TIMEOUT_MS)
    await wait_idle(page)
    # the client shows the error message of a failed tool as its output
    await expect(page.locator("#calls li")).to_have_text(
        [re.compile(r'^double {"number":21} finished 42$'), re.compile(r'^fail {"number":3} finished .*no luck with 3')]
    )


async def test_the_messages_of_a_subgraph_are_shown(site: Site, page: Page) -> None:
    """The subgraph is still running when the client subscribes: from one that ends at once it may miss messages."""
    gate, subgraph = f"subgraph {uuid4()}", page.locator("#subgraphs .subgraph")
    await open_page(page, site, "gated_subgraph")
    await send_message(page, gate)
    await expect(subgraph.locator(".text")).to_contain_text(HALF_REPLY.strip(), timeout=RUN_TIMEOUT_MS)
    await open_gate(site, gate)
    await expect(subgraph.locator(".text")).to_contain_text(FULL_REPLY.strip())
    await wait_idle(page)
    await expect(subgraph).to_contain_text("complete")
    await expect(replies(page)).to_have_text(FULL_REPLY.strip())


async def test_a_page_is_idle_at_a_breakpoint(site: Site, page: Page) -> None:
    await open_page(page, site, "stops", input='{"until": 2}')
    await send_message(page, "-")
    await expect(page.locator("#values")).to_contain_text('"at":1', timeout=RUN_TIMEOUT_MS)
    await wait_idle(page)


async def test_a_message_sent_during_a_run_is_queued(site: Site, page: Page) -> None:
    first, second = f"first {uuid4()}", f"second {uuid4()}"
    await open_page(page, site, "gated")
    await send_message(page, first)
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await send_message(page, second)
    await expect(page.locator("#queue")).to_have_text("1")
    await open_gate(site, second)
    await open_gate(site, first)
    await expect(replies(page)).to_have_text([FULL_REPLY.strip()] * 2, timeout=RUN_TIMEOUT_MS)
    await expect(page.locator("#queue")).to_have_text("0")
    await wait_idle(page)


async def test_a_page_can_switch_between_threads(site: Site, page: Page) -> None:
    await switch_threads(page, site)
