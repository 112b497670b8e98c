"""Driving a page of `page/`: saying something, and what is then to be seen."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.async_api import Locator, Page, expect

from tests.site import Site

SOON_MS = 30_000
ALL = "".join(f"word{number} " for number in range(12))
HALF = "".join(f"word{number} " for number in range(6))


async def visit(page: Page, site: Site, graph: str, **more: str) -> None:
    """Open the page for a graph."""
    await page.goto(f"/?{urlencode({'server': site.url, 'graph': graph, **more})}")


async def say(page: Page, text: str) -> None:
    """Submit it."""
    await page.get_by_label("Say", exact=True).fill(text)
    await page.get_by_role("button", name="Send", exact=True).click()


def replies(page: Page) -> Locator:
    """What the graph said."""
    return page.locator("#messages .ai .text")


async def idle(page: Page) -> None:
    """Wait until no run goes on."""
    await expect(page.locator("#state")).to_have_text("idle", timeout=SOON_MS)


async def open_gate(site: Site, gate: str) -> None:
    """Let a gated reply go on."""
    await site.call("PUT", "/store/items", {"namespace": ["gates"], "key": gate, "value": {"open": True}})


def thread_of(page: Page) -> str:
    """The thread that the page keeps in its address."""
    return parse_qs(urlsplit(page.url).query)["thread"][0]
