"""The page of a run: start, follow, answer, continue and cancel."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.async_api import Browser, Page, expect

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.browser.conftest import HERE, PageObserver, logged_event_ids
from tests.http.conftest import serving
from tests.site import Site
from tests.waiting import Eventually

PHASE = "#phase"
RUN_PAGE = re.compile(r"/ui/threads/[0-9a-f-]{36}/runs/[0-9a-f-]{36}$")
RUN_TIMEOUT_MS = 20_000


async def wait_completed(page: Page) -> None:
    """Waits until the page shows that the run completed."""
    await expect(page.locator(PHASE)).to_have_text("completed", timeout=RUN_TIMEOUT_MS)


async def shown_ids(page: Page) -> list[str]:
    """The ids of the events on the page."""
    event_ids: list[str] = await page.locator("#events > li").evaluate_all("rows => rows.map(row => row.dataset.id)")
    return event_ids


async def logged_ids(site: Site, page: Page) -> list[str]:
    """The ids of all events in the log of the run that the page shows, the end event included."""
    return await logged_event_ids(site, urlsplit(page.url).path.removeprefix("/ui"), end="true")


async def test_the_research_assistant_answers_a_question(site: Site, page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("link", name="research_assistant").first.click()
    await page.get_by_label("Question").fill("Summarize the policy changes")
    await page.get_by_role("button", name="Start the run").click()
    await page.wait_for_url(RUN_PAGE)
    await wait_completed(page)
    answer = page.locator("#result .prose")
    await expect(answer).to_contain_text("[1]")
    await expect(answer.locator("strong").first).to_have_text("Travel and Expense Policy")
    await page.get_by_text(re.compile(r"^citations \(\d+\)$")).click()
    await expect(page.get_by_role("columnheader", name="quote")).to_be_visible()
    await expect(page.locator("#progress")).to_contain_text("extract")
    await expect(page.locator("#run-summary")).to_have_text("Completed.")
    await expect(page.locator("#usage")).to_contain_text("of 500")


async def test_a_person_approves_a_refund(page: Page) -> None:
    await page.goto("/ui/graphs/refund_desk")
    await page.get_by_role("button", name="Fill in the example").click()
    await page.get_by_role("button", name="Start the run").click()
    await expect(page.get_by_role("region", name="Issue refund")).to_contain_text("389.00")
    await expect(page.locator(PHASE)).to_have_text("waiting for an answer")
    await expect(page.locator("#progress")).to_contain_text("Waiting for an answer")
    await expect(page.get_by_role("complementary")).to_contain_text(re.compile(r"Phase\s*waiting for an answer since"))
    for part in (page.get_by_role("complementary"), page.locator("#progress")):
        await expect(part).not_to_contain_text("success")
    await page.get_by_role("link", name="Graphs and runs").click()
    await page.locator("#recent tr", has_text="waiting for an answer").first.get_by_role("link", name="Answer").click()
    await expect(page.get_by_role("region", name="Issue refund")).to_contain_text("389.00")
    interrupted_url = page.url
    await page.get_by_role("button", name="Approve").click()
    await page.wait_for_url(lambda url: url != interrupted_url)
    await wait_completed(page)
    await expect(page.locator("#result")).to_contain_text("approved by a person")
    await page.get_by_role("link", name="continues an earlier run").click()
    await expect(page.locator(PHASE)).to_have_text("completed")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)


async def test_a_person_rejects_a_refund_with_a_reason(page: Page) -> None:
    await page.goto("/ui/graphs/refund_desk")
    await page.get_by_role("button", name="Fill in the example").click()
    # no other test refunds this order: the graph stores refunds across threads
    await page.get_by_label("Order id").fill("A-1006")
    await page.get_by_role("button", name="Start the run").click()
    await page.get_by_role("button", name="Reject").click()
    await page.get_by_label("Why").fill("not this time")
    await page.get_by_role("button", name="Send the rejection").click()
    await expect(page.locator("#result")).to_contain_text("They wrote: not this time", timeout=RUN_TIMEOUT_MS)


async def test_the_page_follows_the_answer_of_another_client(site: Site, page: Page) -> None:
    address = await site.start("interrupts", {"text": "x"})
    await page.goto(address)
    await expect(page.get_by_role("textbox", name="Your answer")).to_be_visible()
    run = await site.run_of(page)
    body = {"assistant_id": "interrupts", "command": {"resume": "from another client"}}
    await site.call("POST", f"/threads/{run['thread_id']}/runs", body)
    await page.wait_for_url(lambda url: url != address, timeout=RUN_TIMEOUT_MS)
    await wait_completed(page)
    await expect(page.locator("#result")).to_contain_text("from another client")


async def test_a_run_continues_after_a_breakpoint(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 2, "pause_s": 0}, interrupt_after="*"))
    await expect(page.locator("#run-summary")).to_contain_text("breakpoint")
    await page.get_by_role("button", name="Continue").click()
    await wait_completed(page)
    await expect(page.locator("#result")).to_contain_text("2")


async def test_message_chunks_are_shown_one_by_one(page: Page) -> None:
    await page.goto("/ui/graphs/talk")
    await page.get_by_label("Your message").fill("Hello")
    await page.get_by_label("Your message").press("Control+Enter")
    reply = page.locator("#messages .from-others")
    await expect(reply).to_contain_text("word2")
    assert "word11" not in await reply.inner_text()
    await expect(reply).to_have_class(re.compile("partial"))
    await wait_completed(page)
    await expect(reply).to_contain_text("word11")
    await expect(reply).not_to_have_class(re.compile("partial"))
    await expect(page.locator("#messages .from-user")).to_contain_text("Hello")
    first_url = page.url
    await page.get_by_label("Next message").fill("And again")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url(lambda url: url != first_url)
    await expect(page.locator("#messages > li")).to_have_count(4, timeout=RUN_TIMEOUT_MS)
    await wait_completed(page)


async def test_cancel_stops_a_run_and_keeps_its_steps(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 400, "pause_s": 0.2}))
    await expect(page.locator(PHASE)).to_have_text("running")
    await expect(page.locator("#progress .done").first).to_be_visible()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator(PHASE)).to_have_text("cancelled")
    why = "cancelled through the API: by a person, on the page of the run"
    await expect(page.locator("#run-summary")).to_have_text(f"Cancelled: {why}. Finished steps are kept.")
    await expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    assert (await site.run_of(page))["status"] == "interrupted"


async def test_cancel_and_undo_deletes_the_run(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 400, "pause_s": 0.2}))
    await expect(page.locator("#progress .done").first).to_be_visible()
    undo = page.get_by_role("button", name="Cancel and undo").first
    await undo.click()
    await page.get_by_role("button", name="Keep the run").click()
    await undo.click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel and undo").click()
    await expect(page.locator("#run-summary")).to_contain_text("Nothing of this run is stored", timeout=RUN_TIMEOUT_MS)


async def test_a_reload_during_a_run_shows_all_events(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 24, "pause_s": 0.15}))
    await expect(page.locator("#progress .done").nth(2)).to_be_visible()
    await page.reload()
    await wait_completed(page)
    await expect(page.locator("#progress .done")).to_have_count(24)
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_killed_worker_starts_another_attempt_and_loses_no_event(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 30, "pause_s": 0.4}))
    await expect(page.locator("#progress .done").nth(2)).to_be_visible()
    site.child("worker").kill()
    await expect(page.locator("#progress .attempt")).to_contain_text("Attempt 2", timeout=RUN_TIMEOUT_MS)
    await wait_completed(page)
    await expect(page.locator("#attempt")).to_have_text("2")
    await expect(page.locator("#progress .done")).to_have_count(30)
    assert (await site.run_of(page))["attempt"] == 2
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_killed_web_process_loses_no_event(
    page: Page, site: Site, observer: PageObserver, eventually: Eventually
) -> None:
    observer.allowed += ["Failed to load resource", "ERR_"]
    await page.goto(await site.start("slow_steps", {"steps": 30, "pause_s": 0.4}))
    await expect(page.locator("#progress .done").nth(1)).to_be_visible()
    before = site.child("web").pid
    notice = asyncio.create_task(page.locator("#connection").wait_for())  # starts before the process is killed
    await asyncio.sleep(0)
    site.child("web").kill()
    await notice
    await wait_completed(page)
    await expect(page.locator("#connection")).to_be_hidden()
    await eventually(lambda: site.child("web").pid != before)
    assert await shown_ids(page) == await logged_ids(site, page)


async def test_a_failed_run_shows_its_error_and_node(page: Page, site: Site) -> None:
    await page.goto(await site.start("fails", {"text": "<b>text</b>"}))
    failure = page.locator("#failure")
    await expect(failure).to_contain_text("no luck today")
    await expect(failure).to_contain_text("node.failed")
    await expect(failure).to_contain_text("fail")
    await page.get_by_role("link", name="Run again with changes").click()
    await expect(page.get_by_label("Text")).to_have_value("<b>text</b>")


async def test_an_operator_resumes_a_paused_run_on_its_page(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 3}, after_seconds=3600))
    run = await site.run_of(page)
    await site.call("POST", f"/ops/runs/{run['run_id']}/pause", {"reason": "<b>until noon</b>"})
    paused = page.get_by_role("region", name="Paused")
    await expect(paused).to_contain_text("<b>until noon</b>")
    await expect(paused).to_contain_text("anonymous")
    await paused.get_by_role("button", name="Resume").click()
    await expect(paused).to_be_hidden()
    await expect(page.locator(PHASE)).not_to_have_text("paused")


async def test_a_run_that_reached_a_ceiling_shows_how_it_continues(page: Page, site: Site) -> None:
    await page.goto(await site.start("slow_steps", {"steps": 3}, context={"ceilings": {"max_steps": 1}}))
    await expect(page.locator("#failure")).to_contain_text("ceiling.steps")
    run = await site.run_of(page)
    command = f"slipway runs raise-ceiling {run['run_id']} --limit max_steps=2 --resume"
    await expect(page.locator("#failure pre")).to_have_text(command)


async def test_an_ended_run_is_shown_with_all_events(page: Page, site: Site) -> None:
    address = await site.start("slow_steps", {"steps": 3, "pause_s": 0})
    await site.call("GET", f"{urlsplit(address).path.removeprefix('/ui')}/join")
    await page.goto(address)
    await wait_completed(page)
    await expect(page.locator("#progress .done")).to_have_count(3)
    await asyncio.gather(
        expect(page.locator("#result")).to_be_visible(), expect(page.locator("#run-again")).to_be_visible()
    )


async def test_an_unknown_run_has_an_error_page(page: Page, observer: PageObserver) -> None:
    observer.allowed.append("404")
    unknown = f"{uuid4()}"
    response = await page.goto(f"/ui/threads/{unknown}/runs/{unknown}")
    assert response is not None
    assert response.status == 404
    await expect(page.get_by_text(f"run '{unknown}' not found")).to_be_visible()


async def test_the_page_reports_that_no_worker_is_live(browser: Browser, valkey_url: str, keys: Keys) -> None:
    project = HERE / "project" / "langgraph.json"
    settings = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project})
    async with serving(settings, await Registry.load(project)) as served, await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{served.url}/ui/graphs/slow_steps")
        await page.get_by_label("Steps").fill("1")
        await page.get_by_role("button", name="Start the run").click()
        await expect(page.locator("#run-summary")).to_contain_text("no live worker")
        await expect(page.locator(PHASE)).to_have_text("queued")
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await expect(page.locator(PHASE)).to_have_text("cancelled")
        await page.goto(served.url)
        await expect(page.get_by_text("No live worker")).to_be_visible()
