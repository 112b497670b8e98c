"""What tests do with a page of `page/`: open it, send messages, wait; and the checks that several pages must pass."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

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


async def start_gated_reply(page: Page, site: Site, **parameters: str) -> str:
    """Opens the page for the graph `gated` and waits for the first half of its reply. Returns the gate."""
    gate = f"gate {uuid4()}"
    await open_page(page, site, "gated", **parameters)
    await send_message(page, gate)
    await expect(replies(page)).to_have_text(HALF_REPLY.strip())
    return gate


async def finish_gated_reply(page: Page, site: Site, gate: str) -> None:
    """Opens the gate, and asserts that the page shows the complete reply and no other."""
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(FULL_REPLY.strip(), timeout=RUN_TIMEOUT_MS)
    await wait_idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


async def final_status(site: Site, thread_id: str) -> str:
    """Waits for the end of the only run of the thread, and returns its status."""
    (run,) = await site.call("GET", f"/threads/{thread_id}/runs")
    await site.call("GET", f"/threads/{thread_id}/runs/{run['run_id']}/join")
    (run,) = await site.call("GET", f"/threads/{thread_id}/runs")
    return str(run["status"])


async def reject_refund_after_reload(page: Page, site: Site, **parameters: str) -> None:
    """Requests a refund, reloads the page at the interrupt, and rejects the refund."""
    await request_refund(page, site, **parameters)
    await page.reload()
    await reject_refund(page)
    await see_rejection(page)


async def request_refund(page: Page, site: Site, **parameters: str) -> None:
    """Opens the page, requests a refund, and waits until the page is idle at the interrupt."""
    await open_page(page, site, "refund_desk", **parameters)
    await send_message(page, '{"order_id": "A-1002", "reason": "It does not fit my bench"}')
    await expect(_approval(page)).to_contain_text("389.00")
    await wait_idle(page)


async def reject_refund(page: Page) -> None:
    """Clicks on "Reject" as soon as the page shows the interrupt."""
    await expect(_approval(page)).to_contain_text("389.00")
    await _approval(page).get_by_role("button", name="Reject").click()


async def see_rejection(page: Page) -> None:
    """Waits until the page shows that the refund was rejected, and no interrupt any more."""
    await expect(page.locator("#values")).to_contain_text("rejected by a person", timeout=RUN_TIMEOUT_MS)
    await expect(_approval(page)).to_have_count(0)


def _approval(page: Page) -> Locator:
    return page.get_by_role("region", name="Approval")


async def see_error_of_run(page: Page, site: Site) -> None:
    """Executes the graph `fail`, and asserts that the page shows its error."""
    await open_page(page, site, "fail")
    await send_message(page, "anything")
    await expect(page.locator(".error")).to_contain_text("no luck today")
    await wait_idle(page)
