"""Hostile texts are shown as text, responses have security headers, and the pages are accessible."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from slipway.api.ui.rendering import HEADERS, as_data
from tests.browser.conftest import PageObserver
from tests.site import Site

RUN_TIMEOUT_MS = 20_000
FORBIDDEN_ELEMENTS = "main img:not([src^='/ui/static/']), main script:not([type='application/json']), main [onerror]"

OPEN_ALL = "for (const each of document.querySelectorAll('main details')) each.open = true"


async def assert_no_markup(page: Page) -> None:
    """Asserts that no text of a graph became an element of the page."""
    assert await page.locator(FORBIDDEN_ELEMENTS).count() == 0


async def test_a_hostile_result_is_shown_as_text(page: Page, site: Site) -> None:
    await page.goto(
        await site.start(
            "hostile", {"text": "</script><script>window.pwned=1</script>"}, stream_mode=["values", "custom", "tasks"]
        )
    )
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    await expect(page.locator("#result")).to_contain_text("<img src=x")
    await expect(page.locator("#progress")).to_contain_text("<script>")
    await page.evaluate(OPEN_ALL)
    await expect(page.locator('#trace-spans > li[data-kind="node"]')).to_have_count(1)
    await page.get_by_role("button", name="Inputs and outputs").click()
    await expect(page.locator("#trace-spans")).to_contain_text("<img src=x")
    await page.evaluate(OPEN_ALL)
    await assert_no_markup(page)
    for link in await page.locator("#result .prose a").all():
        assert str(await link.get_attribute("href")).startswith("https://")
    await page.goto("/ui/threads/" + (await site.run_of(page))["thread_id"])
    await expect(page.locator("#values")).to_contain_text("<img src=x")
    await assert_no_markup(page)


async def test_hostile_errors_interrupts_and_descriptions_are_shown_as_text(page: Page, site: Site) -> None:
    await page.goto(await site.start("fails", {"text": "x"}))
    await expect(page.locator("#failure")).to_contain_text("<img src=x")
    await assert_no_markup(page)
    await page.goto(await site.start("interrupts", {"text": "x"}))
    await expect(page.locator("#interrupts")).to_contain_text("<img src=x")
    await assert_no_markup(page)
    await page.get_by_role("textbox", name="Your answer").fill("5")
    await page.get_by_label("The answer is JSON").check()
    await page.get_by_role("button", name="Send the answer").click()
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    await page.goto("/")
    await expect(page.get_by_text("<img src=x onerror=alert(1)> in the description")).to_be_visible()
    await expect(page.locator(".card.broken")).to_contain_text("The log of this server shows the error")
    await expect(page.get_by_text("is the reason", exact=False)).to_have_count(0)
    await assert_no_markup(page)


async def test_hostile_paths_execute_no_script(page: Page, observer: PageObserver) -> None:
    observer.allowed.append("404")
    for path in (
        "/ui/graphs/<img src=x onerror=window.pwned=1>",
        "/ui/threads/<script>window.pwned=1<%2fscript>",
        "/ui/<svg onload=window.pwned=1>",
        '/ui/graphs/echo?thread="><script>window.pwned=1</script>',
    ):
        await page.goto(path)
        await assert_no_markup(page)
        assert await page.evaluate("window.pwned") is None


async def test_every_response_has_the_security_headers(page: Page) -> None:
    for path in ("/", "/ui/graphs/echo", "/ui/static/page.css", "/ui/static/run.js", "/ui/nowhere"):
        response = await page.request.get(path)
        assert response.headers["content-security-policy"] == HEADERS["content-security-policy"], path
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in HEADERS["content-security-policy"]


def test_data_cannot_close_its_script_element() -> None:
    assert "<" not in as_data({"a": "</script><!--"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_is_wider_than_a_narrow_screen(browser: Browser, site: Site, scheme: str) -> None:
    address = await site.start("research_assistant", {"question": "Summarize the policy changes"})
    options = {"color_scheme": scheme, "viewport": {"width": 400, "height": 800}}
    async with await browser.new_context(**options) as context:  # type: ignore[arg-type]
        page = await context.new_page()
        for path in (address, f"{site.url}/", f"{site.url}/ui/graphs/refund_desk"):
            await page.goto(path)
            if path == address:
                await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 400, path


async def test_a_run_can_be_started_with_the_keyboard(page: Page) -> None:
    await page.goto("/ui/graphs/echo")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.get_by_label("Title").focus()
    await page.keyboard.type("typed")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    await expect(page.locator("#run-summary")).to_have_attribute("aria-live", "polite")


async def test_every_control_has_a_label(page: Page, site: Site) -> None:
    for path in ("/", "/ui/graphs/echo", await site.start("interrupts", {"text": "x"})):
        await page.goto(path)
        await page.wait_for_timeout(0)
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('input, textarea, select')].filter(field => !field.labels?.length).length"
            " + [...document.querySelectorAll('button, a')].filter(control => !control.textContent.trim()).length"
        )
        assert unnamed == 0, path
