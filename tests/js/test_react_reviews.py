"""The questions of runs in each shape, answered with `useStream` and by Agent Chat UI's own code."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.js.client_versions import SDK, VERSIONS
from tests.js.conftest import home_of
from tests.js.page_actions import RUN_TIMEOUT_MS, open_page
from tests.site import Site

pytestmark = pytest.mark.timeout(120)

home = home_of("reviews", {version: name for version, name in VERSIONS.items() if name == SDK})


async def _ask(page: Page, site: Site, graph: str) -> None:
    """Starts a run on the page, and waits until the page shows its question."""
    await open_page(page, site, graph)
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator(".interrupt")).to_be_visible(timeout=RUN_TIMEOUT_MS)
    await expect(page.locator("#state")).to_have_text("idle")


async def _answered(page: Page, text: Any) -> None:
    await expect(page.locator("#last, #answer").filter(has_text=text)).to_have_count(1, timeout=RUN_TIMEOUT_MS)
    await expect(page.locator(".interrupt")).to_have_count(0)
    await expect(page.locator(".error")).to_have_count(0)


async def test_batched_actions_are_decided_together(page: Page, site: Site) -> None:
    await _ask(page, site, "batched")
    await page.get_by_role("button", name="Edit and reject").click()
    await _answered(page, "refunded 5.0 for A-1")
    await expect(page.locator("#last")).to_contain_text("no mail")


async def test_calls_are_decided_by_the_ids_of_their_interrupts(page: Page, site: Site) -> None:
    await _ask(page, site, "per_call")
    await page.get_by_role("button", name="Approve refund").click()
    await page.get_by_role("button", name="Reject mail").click()
    await page.get_by_role("button", name="Send", exact=True).click()
    await _answered(page, "refunded 12.5 for A-1")
    await expect(page.locator("#last")).to_contain_text("not today")


async def test_a_free_question_is_answered_with_a_value(page: Page, site: Site) -> None:
    await _ask(page, site, "free")
    await page.get_by_label("Answer").fill("7.5")
    await page.get_by_role("button", name="Send", exact=True).click()
    await _answered(page, '{"amount":7.5}')


async def test_agent_chat_ui_accepts_edits_responds_and_ignores(page: Page, site: Site) -> None:
    """Agent Chat UI accepts with the request itself as `args`."""
    request = '"args":{"action":"refund","args":{"order_id":"A-1","amount":12.5}}'
    await _ask(page, site, "inbox")
    await page.get_by_role("button", name="Submit").click()
    await _answered(page, '"type":"accept"')
    await expect(page.locator("#answer")).to_contain_text(request)
    await _ask(page, site, "inbox")
    await page.get_by_label("Amount").fill("3")
    await page.get_by_role("button", name="Submit").click()
    await _answered(page, '"type":"edit"')
    await expect(page.locator("#answer")).to_contain_text('"amount":3')
    await _ask(page, site, "inbox")
    await page.get_by_label("Response").fill("ask me tomorrow")
    await page.get_by_role("button", name="Submit").click()
    await _answered(page, '{"type":"response","args":"ask me tomorrow"}')
    await _ask(page, site, "inbox")
    await page.get_by_role("button", name="Ignore").click()
    await _answered(page, '{"type":"ignore","args":null}')
