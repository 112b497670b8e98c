"""Starting, watching and stopping runs."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from playwright.async_api import Browser, Page, expect

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.browser.conftest import HERE, PageObserver
from tests.conftest import Eventually
from tests.http.conftest import serving
from tests.site import Site

PHASE = "#phase"
RUN_PAGE = re.compile(r"/ui/threads/[0-9a-f-]{36}/runs/[0-9a-f-]{36}$")
SOON_MS = 20_000


async def completed(page: Page) -> None:
    """Wait for the end."""
    await expect(page.locator(PHASE)).to_have_text("completed", timeout=SOON_MS)


async def shown_ids(page: Page) -> list[str]:
    """The ids of the events on the page."""
    found: list[str] = await page.locator("#events > li").evaluate_all("rows => rows.map(row => row.dataset.id)")
    return found


async def logged_ids(site: Site, page: Page) -> list[str]:
    """The ids of all events of the run that the page shows, by the API."""
    path = urlsplit(page.url).path.removeprefix("/ui")
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as client:
        log = await client.get(f"{path}/stream?end=true", headers={"last-event-id": "-1"})
    return re.findall(r"^id: (\S+)", log.text, re.MULTILINE)


async def test_a_question_to_the_documents(site: Site, page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("link", name="research_assistant").first.click()
    await page.get_by_label("Question").fill("Summarize the policy changes")
    await page.get_by_role("button", name="Start the run").click()
    await page.wait_for_url(RUN_PAGE)
    await completed(page)
    answer = page.locator("#result .prose")
    await expect(answer).to_contain_text("[1]")
    await expect(answer.locator("strong").first).to_have_text("Travel and Expense Policy")
    await page.get_by_text(re.compile(r"^citations \(\d+\)$")).click()
    await expect(page.get_by_role("columnheader", name="quote")).to_be_visible()
    await expect(page.locator("#progress")).to_contain_text("extract")
    await expect(page.locator("#standing")).to_have_text("Completed.")
    await expect(page.locator("#usage")).to_contain_text("of 500")


async def test_a_refund_is_approved_by_a_person(page: Page) -> None:
    await page.goto("/ui/graphs/refund_desk")
    await page.get_by_role("button", name="Fill in the example").click()
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.get_by_role("region", name="Issue refund")).to_contain_text("389.00 EUR")
    await expect(page.locator(PHASE)).to_have_text("waiting for an answer")
    await expect(page.locator("#progress")).to_contain_text("Waiting for an answer")
    await expect(page.get_by_role("complementary")).to_contain_text(re.compile(r"Phase\s*waiting for an answer since"))
    for shown in (page.get_by_role("complementary"), page.locator("#progress")):
        await expect(shown).not_to_contain_text("success")
    await page.get_by_role("link", name="Graphs and runs").click()
    await page.locator("#recent tr", has_text="waiting for an answer").first.get_by_role("link", name="Answer").click()
    await expect(page.get_by_role("region", name="Issue refund")).to_contain_text("389.00 EUR")
    asked = page.url
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(lambda url: url != asked)
    await completed(page)
    await expect(page.locator("#result")).to_contain_text("approved by a person")
    await page.get_by_role("link", name="goes on from an earlier run").click()
    await expect(page.locator(PHASE)).to_have_text("completed")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)


async def _ask_for_another_refund(page: Page) -> None:
    """Of an order that no other test pays back in full: the desk remembers what it has paid, across threads."""
    await page.goto("/ui/graphs/refund_desk")
    await page.get_by_role("button", name="Fill in the example").click()
    await page.get_by_label("Order id").fill("A-1006")
    await page.get_by_role("button", name="Start the run").click()


async def test_a_refund_is_edited(page: Page) -> None:
    await _ask_for_another_refund(page)
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("amount").fill("120.00")
    await page.get_by_role("button", name="Send the edited version").click()
    await expect(page.locator("#result")).to_contain_text("120.00 USD for order", timeout=SOON_MS)


async def test_a_refund_is_rejected_with_a_remark(page: Page) -> None:
    await _ask_for_another_refund(page)
    await page.get_by_role("button", name="Reject").click()
    await page.get_by_label("Why").fill("not this time")
    await page.get_by_role("button", name="Send the rejection").click()
    await expect(page.locator("#result")).to_contain_text("They wrote: not this time", timeout=SOON_MS)


async def test_an_answer_given_elsewhere_is_followed(site: Site, page: Page) -> None:
    address = await site.start("asks", {"text": "x"})
    await page.goto(address)
    await expect(page.get_by_role("textbox", name="Your answer")).to_be_visible()
    run = await site.run_of(page)
    body = {"assistant_id": "asks", "command": {"resume": "from elsewhere"}}
    await site.call("POST", f"/threads/{run['thread_id']}/runs", body)
    await page.wait_for_url(lambda url: url != address, timeout=SOON_MS)
    await completed(page)
    await expect(page.locator("#result")).to_contain_text("from elsewhere")


async def test_several_actions_are_decided_together(page: Page, site: Site) -> None:
    await page.goto(await site.start("cards", {"text": "x"}))
    mail, file = (page.get_by_role("region", name=name) for name in ("send mail", "delete file"))
    send = page.get_by_role("button", name="Send the decisions")
    await expect(send).to_be_disabled()
    await mail.get_by_role("button", name="Edit").click()
    await mail.get_by_label("copies").fill("two")
    await mail.get_by_role("button", name="Send the edited version").click()
    await expect(mail.get_by_role("alert")).to_contain_text("Not valid JSON")
    await mail.get_by_label("copies").fill("3")
    await mail.get_by_role("button", name="Send the edited version").click()
    await file.get_by_role("button", name="Approve").click()
    await send.click()
    await completed(page)
    answer = (await site.call("GET", f"/threads/{(await site.run_of(page))['thread_id']}"))["values"]["answer"]
    edited = {"name": "send_mail", "args": {"to": "a@example.org", "copies": 3}}
    assert answer == {"decisions": [{"type": "edit", "edited_action": edited}, {"type": "approve"}]}


async def test_a_breakpoint_goes_on_when_told(page: Page, site: Site) -> None:
    await page.goto(await site.start("climb", {"steps": 2, "pause_s": 0}, interrupt_after="*"))
    await expect(page.locator("#standing")).to_contain_text("breakpoint")
    await page.get_by_role("button", name="Go on").click()
    await completed(page)
    await expect(page.locator("#result")).to_contain_text("2")


async def test_words_appear_one_by_one(page: Page) -> None:
    await page.goto("/ui/graphs/talk")
    await page.get_by_label("Your message").fill("Hello")
    await page.get_by_label("Your message").press("Control+Enter")
    said = page.locator("#messages .theirs")
    await expect(said).to_contain_text("word2")
    assert "word11" not in await said.inner_text()
    await expect(said).to_have_class(re.compile("live"))
    await completed(page)
    await expect(said).to_contain_text("word11")
    await expect(said).not_to_have_class(re.compile("live"))
    await expect(page.locator("#messages .mine")).to_contain_text("Hello")
    first = page.url
    await page.get_by_label("Say more").fill("And again")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url(lambda url: url != first)
    await expect(page.locator("#messages > li")).to_have_count(4, timeout=SOON_MS)
    await completed(page)


async def test_cancel_stops_a_long_run(page: Page, site: Site) -> None:
    await page.goto(await site.start("climb", {"steps": 400, "pause_s": 0.2}))
    await expect(page.locator(PHASE)).to_have_text("running")
    await expect(page.locator("#progress .done").first).to_be_visible()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator(PHASE)).to_have_text("cancelled")
    why = "cancelled through the API: by a person, on the page of the run"
    await expect(page.locator("#standing")).to_have_text(f"Cancelled: {why}. Finished steps are kept.")
    await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    assert (await site.run_of(page))["status"] == "interrupted"


async def test_cancel_and_undo_removes_the_run(page: Page, site: Site) -> None:
    await page.goto(await site.start("climb", {"steps": 400, "pause_s": 0.2}))
    await expect(page.locator("#progress .done").first).to_be_visible()
    undo = page.get_by_role("button", name="Cancel and undo").first
    await undo.click()
    await page.get_by_role("button", name="Keep it").click()
    await undo.click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel and undo").click()
    await expect(page.locator("#standing")).to_contain_text("Nothing of this run is stored", timeout=SOON_MS)


async def test_a_reload_in_the_middle_shows_everything(page: Page, site: Site) -> None:
    await page.goto(await site.start("climb", {"steps": 24, "pause_s": 0.15}))
    await expect(page.locator("#progress .done").nth(2)).to_be_visible()
    await page.reload()
    await completed(page)
    await expect(page.locator("#progress .done")).to_have_count(24)
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_killed_worker_costs_an_attempt_and_no_event(page: Page, site: Site) -> None:
    await page.goto(await site.start("climb", {"steps": 30, "pause_s": 0.4}))
    await expect(page.locator("#progress .done").nth(2)).to_be_visible()
    site.child("worker").kill()
    await expect(page.locator("#progress .attempt")).to_contain_text("Attempt 2", timeout=SOON_MS)
    await completed(page)
    await expect(page.locator("#attempt")).to_have_text("2")
    await expect(page.locator("#progress .done")).to_have_count(30)
    assert (await site.run_of(page))["attempt"] == 2
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_killed_web_process_costs_no_event(
    page: Page, site: Site, observer: PageObserver, eventually: Eventually
) -> None:
    observer.allowed += ["Failed to load resource", "ERR_"]
    await page.goto(await site.start("climb", {"steps": 30, "pause_s": 0.4}))
    await expect(page.locator("#progress .done").nth(1)).to_be_visible()
    before = site.child("web").pid
    noticed = asyncio.create_task(page.locator("#connection").wait_for())  # the browser looks, from now on
    await asyncio.sleep(0)
    site.child("web").kill()
    await noticed
    await completed(page)
    await expect(page.locator("#connection")).to_be_hidden()
    await eventually(lambda: site.child("web").pid != before)
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_failed_run_says_why_and_where(page: Page, site: Site) -> None:
    await page.goto(await site.start("fails", {"text": "<b>mine</b>"}))
    failure = page.locator("#failure")
    await expect(failure).to_contain_text("no luck today")
    await expect(failure).to_contain_text("node.failed")
    await expect(failure).to_contain_text("refuse")
    await page.get_by_role("link", name="Run again with changes").click()
    await expect(page.get_by_label("Text")).to_have_value("<b>mine</b>")


async def test_a_run_that_is_over_is_shown_whole(page: Page, site: Site) -> None:
    address = await site.start("climb", {"steps": 3, "pause_s": 0})
    await site.call("GET", f"{urlsplit(address).path.removeprefix('/ui')}/join")
    await page.goto(address)
    await completed(page)
    await expect(page.locator("#progress .done")).to_have_count(3)
    await asyncio.gather(
        expect(page.locator("#result")).to_be_visible(), expect(page.locator("#again")).to_be_visible()
    )


async def test_an_unknown_run_has_a_page_that_says_so(page: Page, observer: PageObserver) -> None:
    observer.allowed.append("404")
    unknown = f"{uuid4()}"
    answer = await page.goto(f"/ui/threads/{unknown}/runs/{unknown}")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_text(f"run '{unknown}' not found")).to_be_visible()


async def test_without_a_worker_the_page_says_so(browser: Browser, valkey_url: str, keys: Keys) -> None:
    project = HERE / "project" / "langgraph.json"
    settings = Settings.of({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project})
    async with serving(settings, await Registry.load(project)) as served, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{served.url}/ui/graphs/climb")
        await page.get_by_label("Steps").fill("1")
        await page.get_by_role("button", name="Start the run").click()
        await expect(page.locator("#standing")).to_contain_text("no live worker")
        await expect(page.locator(PHASE)).to_have_text("queued")
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await expect(page.locator(PHASE)).to_have_text("cancelled")
        await page.goto(served.url)
        await expect(page.get_by_text("No worker is alive")).to_be_visible()
