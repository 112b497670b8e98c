"""`useStream` of @langchain/react in Chromium, which uses the event protocol over server-sent events or a WebSocket."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import PageObserver
from tests.js.client_versions import SDK
from tests.js.conftest import home_of
from tests.js.page_actions import (
    HALF_REPLY,
    final_status,
    finish_gated_reply,
    open_page,
    reject_refund,
    reject_refund_after_reload,
    replies,
    request_refund,
    see_error_of_run,
    see_rejection,
    send_message,
    start_gated_reply,
    thread_id_of,
    wait_idle,
)
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


home = home_of("events", {"bundled": None})


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_the_reply_is_shown_word_by_word(site: Site, page: Page, transport: str) -> None:
    gate = await start_gated_reply(page, site, transport=transport)
    await expect(page.locator("#state")).to_have_text("running")
    await finish_gated_reply(page, site, gate)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_person_answers_an_interrupt_after_a_reload(site: Site, page: Page, transport: str) -> None:
    await reject_refund_after_reload(page, site, transport=transport)


async def test_an_interrupt_is_answered_before_the_events_of_the_thread_arrive(site: Site, page: Page) -> None:
    """A page shows the interrupt of the thread's state before it receives the event of the interrupt."""
    held: list[tuple[WebSocketRoute, str | bytes]] = []
    released = False

    def hold(route: WebSocketRoute) -> None:
        route.connect_to_server().on_message(
            lambda message: route.send(message) if released else held.append((route, message))
        )

    await request_refund(page, site, transport="websocket")
    await page.route_web_socket("**/stream/events", hold)
    await page.reload()
    await reject_refund(page)
    released = True
    for route, message in held:
        route.send(message)
    await see_rejection(page)


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
    await start_gated_reply(page, site)
    await page.get_by_role("button", name="Stop").click()
    await wait_idle(page)
    assert await final_status(site, thread_id_of(page)) == "interrupted"


async def test_a_reload_during_a_run_loses_no_word(site: Site, page: Page) -> None:
    gate = await start_gated_reply(page, site)
    await page.reload()
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await finish_gated_reply(page, site, gate)


async def test_a_killed_web_process_loses_no_word(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING")
    gate = await start_gated_reply(page, site)
    site.child("web").kill()
    await finish_gated_reply(page, site, gate)


async def test_the_error_of_a_run_is_shown(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("no luck today")
    await see_error_of_run(page, site)


async def test_calls_are_answered_one_by_one(site: Site, page: Page) -> None:
    await open_page(page, site, "per_call", transport="sse")
    await send_message(page, "go")
    approval = page.get_by_role("region", name="Approval")
    await expect(approval).to_contain_text("refund {")
    await approval.get_by_role("button", name="Approve").click()
    await expect(approval).to_contain_text("mail {", timeout=30_000)
    await approval.get_by_role("button", name="Reject").click()
    await expect(replies(page).last).to_contain_text("refunded 12.5 for A-1", timeout=30_000)
    await expect(replies(page).last).to_contain_text("User rejected the tool call for `mail`")
    await expect(approval).to_have_count(0)
