"""The form that a page builds from the input schema of a graph."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.browser.conftest import PageObserver
from tests.site import Site

RUN_TIMEOUT_MS = 20_000


async def received_input(site: Site, page: Page) -> object:
    """Waits for the end of the run and returns the input that the graph received."""
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    thread_id = (await site.run_of(page))["thread_id"]
    return (await site.call("GET", f"/threads/{thread_id}"))["values"]["received"]


async def test_each_kind_of_field_is_sent(site: Site, page: Page) -> None:
    await page.goto("/ui/graphs/echo")
    await page.get_by_label("Title").fill("A <b>title</b>")
    await page.get_by_label("Count").fill("7")
    await page.get_by_label("Ratio").fill("0.5")
    await page.get_by_label("Sure").select_option("yes")
    await page.get_by_label("Size").select_option("large")
    await page.get_by_label("Tags").fill("one\n\ntwo\n")
    await page.get_by_label("Place").fill('{"city": "Ulm"}')
    await page.get_by_role("button", name="Start the run").click()
    assert await received_input(site, page) == {
        "title": "A <b>title</b>",
        "count": 7,
        "ratio": 0.5,
        "sure": True,
        "size": "large",
        "tags": ["one", "two"],
        "place": {"city": "Ulm"},
    }


async def test_an_invalid_value_is_reported_at_its_field(page: Page) -> None:
    await page.goto("/ui/graphs/echo")
    await page.get_by_label("Count").fill("7.5")
    await page.get_by_label("Ratio").fill("half")
    await page.get_by_label("Place").fill("{city}")
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.locator("[data-name=count] .problem")).to_have_text("Must be a whole number.")
    await expect(page.locator("[data-name=ratio] .problem")).to_have_text("Must be a number.")
    await expect(page.locator("[data-name=place] .problem")).to_contain_text("Not valid JSON")
    await expect(page.get_by_label("Count")).to_be_focused()
    await expect(page.get_by_label("Count")).to_have_attribute("aria-invalid", "true")


async def test_form_and_json_show_the_same_input(site: Site, page: Page) -> None:
    await page.goto("/ui/graphs/echo")
    await page.get_by_label("Title").fill("first")
    await page.get_by_role("tab", name="JSON").click()
    json_field = page.get_by_label(re.compile(r"^Input"))
    await expect(json_field).to_have_value('{\n  "title": "first"\n}')
    await json_field.fill('{"title": "second", "tags": ["a", "b"]}')
    await page.get_by_role("tab", name="JSON").press("ArrowLeft")
    await expect(page.get_by_label("Title")).to_have_value("second")
    await expect(page.get_by_label("Tags")).to_have_value("a\nb")
    await page.get_by_role("tab", name="JSON").click()
    await json_field.fill('{"title": [1]}')
    await page.get_by_role("tab", name="Form").click()
    await expect(page.get_by_text("it stays JSON")).to_be_visible()
    await json_field.fill('{"count": 3}')
    await page.get_by_role("button", name="Start the run").click()
    assert await received_input(site, page) == {"count": 3}


async def test_a_run_is_created_on_the_thread_in_the_query(site: Site, page: Page) -> None:
    thread = await site.call("POST", "/threads", {})
    await page.goto(f"/ui/graphs/echo?thread={thread['thread_id']}")
    await page.get_by_label("Title").fill("on it")
    await page.get_by_role("button", name="Start the run").click()
    assert await received_input(site, page) == {"title": "on it"}
    assert (await site.run_of(page))["thread_id"] == thread["thread_id"]
    await page.goto("/ui/graphs/echo?thread=not-a-thread")
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.locator("[data-path=thread_id] .problem")).to_contain_text("UUID")


async def test_an_error_of_the_api_is_shown_at_its_field(page: Page, observer: PageObserver) -> None:
    observer.allowed.append("422")
    await page.route(
        "**/threads/*/runs",
        lambda route: route.fulfill(json={"detail": "input.count: too many", "field": "input.count"}, status=422),
    )
    await page.goto("/ui/graphs/echo")
    await page.get_by_label("Count").fill("99")
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.locator("[data-name=count] .problem")).to_have_text("input.count: too many")
