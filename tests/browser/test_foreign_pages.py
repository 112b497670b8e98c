"""Requests of pages in the browser of a developer whose `slipway dev` has no auth file: those of other sites are
rejected, those of the Chat UI on localhost are accepted."""

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

REQUESTS = """
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
    const field = {name: run.slice(0, -1) + ',"extra":"', value: '"}'};  // name, "=" and value together are JSON
    sent.append(Object.assign(document.createElement("input"), field));
    frame.onload = () => resolve("sent");
    sent.submit();
  });
  const socket = () => new Promise((resolve) => {
    const opened = new WebSocket(`${server.replace("http", "ws")}/threads/${thread}/stream/events`);
    const params = {assistant_id: "echo", input: {title: "over a socket"}};
    opened.onopen = () => opened.send(JSON.stringify({id: 1, method: "run.start", params}));
    opened.onmessage = (message) => { opened.close(); resolve(JSON.parse(message.data).type); };
    opened.onerror = () => resolve("failed");
  });
  const image = () => new Promise((resolve) => {
    Object.assign(new Image(), {onload: () => resolve("loaded"), onerror: () => resolve("failed"),
                                src: `${server}/ui/static/icon.svg`});
  });
  return {
    read: await settled(fetch(`${server}/threads/${thread}/state`).then((response) => response.status)),
    json: await settled(post({headers: json}).then((response) => response.status)),
    plain: await settled(post({headers: {"content-type": "text/plain"}}).then((response) => response.status)),
    opaque: await settled(post({mode: "no-cors", headers: {"content-type": "text/plain"}})
      .then((response) => response.type)),
    untyped: await settled(post({mode: "no-cors", body: new Blob([run])}).then((response) => response.type)),
    beacon: navigator.sendBeacon(`${server}/threads/${thread}/runs`, run),
    changed: await settled(fetch(`${server}/threads/${thread}`, {method: "PATCH", headers: json, body: "{}"})
      .then((response) => response.status)),
    form: await form(),
    socket: await socket(),
    image: await image(),
  };
}
"""
"""All ways in which a page can create a run, read a state and open a socket."""


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with an empty page."""
    folder = tmp_path_factory.mktemp("other_server")
    (folder / "index.html").write_text("<!doctype html><title>A page</title><body>")
    (folder / "favicon.ico").touch()
    with serve_folder(folder) as url:
        yield int(urlsplit(url).port or 0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mapped_browser(other_server: int) -> AsyncIterator[Browser]:
    """A Chromium that maps `localhost:3000` to that server, and all names below `.example` to this machine."""
    names = f"MAP localhost:3000 127.0.0.1:{other_server}, MAP *.example 127.0.0.1"
    async with async_playwright() as playwright:
        flags = [*FLAGS, f"--host-resolver-rules={names}"]
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def foreign_page(mapped_browser: Browser) -> AsyncIterator[Page]:
    """An empty page of a new browser profile."""
    async with await mapped_browser.new_context() as context:
        context.set_default_timeout(WAIT_MS)
        yield await context.new_page()


async def send_requests(page: Page, site: Site, address: str) -> tuple[dict[str, Any], list[Any]]:
    """Sends all requests from a page at `address`. Returns their results and the runs that they created."""
    thread = (await site.call("POST", "/threads", {"thread_id": str(uuid4())}))["thread_id"]
    await page.goto(address)
    results = await page.evaluate(REQUESTS, {"server": site.url, "thread": thread})
    return results, await site.call("GET", f"/threads/{thread}/runs")


async def test_all_requests_of_a_foreign_page_are_rejected(foreign_page: Page, site: Site, other_server: int) -> None:
    results, runs = await send_requests(foreign_page, site, f"http://evil.example:{other_server}/")
    assert results == {
        **dict.fromkeys(("read", "json", "plain", "changed", "socket", "image"), "failed"),
        **dict.fromkeys(("opaque", "untyped"), "opaque"),  # sent, but rejected by the server
        "beacon": True,
        "form": "sent",
    }
    assert runs == []


async def test_a_page_on_localhost_can_create_read_and_open(foreign_page: Page, site: Site) -> None:
    results, runs = await send_requests(foreign_page, site, "http://localhost:3000/")
    assert await foreign_page.evaluate("location.origin") == "http://localhost:3000"
    assert (results["read"], results["json"], results["changed"], results["socket"]) == (200, 200, 200, "success")
    assert {run["kwargs"]["input"]["title"] for run in runs} == {"from a page", "over a socket"}


async def test_requests_to_an_unknown_host_name_are_rejected(foreign_page: Page, site: Site) -> None:
    response = await foreign_page.goto(f"http://rebound.example:{urlsplit(site.url).port}/info")
    assert response is not None
    assert (response.status, (await response.json())["code"]) == (421, "host.refused")
    request = "fetch('/threads/search', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'})"
    assert await foreign_page.evaluate(f"{request}.then((response) => response.status)") == 421
