"""The panels of the page of a run that say what it waits for and what happened when."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.browser.test_safety import assert_no_markup
from tests.site import Site

RUN_TIMEOUT_MS = 20_000


async def test_the_trace_follows_a_run_and_is_used_with_the_keyboard(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 8, "pause_s": 0.5}))
    await page.locator("#trace > summary").focus()
    await page.keyboard.press("Enter")
    spans = page.locator("#trace-spans > li")
    await expect(spans.filter(has_text="attempt 1").first).to_contain_text("so far")
    await expect(page.locator("#trace-summary")).to_contain_text("1 run, 1 attempt, 1 worker")
    first = spans.first.locator("summary")
    await first.focus()
    await page.keyboard.press("ArrowRight")
    await expect(spans.first.locator("dl")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(spans.nth(1).locator("summary")).to_be_focused()

    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    await expect(spans.filter(has_text="attempt 1").first).not_to_contain_text("so far")
    await expect(page.locator('#trace-spans > li[data-kind="node"]')).to_have_count(8)
    await expect(spans.nth(1).locator("summary")).to_be_focused()
    await expect(spans.first.locator("dl")).to_be_visible()

    await page.get_by_role("button", name="Inputs and outputs").click()
    node = page.locator('#trace-spans > li[data-kind="node"]').last
    await node.locator("summary").first.click()
    await expect(node).to_contain_text(re.compile(r"output", re.IGNORECASE))
    await expect(node).to_contain_text("done")
    widths = await page.locator("#trace-spans rect").evaluate_all("bars => bars.map(bar => +bar.getAttribute('width'))")
    assert all(0 < width <= 1000 for width in widths)


async def test_names_of_nodes_are_shown_as_text_and_bounded(page: Page, site: Site) -> None:
    await page.goto(await site.start("hostile_names", {"text": "x"}))
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    await page.locator("#trace > summary").click()
    node = page.locator('#trace-spans > li[data-kind="node"]')
    await expect(node.locator(".span-name")).to_contain_text("<img src=x onerror=window.pwned=1>")
    assert len(await node.locator(".span-name").inner_text()) < 300
    await page.get_by_role("button", name="Inputs and outputs").click()
    await node.locator("summary").first.click()
    await expect(node).to_contain_text("<img src=x")
    await assert_no_markup(page)


async def test_a_run_that_waits_says_for_what_and_who_can_act(page: Page, site: Site) -> None:
    url = await site.start("slow_steps", {"steps": 1}, after_seconds=3600)
    await page.goto(url)
    why = page.get_by_role("region", name=re.compile("What it waits for"))
    await expect(why).to_contain_text("as its request asks")
    await why.get_by_text("Who can act").click()
    await expect(why).to_contain_text(f"slipway runs cancel {url.rpartition('/')[2]}")
    await expect(why).to_contain_text("The route needs slipway:operate.")
    await site.call("POST", f"/ops/runs/{url.rpartition('/')[2]}/pause", {"reason": "<b>wrong</b> amounts"})
    await expect(why).to_contain_text(": <b>wrong</b> amounts.")
    await assert_no_markup(page)
    await site.call("POST", f"/ops/runs/{url.rpartition('/')[2]}/cancel", {})
    await expect(why).to_have_count(0)
