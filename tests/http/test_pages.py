"""Data and HTML of the pages for people, without a browser."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served
from tests.waiting import Eventually


async def create_run(client: httpx.AsyncClient, **body: Any) -> tuple[str, str]:
    """Creates a run on a new thread. Returns the path of its page, and its id."""
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
    return f"/ui/threads/{thread}/runs/{run}", run


async def wait_for_interrupts(client: httpx.AsyncClient, eventually: Eventually, page: str) -> list[Any]:
    """Waits until the run waits for an answer. Returns the values of its questions."""

    async def waits_for_answer() -> bool:
        return bool((await client.get(f"{page}/now")).json()["run"]["phase"] == "waiting_for_approval")

    await eventually(waits_for_answer)
    reviews = (await client.get(f"{page}/now")).json()["reviews"]
    return [each["review"]["question"]["value"] for each in reviews]


def messages_of(text: str) -> list[tuple[str, Any]]:
    """Event and data of each message in the event stream of a page."""
    messages = [orjson.loads(line) for line in re.findall(r"^data: (.*)$", text, re.MULTILINE)]
    return [(message["event"], message["data"]) for message in messages]


async def test_the_page_of_a_run_receives_the_questions_of_all_tasks(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    page, _ = await create_run(client, assistant_id="both", input={})
    assert sorted(await wait_for_interrupts(client, eventually, page)) == ["a", "b"]


async def test_every_page_shows_that_a_run_waits_for_an_answer(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    page, _ = await create_run(client, assistant_id="ask", input={})
    await wait_for_interrupts(client, eventually, page)
    thread_page = page.rpartition("/runs/")[0]
    for path in ("/", "/ui/recent", thread_page):
        text = (await client.get(path)).text
        assert re.search(r">waiting for an answer</span>\s*<span class=\"dim\">for \d+ s</span>", text), path
        assert f'href="{page}#review"' in text, path
    phase = re.search(r"<dt>Phase</dt><dd>(.*?)</dd>", (await client.get(page)).text)
    assert phase is not None
    assert "waiting for an answer" in phase[1]
    assert 'id="since"' in phase[1]
    assert 'href="#review"' in phase[1]
    assert (await client.get(f"{page}/now")).json()["phase_text"] == "waiting for an answer"
    assert "Status: waiting for an answer." in (await client.get(thread_page)).text


@pytest.mark.parametrize("after", ["", "?after=0-0"])
async def test_the_page_of_a_waiting_run_whose_log_was_deleted_receives_the_end(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, served: Served, after: str
) -> None:
    page, run = await create_run(client, assistant_id="ask", input={})
    await wait_for_interrupts(client, eventually, page)
    await served.services.pipeline.send("DEL", served.services.keys.events(run))
    text = (await client.get(f"{page}/events{after}")).text
    assert messages_of(text) == [
        ("expired", {}),
        ("end", {"run_id": run, "status": "success", "phase": "waiting_for_approval"}),
    ]


async def test_the_page_of_a_run_continues_after_the_last_event_that_it_received(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    page, _ = await create_run(client, assistant_id="steps", input={"value": 1})
    complete = (await client.get(f"{page}/events")).text
    assert [name for name, _ in messages_of(complete)] == ["metadata", *["values"] * 4, "end"]
    ids = re.findall(r"^id: (\S+)", complete, re.MULTILINE)
    for position in ({"params": {"after": ids[1]}}, {"headers": {"last-event-id": ids[1]}}):
        response: Any = await client.get(f"{page}/events", **position)  # type: ignore[arg-type]
        assert re.findall(r"^id: (\S+)", response.text, re.MULTILINE) == ids[2:]


async def test_a_run_that_was_rolled_back_is_shown_as_deleted(client: httpx.AsyncClient) -> None:
    page, run = await create_run(client, assistant_id="steps", input={}, after_seconds=600)
    await client.post(f"{page.removeprefix('/ui')}/cancel", params={"action": "rollback"})
    assert (await client.get(f"{page}/now")).json() == {"deleted": True}
    assert run not in (await client.get("/")).text


async def test_the_newest_runs_are_listed_first(client: httpx.AsyncClient) -> None:
    runs = [(await create_run(client, assistant_id="steps", input={}, after_seconds=600))[1] for _ in range(4)]
    for path in ("/", "/ui/recent"):
        listed = re.findall(r"/runs/([0-9a-f-]{36})", (await client.get(path)).text)
        assert list(dict.fromkeys(listed)) == runs[::-1]


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(90, "1 min ago"), (3570, "59 min ago"), (3600, "1 h ago"), (86_370, "23 h ago"), (172_800, "2 d ago")],
)
async def test_the_age_of_a_run_is_shown_in_a_suitable_unit(
    client: httpx.AsyncClient, served: Served, age_s: int, text: str
) -> None:
    _, run = await create_run(client, assistant_id="steps", input={}, after_seconds=600)
    created_at = served.services.clock.now() - timedelta(seconds=age_s)
    record = served.services.keys.run(run)
    await served.services.pipeline.send("HSET", record, "created_us", int(created_at.timestamp() * 1e6))
    assert text in (await client.get("/ui/recent")).text


async def test_browsers_revalidate_scripts_each_time_and_store_no_pages(client: httpx.AsyncClient) -> None:
    first = await client.get("/ui/static/run.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/ui/static/run.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
    assert (await client.get("/")).headers["cache-control"] == "no-store"
