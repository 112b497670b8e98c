"""`useStream` of @langchain/react in Chromium, which uses the event protocol over server-sent events or a WebSocket."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PageObserver
from tests.js.client_versions import SDK
from tests.js.conftest import home_of
from tests.js.page_actions import (
    FULL_REPLY,
    HALF_REPLY,
    RUN_TIMEOUT_MS,
    open_gate,
    open_page,
    replies,
    send_message,
    thread_id_of,
    wait_idle,
)
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


home = home_of("events", {"bundled": None})


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_the_reply_is_shown_word_by_word(site: Site, page: Page, transport: str) -> None:
    gate = f"words {uuid4()}"
    await open_page(page, site, "gated", transport=transport)
    await send_message(page, gate)
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await expect(page.locator("#state")).to_have_text("running")
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip())
    await wait_idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_person_answers_an_interrupt_after_a_reload(site: Site, page: Page, transport: str) -> None:
    await open_page(page, site, "refund_desk", transport=transport)
    await send_message(page, '{"order_id": "A-1002", "reason": "It does not fit my bench"}')
    card = page.get_by_role("region", name="Approval")
    await expect(card).to_contain_text("Refund 389.00 EUR")
    await wait_idle(page)
    await page.reload()
    await expect(card).to_contain_text("Refund 389.00 EUR")
    await card.get_by_role("button", name="Reject").click()
    await expect(page.locator("#values")).to_contain_text("rejected by a person", timeout=RUN_TIMEOUT_MS)
    await expect(card).to_have_count(0)


# The client that @langchain/react depends on forks from the wrong checkpoint.
@pytest.mark.parametrize("home", [SDK], indirect=True)
async def test_an_earlier_message_can_be_edited(site: Site, page: Page) -> None:
    await open_page(page, site, "chat")
    await send_message(page, "My name is Ada")
    await expect(replies(page)).to_contain_text("Ada")
    await wait_idle(page)
    await send_message(page, "What is my name?")
    await expect(replies(page).last).to_contain_text("your name is Ada")
    await wait_idle(page)
    await page.get_by_role("button", name="Edit").first.click()
    await page.get_by_label("Edited").fill("My name is Grace")
    await page.get_by_role("button", name="Send edited").click()
    await expect(replies(page).last).to_contain_text("Nice to meet you, Grace")
    await wait_idle(page)
    state = await site.call("GET", f"/threads/{thread_id_of(page)}/state")
    assert [message["type"] for message in state["values"]["messages"]] == ["human", "ai"]


async def test_stop_cancels_the_run(site: Site, page: Page) -> None:
    await open_page(page, site, "gated")
    await send_message(page, f"stop {uuid4()}")
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await page.get_by_role("button", name="Stop").click()
    await wait_idle(page)
    (run,) = await site.call("GET", f"/threads/{thread_id_of(page)}/runs")
    await site.call("GET", f"/threads/{thread_id_of(page)}/runs/{run['run_id']}/join")
    (run,) = await site.call("GET", f"/threads/{thread_id_of(page)}/runs")
    assert run["status"] == "interrupted"


async def test_a_reload_during_a_run_loses_no_word(site: Site, page: Page) -> None:
    gate = f"reload {uuid4()}"
    await open_page(page, site, "gated")
    await send_message(page, gate)
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await page.reload()
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip())
    await wait_idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


async def test_a_killed_web_process_loses_no_word(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING")
    gate = f"killed {uuid4()}"
    await open_page(page, site, "gated")
    await send_message(page, gate)
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    site.child("web").kill()
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip(), timeout=RUN_TIMEOUT_MS)
    await wait_idle(page)


async def test_the_error_of_a_run_is_shown(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("no luck today")
    await open_page(page, site, "fail")
    await send_message(page, "anything")
    await expect(page.locator(".error")).to_contain_text("no luck today")
    await wait_idle(page)
