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


async def switch_threads(page: Page, site: Site) -> None:
    """Talk on a page that has buttons for it in one thread, go on in another, and begin a third."""
    other = (await site.call("POST", "/threads", {}))["thread_id"]
    given = {"messages": [{"type": "human", "content": "My name is Ada"}]}
    await site.call("POST", f"/threads/{other}/runs/wait", {"assistant_id": "chat", "input": given})
    await visit(page, site, "chat", other=other)
    await say(page, "My name is Grace")
    await expect(replies(page)).to_contain_text("Nice to meet you, Grace")
    await idle(page)
    await page.get_by_role("button", name="Other thread").click()
    await expect(replies(page)).to_contain_text("Nice to meet you, Ada")
    await say(page, "What is my name?")
    await expect(replies(page).last).to_contain_text("your name is Ada")
    await idle(page)
    await page.get_by_role("button", name="New thread").click()
    await expect(page.locator("#messages li")).to_have_count(0)
