"""A real browser on a deployment that needs keys: signing in, working, tickets of a real EventSource, and what the log
never has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from slipway.processes.child_commands import slipway
from tests.browser.conftest import HERE, WAIT_MS, PageObserver
from tests.environment import bare_environment
from tests.js.bundle import serve_folder
from tests.site import Site, running_site

SETTINGS = {"SLIPWAY_REQUIRE_KEYS": "1", "SLIPWAY_LOG_LEVEL": "debug"}
RUN_TIMEOUT_MS = 20_000

STREAMS = """
async ({server, key, thread, run}) => {
  const send = async (path) => (await fetch(server + path, {method: "POST", headers: {"x-api-key": key}})).json();
  const events = (url) => new Promise((resolve) => {
    const source = new EventSource(url), received = [];
    source.onerror = () => { source.close(); resolve(received.length ? received : "failed"); };
    for (const name of ["metadata", "values", "end"]) source.addEventListener(name, () => {
      received.push(name);
      if (name === "end" || received.length > 2) { source.close(); resolve(received); }
    });
  });
  const socket = (url) => new Promise((resolve) => {
    const opened = new WebSocket(url.replace("http", "ws"));
    const command = {id: 1, method: "subscription.subscribe", params: {channels: ["values"]}};
    opened.onopen = () => opened.send(JSON.stringify(command));
    opened.onmessage = (message) => { opened.close(); resolve(JSON.parse(message.data).type); };
    opened.onclose = (event) => resolve(event.code);
  });
  const runTicket = await send(`/threads/${thread}/runs/${run}/stream/ticket`);
  const socketTicket = await send(`/threads/${thread}/stream/events/ticket`);
  const streamed = await events(`${server}${runTicket.path}&since_event_id=-1`);
  return {
    streamed,
    again: await events(server + runTicket.path),
    without: await events(`${server}/threads/${thread}/runs/${run}/stream`),
    socket: await socket(server + socketTicket.path),
    socketAgain: await socket(server + socketTicket.path),
    tickets: [runTicket.ticket, socketTicket.ticket],
  };
}
"""
"""What a page of another site does with a key: it opens streams with tickets."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A site that needs keys, one of its keys, and the file of its log."""

    site: Site
    key: str
    log: Path


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    with running_site(HERE / "project" / "langgraph.json", folder, **SETTINGS) as site:
        environment = bare_environment() | {"SLIPWAY_REDIS_URL": f"unix://{folder / 'valkey.sock'}"}
        command = slipway("keys", "create", "--scope", "administer", "--json")
        created = subprocess.run(command, env=environment, capture_output=True, check=True)
        yield Keyed(site, json.loads(created.stdout)["key"], folder / "dev.log")


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, keyed: Keyed) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context(base_url=keyed.site.url) as context:
        context.set_default_timeout(WAIT_MS)
        yield context


async def sign_in(page: Page, keyed: Keyed) -> None:
    await page.get_by_label("API key").fill(keyed.key)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/ui/graphs/**")  # until its scripts are loaded


async def test_a_person_signs_in_starts_a_run_and_signs_out(context: BrowserContext, keyed: Keyed) -> None:
    observer, page = PageObserver(keyed.site.url, ["401"]), await context.new_page()
    page.on("console", observer.console)
    page.on("pageerror", lambda error: observer.problems.append(f"error: {error}"))
    page.on("request", observer.request)
    await page.goto("/ui/graphs/echo")
    await expect(page).to_have_title("Sign in · Slipway")
    await page.get_by_label("API key").fill("slipway_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("this is no API key that is valid now")
    await sign_in(page, keyed)
    await expect(page.get_by_label("Title")).to_be_visible()
    await page.get_by_label("Title").fill("signed in")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#phase")).to_have_text("completed", timeout=RUN_TIMEOUT_MS)
    assert await page.evaluate("document.cookie") == "", "no script reads the session"
    run_page = page.url
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_title("Sign in · Slipway")
    await page.goto(run_page)
    await expect(page).to_have_title("Sign in · Slipway")
    assert observer.unexpected() == [], "no violation of the content security policy among them"


async def test_a_page_of_another_site_opens_streams_with_tickets(
    browser: Browser, keyed: Keyed, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>A page</title><body>")
    (tmp_path / "favicon.ico").touch()
    async with httpx.AsyncClient(base_url=keyed.site.url, headers={"x-api-key": keyed.key}, timeout=30) as http:
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": "echo", "input": {"title": "x"}}
        await http.post(f"/threads/{thread}/runs/wait", json=body)
        run = (await http.get(f"/threads/{thread}/runs")).json()[0]["run_id"]
    with serve_folder(tmp_path) as url:
        async with await browser.new_context() as context:
            page = await context.new_page()
            await page.goto(url)
            arguments = {"server": keyed.site.url, "key": keyed.key, "thread": thread, "run": run}
            results: dict[str, Any] = await page.evaluate(STREAMS, arguments)
    tickets = results.pop("tickets")
    assert results["streamed"] != "failed"
    assert "metadata" in results["streamed"]
    assert {name: results[name] for name in ("again", "without", "socket", "socketAgain")} == {
        "again": "failed",
        "without": "failed",
        "socket": "event",
        "socketAgain": 4401,
    }
    log = keyed.log.read_text()
    assert "/stream" in log
    assert not [ticket for ticket in tickets if ticket in log]


async def test_the_log_has_no_key_no_session_and_no_token(context: BrowserContext, keyed: Keyed) -> None:
    page = await context.new_page()
    await page.goto("/ui/graphs/echo")
    await sign_in(page, keyed)
    await expect(page.get_by_label("Title")).to_be_visible()
    csrf = await page.evaluate("document.documentElement.dataset.csrf")
    [cookie] = [each for each in await context.cookies() if "session" in str(each.get("name"))]
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Lax"
    await page.request.get("/threads/nowhere")  # an error, which the log has with its request
    await page.goto("/ui/nowhere?key=" + "a" * 40)
    log = keyed.log.read_text()
    assert "/threads/nowhere" in log
    for secret in (keyed.key, str(cookie.get("value")), csrf):
        assert secret not in log
