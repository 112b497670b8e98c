"""What tests do with a page of `page/`: open it, send a message, wait, switch threads."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.async_api import Locator, Page, expect

from tests.site import Site

RUN_TIMEOUT_MS = 30_000
FULL_REPLY = "".join(f"word{number} " for number in range(12))
HALF_REPLY = "".join(f"word{number} " for number in range(6))


async def open_page(page: Page, site: Site, graph: str, **parameters: str) -> None:
    """Opens the page for a graph; `parameters` are further parameters of its query."""
    await page.goto(f"/?{urlencode({'server': site.url, 'graph': graph, **parameters})}")


async def send_message(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_role("button", name="Send", exact=True).click()


def replies(page: Page) -> Locator:
    """The texts of the AI messages on the page."""
    return page.locator("#messages .ai .text")


async def wait_idle(page: Page) -> None:
    """Waits until the page shows that its run ended."""
    await expect(page.locator("#state")).to_have_text("idle", timeout=RUN_TIMEOUT_MS)


async def open_gate(site: Site, gate: str) -> None:
    """Lets the graph `gated` continue with the second half of its reply."""
    await site.call("PUT", "/store/items", {"namespace": ["gates"], "key": gate, "value": {"open": True}})


def thread_id_of(page: Page) -> str:
    """The thread id in the query of the page."""
    return parse_qs(urlsplit(page.url).query)["thread"][0]


async def switch_threads(page: Page, site: Site) -> None:
    """Sends messages in two threads and opens a third, on a page with buttons for that."""
    other = (await site.call("POST", "/threads", {}))["thread_id"]
    run_input = {"messages": [{"type": "human", "content": "My name is Ada"}]}
    await site.call("POST", f"/threads/{other}/runs/wait", {"assistant_id": "chat", "input": run_input})
    await open_page(page, site, "chat", other=other)
    await send_message(page, "My name is Grace")
    await expect(replies(page)).to_contain_text("Nice to meet you, Grace")
    await wait_idle(page)
    await page.get_by_role("button", name="Other thread").click()
    await expect(replies(page)).to_contain_text("Nice to meet you, Ada")
    await send_message(page, "What is my name?")
    await expect(replies(page).last).to_contain_text("your name is Ada")
    await wait_idle(page)
    await page.get_by_role("button", name="New thread").click()
    await expect(page.locator("#messages li")).to_have_count(0)
