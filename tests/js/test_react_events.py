"""`useStream` of @langchain/react in Chromium, which speaks the event protocol: over events of the server, and over a
WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Watch
from tests.js.bundle import bundle, origin
from tests.js.driving import ALL, HALF, SOON_MS, idle, open_gate, replies, say, thread_of, visit
from tests.js.lines import SDK
from tests.site import Site

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served: with the client that @langchain/react brings along, or with the one that is asked
    for."""
    folder = tmp_path_factory.mktemp("page")
    bundle("events", folder, getattr(request, "param", None))
    with origin(folder) as url:
        yield url


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_message_is_answered_word_by_word(site: Site, page: Page, transport: str) -> None:
    gate = f"words {uuid4()}"
    await visit(page, site, "gated", transport=transport)
    await say(page, gate)
    await expect(replies(page)).to_have_text(HALF.strip())
    await expect(page.locator("#state")).to_have_text("running")
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(ALL.strip())
    await idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
async def test_a_person_is_asked_and_answers(site: Site, page: Page, transport: str) -> None:
    await visit(page, site, "refund_desk", transport=transport)
    await say(page, '{"order_id": "A-1002", "reason": "It does not fit my bench"}')
    card = page.get_by_role("region", name="Approval")
    await expect(card).to_contain_text("Refund 389.00 EUR")
    await idle(page)
    await page.reload()
    await expect(card).to_contain_text("Refund 389.00 EUR")
    await card.get_by_role("button", name="Reject").click()
    await expect(page.locator("#values")).to_contain_text("rejected by a person", timeout=SOON_MS)
    await expect(card).to_have_count(0)


@pytest.mark.parametrize("home", [SDK], indirect=True)  # the one that comes along forks from the wrong checkpoint
async def test_an_earlier_message_is_edited(site: Site, page: Page) -> None:
    await visit(page, site, "chat")
    await say(page, "My name is Ada")
    await expect(replies(page)).to_contain_text("Ada")
    await idle(page)
    await say(page, "What is my name?")
    await expect(replies(page).last).to_contain_text("your name is Ada")
    await idle(page)
    await page.get_by_role("button", name="Edit").first.click()
    await page.get_by_label("Edited").fill("My name is Grace")
    await page.get_by_role("button", name="Send edited").click()
    await expect(replies(page).last).to_contain_text("Nice to meet you, Grace")
    await idle(page)
    state = await site.call("GET", f"/threads/{thread_of(page)}/state")
    assert [message["type"] for message in state["values"]["messages"]] == ["human", "ai"]


async def test_stop_cancels_the_run(site: Site, page: Page) -> None:
    await visit(page, site, "gated")
    await say(page, f"stop {uuid4()}")
    await expect(replies(page)).to_have_text(HALF.strip())
    await page.get_by_role("button", name="Stop").click()
    await idle(page)
    (run,) = await site.call("GET", f"/threads/{thread_of(page)}/runs")
    await site.call("GET", f"/threads/{thread_of(page)}/runs/{run['run_id']}/join")
    (run,) = await site.call("GET", f"/threads/{thread_of(page)}/runs")
    assert run["status"] == "interrupted"


async def test_a_reload_in_the_middle_of_a_run_loses_no_word(site: Site, page: Page) -> None:
    gate = f"reload {uuid4()}"
    await visit(page, site, "gated")
    await say(page, gate)
    await expect(replies(page)).to_have_text(HALF.strip())
    await page.reload()
    await expect(replies(page)).to_have_text(HALF.strip())
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(ALL.strip())
    await idle(page)
    await expect(page.locator("#messages li")).to_have_count(2)


async def test_a_killed_web_process_costs_no_word(site: Site, page: Page, watch: Watch) -> None:
    watch.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING")
    gate = f"killed {uuid4()}"
    await visit(page, site, "gated")
    await say(page, gate)
    await expect(replies(page)).to_have_text(HALF.strip())
    site.child("web").kill()
    await open_gate(site, gate)
    await expect(replies(page)).to_have_text(ALL.strip(), timeout=SOON_MS)
    await idle(page)


async def test_a_failure_is_shown(site: Site, page: Page, watch: Watch) -> None:
    watch.allowed.append("no luck today")
    await visit(page, site, "fail")
    await say(page, "anything")
    await expect(page.locator(".error")).to_contain_text("no luck today")
    await idle(page)
