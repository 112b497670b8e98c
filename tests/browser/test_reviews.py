"""The review desk: the list, one review, two people at once, the keyboard, and hostile questions."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, Route, expect

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.browser.conftest import HERE, WAIT_MS, PageObserver
from tests.http.conftest import serving
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT = HERE / "desk_project" / "langgraph.json"
MESSAGES = {"messages": [{"role": "user", "content": "go"}]}


@dataclass
class Desk:
    """A web process and a worker, and pages of several people."""

    url: str
    client: httpx.AsyncClient
    browser: Browser
    stack: AsyncExitStack
    contexts: dict[tuple[str, int], BrowserContext] = field(default_factory=dict)
    pages: list[tuple[Page, PageObserver]] = field(default_factory=list)

    async def ask(self, graph: str, user: str = "ann") -> dict[str, Any]:
        """Runs a graph until it asks. Returns its run."""
        body = {"assistant_id": graph, "input": MESSAGES if graph in ("batched", "per_call") else {"topic": "x"}}
        thread = f"/threads/{uuid.uuid4()}"
        headers = {"x-user": user}
        run = await self.client.post(f"{thread}/runs", json=body | {"if_not_exists": "create"}, headers=headers)
        run.raise_for_status()

        async def waits() -> bool:
            return bool((await self.run(run.json()))["phase"] == "waiting_for_approval")

        await wait_until(waits)
        return dict(run.json())

    async def run(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run as it is now."""
        return dict((await self.client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json())

    async def reviews(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        found = (await self.client.get("/ops/reviews", params={"limit": 1000, "order": "newest"})).json()["reviews"]
        return [review for review in found if review["run_id"] == run["run_id"]]

    async def state(self, run: dict[str, Any]) -> dict[str, Any]:
        """The values of the thread when it is idle."""

        async def is_idle() -> bool:
            return bool((await self.client.get(f"/threads/{run['thread_id']}")).json()["status"] == "idle")

        await wait_until(is_idle)
        return dict((await self.client.get(f"/threads/{run['thread_id']}")).json()["values"])

    async def page_of(self, user: str, width: int = 1280) -> Page:
        """An empty page in the browser profile of this person."""
        if (user, width) not in self.contexts:
            context: BrowserContext = await self.stack.enter_async_context(
                await self.browser.new_context(
                    base_url=self.url, viewport={"width": width, "height": 900}, extra_http_headers={"x-user": user}
                )
            )
            context.set_default_timeout(WAIT_MS)
            self.contexts[user, width] = context
        page, observer = await self.contexts[user, width].new_page(), PageObserver(self.url)
        page.on("console", observer.console)
        page.on("pageerror", lambda error: observer.problems.append(f"error: {error}"))
        page.on("request", observer.request)
        self.pages.append((page, observer))
        return page

    async def close_pages(self) -> list[str]:
        """Closes all pages. Returns their unexpected console messages and requests."""
        pages, self.pages = self.pages, []
        for page, _ in pages:
            await page.close()
        return [problem for _, observer in pages for problem in observer.unexpected()]

    async def open(self, run: dict[str, Any], user: str, index: int = 0) -> Page:
        """The page of a review of the run."""
        page = await self.page_of(user)
        await page.goto(f"/ui/reviews/{(await self.reviews(run))[index]['review_id']}")
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served_desk(valkey_url: str, browser: Browser) -> AsyncIterator[Desk]:
    """The desk for all tests of the module."""
    values = {"redis_url": valkey_url, "key_prefix": f"desk-{uuid.uuid4().hex[:8]}", "config": PROJECT}
    settings, graphs = Settings.from_values(values), await Registry.load(PROJECT)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        httpx.AsyncClient(base_url=served.url, timeout=20, headers={"x-user": "ann"}) as client,
        AsyncExitStack() as stack,
    ):
        yield Desk(served.url, client, browser, stack)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(served_desk: Desk) -> AsyncIterator[Desk]:
    """The desk. An unexpected console message or request of one of its pages fails the test."""
    yield served_desk
    assert await served_desk.close_pages() == []


def allow_refused_requests(desk: Desk) -> None:
    for _, observer in desk.pages:
        observer.allowed.append("Failed to load resource")


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name)


class NewsAfterDecision:
    """Lets a page load its review only after it has sent a decision: until then it shows what it showed before."""

    def __init__(self) -> None:
        self._has_decided = False

    async def pass_or_abort(self, route: Route) -> None:
        await (route.continue_() if self._has_decided else route.abort())

    async def note_decision(self, route: Route) -> None:
        self._has_decided = True
        await route.continue_()


