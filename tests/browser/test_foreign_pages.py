"""Pages of other sites in the browser of a developer whose `slipway dev` has no auth file: what they try and what comes
of it, and the same from where the Chat UI is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, WAIT_MS
from tests.js.bundle import serve_folder
from tests.site import Site

TRIES = """
async ({server, thread}) => {
  const run = JSON.stringify({assistant_id: "echo", input: {title: "from a page"}});
  const post = (options) => fetch(`${server}/threads/${thread}/runs`, {method: "POST", body: run, ...options});
  const settled = (promise) => promise.then((value) => value, () => "failed");
  const json = {"content-type": "application/json"};
  const form = () => new Promise((resolve) => {
    const frame = document.body.appendChild(Object.assign(document.createElement("iframe"), {name: "target"}));
    const sent = document.body.appendChild(document.createElement("form"));
    Object.assign(sent, {method: "POST", enctype: "text/plain", target: "target"});
    sent.action = `${server}/threads/${thread}/runs`;
    const field = {name: run.slice(0, -1) + ',"extra":"', value: '"}'};  // with the sign between them it is JSON
    sent.append(Object.assign(document.createElement("input"), field));
    frame.onload = () => resolve("sent");
    sent.submit();
  });
  const socket = () => new Promise((resolve) => {
    const opened = new WebSocket(`${server.replace("http", "ws")}/threads/${thread}/stream/events`);
    const params = {assistant_id: "echo", input: {title: "by a socket"}};
    opened.onopen = () => opened.send(JSON.stringify({id: 1, method: "run.start", params}));
    opened.onmessage = (message) => { opened.close(); resolve(JSON.parse(message.data).type); };
    opened.onerror = () => resolve("failed");
  });
  const image = () => new Promise((resolve) => {
    Object.assign(new Image(), {onload: () => resolve("loaded"), onerror: () => resolve("failed"),
                                src: `${server}/ui/static/icon.svg`});
  });
  return {
    read: await settled(fetch(`${server}/threads/${thread}/state`).then((answer) => answer.status)),
    json: await settled(post({headers: json}).then((answer) => answer.status)),
    plain: await settled(post({headers: {"content-type": "text/plain"}}).then((answer) => answer.status)),
    opaque: await settled(post({mode: "no-cors", headers: {"content-type": "text/plain"}}).then((it) => it.type)),
    untyped: await settled(post({mode: "no-cors", body: new Blob([run])}).then((it) => it.type)),
    beacon: navigator.sendBeacon(`${server}/threads/${thread}/runs`, run),
    changed: await settled(fetch(`${server}/threads/${thread}`, {method: "PATCH", headers: json, body: "{}"})
      .then((answer) => answer.status)),
    form: await form(),
    socket: await socket(),
    image: await image(),
  };
}
"""
"""Everything that a page can do to start a run, to read a state and to open a socket."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with an empty page."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text("<!doctype html><title>A page</title><body>")
    (folder / "favicon.ico").touch()
    with serve_folder(folder) as url:
        yield int(urlsplit(url).port or 0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def resolving(elsewhere: int) -> AsyncIterator[Browser]:
    """A Chromium for which `evil.example` and `localhost:3000` are that server, and `rebound.example` this machine."""
    names = f"MAP localhost:3000 127.0.0.1:{elsewhere}, MAP *.example 127.0.0.1"
    async with async_playwright() as playwright:
        flags = [*FLAGS, f"--host-resolver-rules={names}"]
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(resolving: Browser) -> AsyncIterator[Page]:
    """A page of a fresh profile."""
    async with await resolving.new_context() as context:
        context.set_default_timeout(WAIT_MS)
        yield await context.new_page()


async def tried(page: Page, site: Site, address: str) -> tuple[dict[str, Any], list[Any]]:
    """What a page at `address` gets, and the runs that it has started."""
    thread = (await site.call("POST", "/threads", {"thread_id": str(uuid4())}))["thread_id"]
    await page.goto(address)
    got = await page.evaluate(TRIES, {"server": site.url, "thread": thread})
    return got, await site.call("GET", f"/threads/{thread}/runs")


async def test_a_foreign_page_starts_reads_and_opens_nothing(stranger: Page, site: Site, elsewhere: int) -> None:
    got, runs = await tried(stranger, site, f"http://evil.example:{elsewhere}/")
    assert got == {
        **dict.fromkeys(("read", "json", "plain", "changed", "socket", "image"), "failed"),
        **dict.fromkeys(("opaque", "untyped"), "opaque"),  # sent, and refused
        "beacon": True,
        "form": "sent",
    }
    assert runs == []


async def test_the_chat_uis_page_does_all_of_it(stranger: Page, site: Site) -> None:
    got, runs = await tried(stranger, site, "http://localhost:3000/")
    assert await stranger.evaluate("location.origin") == "http://localhost:3000"
    assert (got["read"], got["json"], got["changed"], got["socket"]) == (200, 200, 200, "success")
    assert {run["kwargs"]["input"]["title"] for run in runs} == {"from a page", "by a socket"}


async def test_a_name_that_leads_here_shows_nothing(stranger: Page, site: Site) -> None:
    answer = await stranger.goto(f"http://rebound.example:{urlsplit(site.url).port}/info")
    assert answer is not None
    assert (answer.status, (await answer.json())["code"]) == (421, "host.refused")
    status = "fetch('/threads/search', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'})"
    assert await stranger.evaluate(f"{status}.then((answer) => answer.status)") == 421
