"""`useStream` of @langchain/langgraph-sdk/react in Chromium, on a page of another origin, with each client version."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PageObserver
from tests.js.client_versions import VERSIONS
from tests.js.conftest import home_of
from tests.js.page_actions import (
    HALF_REPLY,
    final_status,
    finish_gated_reply,
    open_page,
    reject_refund_after_reload,
    replies,
    see_error_of_run,
    send_message,
    start_gated_reply,
    thread_id_of,
    wait_idle,
)
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


home = home_of("chat", VERSIONS)


async def test_the_reply_is_shown_word_by_word(site: Site, page: Page) -> None:
    gate = await start_gated_reply(page, site)
    await expect(page.locator("#state")).to_have_text("running")
    await finish_gated_reply(page, site, gate)
    await expect(page.locator("#log")).to_have_text(re.compile(r"^created [0-9a-f-]{36}, finished$"))


async def test_the_example_chat_uses_the_history_of_the_thread(site: Site, page: Page) -> None:
    await open_page(page, site, "chat")
    await send_message(page, "My name is Ada")
    await expect(replies(page)).to_contain_text("Nice to meet you, Ada")
    await wait_idle(page)
    await send_message(page, "What is my name?")
    await expect(replies(page).last).to_contain_text("your name is Ada")
    await wait_idle(page)


async def test_a_person_answers_an_interrupt_after_a_reload(site: Site, page: Page) -> None:
    await reject_refund_after_reload(page, site)


async def test_editing_an_earlier_message_creates_a_branch(site: Site, page: Page) -> None:
    await open_page(page, site, "chat")
    await send_message(page, "My name is Ada")
    await expect(replies(page)).to_contain_text("Ada")
    await wait_idle(page)
    await send_message(page, "What is my name?")
    await expect(replies(page)).to_have_count(2)
    await wait_idle(page)
    await page.get_by_role("button", name="Edit").first.click()
    await page.get_by_label("Edited").fill("My name is Grace")
    await page.get_by_role("button", name="Send edited").click()
    await expect(replies(page)).to_have_count(1)
    await expect(replies(page)).to_contain_text("Nice to meet you, Grace")
    await wait_idle(page)
    await expect(page.locator(".branch")).to_have_text("2 of 2")
    await page.get_by_role("button", name="Earlier branch").click()
    await expect(replies(page)).to_have_count(2)
    await expect(replies(page).last).to_contain_text("your name is Ada")
    history = await site.call("POST", f"/threads/{thread_id_of(page)}/history", {"limit": 100})
    parents = [(state["parent_checkpoint"] or {}).get("checkpoint_id") for state in history]
    assert any(parents.count(parent) == 2 for parent in parents if parent) or parents.count(None) == 2


async def test_stop_cancels_the_run(site: Site, page: Page) -> None:
    await start_gated_reply(page, site, reconnect="yes")
    await page.get_by_role("button", name="Stop").click()
    await wait_idle(page)
    assert await final_status(site, thread_id_of(page)) == "interrupted"


async def test_leaving_a_page_without_reconnecting_cancels_its_run(site: Site, page: Page) -> None:
    await start_gated_reply(page, site)
    thread_id = thread_id_of(page)
    await page.goto("about:blank")
    assert await final_status(site, thread_id) == "interrupted"


async def test_a_reload_during_a_run_loses_no_word(site: Site, page: Page) -> None:
    gate = await start_gated_reply(page, site, reconnect="yes")
    await page.reload()
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    await expect(page.locator("#state")).to_have_text("running")
    await finish_gated_reply(page, site, gate)
    assert await final_status(site, thread_id_of(page)) == "success"


async def test_a_killed_web_process_loses_no_word(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING")
    gate = await start_gated_reply(page, site, reconnect="yes")
    site.child("web").kill()
    await finish_gated_reply(page, site, gate)


async def test_the_error_of_a_run_is_shown(site: Site, page: Page, observer: PageObserver) -> None:
    observer.allowed.append("ValueError: no luck today")  # the client writes it to the console too
    await see_error_of_run(page, site)