async def test_a_person_claims_and_approves_from_the_list(desk: Desk) -> None:
    page = await desk.page_of("ann")
    await page.goto("/ui/reviews?graph=inbox")
    await expect(page.get_by_text("No review matches.")).to_be_visible()
    run = await desk.ask("inbox")
    row = page.locator("#reviews tr", has_text="Refund 12.50 for order A-1")
    await expect(row).to_contain_text("open")
    await page.keyboard.press("j")
    await expect(row.get_by_role("link")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Refund")
    await expect(page.locator("#card")).to_contain_text("Nobody works on it")
    await expect(page.get_by_role("region", name="refund")).to_contain_text("order id")
    await page.keyboard.press("c")
    await expect(page.locator("#state")).to_have_text("claimed")
    await expect(page.locator("#card")).to_contain_text("You work on it.")
    await page.get_by_label("For the other reviewers").fill("looks fine")
    await button(page, "Comment").click()
    await expect(page.locator("#history")).to_contain_text("looks fine")
    await page.get_by_label("For the other reviewers").press("Escape")
    await page.keyboard.press("a")
    await expect(button(page, "Approve")).to_be_focused()
    assert (await desk.run(run))["phase"] == "waiting_for_approval", "a single key sends nothing"
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_have_text("decided")
    await expect(page.locator("#card")).to_contain_text("ann: approved")
    await expect(page.get_by_role("link", name="The run that continues")).to_be_visible()
    assert (await desk.state(run))["answer"] == {"type": "accept", "args": None}


async def test_the_second_of_two_people_sees_the_first_decision(desk: Desk) -> None:
    run = await desk.ask("inbox")
    ann, bob = await desk.open(run, "ann"), await desk.open(run, "bob")
    await button(bob, "Respond").click()
    await bob.get_by_label("Your response").fill("wait")
    news = NewsAfterDecision()
    await bob.route("**/ui/reviews/*/now", news.pass_or_abort)
    await bob.route("**/decide", news.note_decision)
    await button(ann, "Approve").click()
    await expect(ann.locator("#state")).to_have_text("decided")
    await button(bob, "Send the response").click()
    await expect(bob.locator("#card")).to_contain_text("was decided by ann")
    await expect(bob.locator("#card")).to_contain_text("ann: approved")
    await expect(button(bob, "Approve")).to_have_count(0)
    allow_refused_requests(desk)
    assert (await desk.state(run))["answer"]["type"] == "accept"


async def test_a_page_shows_the_decision_of_another_person_at_once(desk: Desk) -> None:
    run = await desk.ask("inbox")
    page = await desk.open(run, "bob")
    await button(page, "Edit").click()
    (review,) = await desk.reviews(run)
    body = {"kind": "edit", "args": {"order_id": "A-1", "amount": 3}}
    (await desk.client.post(f"/ops/reviews/{review['review_id']}/decide", json=body)).raise_for_status()
    await expect(page.locator("#card")).to_contain_text("ann: edited")
    await expect(page.locator("#card .changes")).to_contain_text(re.compile(r"amount\s*12.5\s*3"))
    await expect(button(page, "Send the edited version")).to_have_count(0)


async def test_an_invalid_edit_names_its_field_and_a_valid_one_shows_its_changes(desk: Desk) -> None:
    run = await desk.ask("per_call")
    index = next(i for i, each in enumerate(await desk.reviews(run)) if "edit" in str(each["question"]["actions"]))
    page = await desk.open(run, "bob", index)
    await page.keyboard.press("e")
    amount = page.get_by_label("amount")
    await amount.fill('"much"')
    await button(page, "Send the edited version").click()
    await expect(page.locator(".field", has=amount)).to_contain_text("is not of type")
    await expect(amount).to_be_focused()
    allow_refused_requests(desk)
    await amount.fill("4")
    await expect(page.locator(".changes")).to_contain_text(re.compile(r"amount\s*12.5\s*4"))
    await amount.press("Enter")
    await expect(page.locator("#state")).to_have_text("answered, waits for other answers")
    assert (await desk.run(run))["phase"] == "waiting_for_approval"
    await page.get_by_role("link", name="Mail").click()
    await button(page, "Reject").click()
    await page.get_by_label("Why").fill("no mail today")
    await button(page, "Send the rejection").click()
    await expect(page.locator("#state")).to_have_text("decided")
    text = (await desk.state(run))["messages"][-1]["content"]
    assert "refunded 4.0 for A-1" in text
    assert "no mail today" in text


async def test_several_actions_and_a_free_question_are_answered(desk: Desk) -> None:
    run = await desk.ask("batched")
    page = await desk.open(run, "bob")
    refund, mail = (page.get_by_role("region", name=name, exact=True) for name in ("refund", "mail"))
    await expect(button(page, "Send the decisions")).to_be_disabled()
    await button(refund, "Respond").click()
    await refund.get_by_label("Your response").fill("done by hand")
    await button(refund, "Send the response").click()
    await button(mail, "Approve").click()
    await button(page, "Send the decisions").click()
    await expect(page.locator("#state")).to_have_text("decided")
    assert "done by hand | mailed" in (await desk.state(run))["messages"][-1]["content"]
    run = await desk.ask("free")
    page = await desk.open(run, "bob")
    await page.get_by_role("textbox", name="Your answer").fill('{"amount": "x"}')
    await button(page, "Send the answer").click()
    await expect(page.locator("#card")).to_contain_text("is not of type")
    allow_refused_requests(desk)
    await page.get_by_role("textbox", name="Your answer").fill('{"amount": 2}')
    await button(page, "Send the answer").click()
    await expect(page.locator("#state")).to_have_text("decided")
    assert (await desk.state(run))["answer"] == {"amount": 2}


async def test_a_policy_says_who_may_decide(desk: Desk) -> None:
    run = await desk.ask("guarded", "ann finance")
    outsider = await desk.open(run, "bob")
    await expect(outsider.locator("#card")).to_contain_text("is for members of finance")
    await expect(button(outsider, "Approve")).to_have_count(0)
    starter = await desk.open(run, "ann finance")
    await expect(starter.locator("#card")).to_contain_text("needs a second person")
    await expect(button(starter, "Approve")).to_have_count(0)
    await expect(button(starter, "Respond")).to_be_visible()
    member = await desk.open(run, "eve finance")
    await expect(member.locator("#card")).to_contain_text("Due in 23 h")
    await button(member, "Approve").click()
    await expect(outsider.locator("#card")).to_contain_text("eve: approved")
    run = await desk.ask("quorum")
    bob, eve = await desk.open(run, "bob"), await desk.open(run, "eve")
    await button(bob, "Approve").click()
    await expect(eve.locator("#card")).to_contain_text("Until now: bob (approved)")
    await button(eve, "Approve").click()
    await expect(bob.locator("#card")).to_contain_text("bob and eve: approved")


async def test_a_hostile_question_is_shown_as_text_and_fits_a_narrow_screen(desk: Desk) -> None:
    run = await desk.ask("hostile")
    review_id = (await desk.reviews(run))[0]["review_id"]
    hostile = "<img src=x onerror='window.pwned=1'>"
    said = (
        ("comment", {"text": hostile}),
        ("request-information", {"text": hostile}),
        ("reassign", {"assignee": hostile}),
        ("reassign", {"assignee": "bob"}),
    )
    for operation, body in said:
        posted = await desk.client.post(f"/ops/reviews/{review_id}/{operation}", json=body, headers={"x-user": hostile})
        posted.raise_for_status()
    page = await desk.page_of("bob", width=400)
    for path in ("/ui/reviews", f"/ui/reviews/{review_id}", f"/ui/threads/{run['thread_id']}/runs/{run['run_id']}"):
        await page.goto(path)
        await expect(page.locator("main")).to_contain_text("<img src=x")
        for name in ("Edit", "Respond") if path != "/ui/reviews" else ():
            await button(page, name).first.click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 400, path
        assert await page.locator("main img, main script:not([type='application/json']), main [onerror]").count() == 0
        assert await page.evaluate("window.pwned") is None
        unnamed = (
            "[...document.querySelectorAll('input, textarea, select')].filter(field => !field.labels?.length).length"
        )
        assert await page.evaluate(unnamed) == 0


async def test_only_reviewers_decide_on_the_page_of_a_run(desk: Desk) -> None:
    run = await desk.ask("inbox", "nobody")
    path = f"/ui/threads/{run['thread_id']}/runs/{run['run_id']}"
    page = await desk.page_of("nobody")
    await page.goto(path)
    await expect(page.locator("#interrupts")).to_contain_text("lacks the permission 'slipway:review'")
    await expect(button(page, "Approve")).to_have_count(0)
    reviewer = await desk.page_of("bob")
    await reviewer.goto(path)
    await button(reviewer, "Ignore").click()
    for each in (page, reviewer):
        await each.wait_for_url(lambda url: not url.endswith(path))
    assert (await desk.state(run))["answer"]["type"] == "ignore"
