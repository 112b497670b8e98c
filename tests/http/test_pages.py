"""The pages for people, without a browser: what they are given to show."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from slipway_workers.process import WorkerProcess
from tests.conftest import Eventually
from tests.http.conftest import Served


async def a_run(client: httpx.AsyncClient, **body: Any) -> tuple[str, str]:
    """The page of a new run on a thread of its own, and the run's id."""
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]
    return f"/ui/threads/{thread}/runs/{run}", run


async def asked(client: httpx.AsyncClient, eventually: Eventually, place: str) -> list[Any]:
    """What the run asks, once it waits for an answer."""

    async def waits() -> bool:
        return bool((await client.get(f"{place}/now")).json()["run"]["phase"] == "waiting_for_approval")

    await eventually(waits)
    return [each["value"] for each in (await client.get(f"{place}/now")).json()["interrupts"]]


def sent(text: str) -> list[tuple[str, Any]]:
    """The name and the data of each message of a page's stream."""
    messages = [orjson.loads(line) for line in re.findall(r"^data: (.*)$", text, re.MULTILINE)]
    return [(message["event"], message["data"]) for message in messages]


async def test_a_page_is_told_all_that_the_tasks_of_a_run_ask(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    place, _ = await a_run(client, assistant_id="both", input={})
    assert sorted(await asked(client, eventually, place)) == ["a", "b"]


async def test_every_page_and_list_shows_the_phase_of_a_run_that_waits_in_plain_words(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually
) -> None:
    place, _ = await a_run(client, assistant_id="ask", input={})
    await asked(client, eventually, place)
    thread_page = place.rpartition("/runs/")[0]
    for path in ("/", "/ui/recent", thread_page):
        text = (await client.get(path)).text
        assert re.search(r">waiting for an answer</span>\s*<span class=\"dim\">for \d+ s</span>", text), path
        assert f'href="{place}#review"' in text, path
    facts = re.search(r"<dt>Phase</dt><dd>(.*?)</dd>", (await client.get(place)).text)
    assert facts is not None
    assert "waiting for an answer" in facts[1]
    assert 'id="since"' in facts[1]
    assert 'href="#review"' in facts[1]
    assert (await client.get(f"{place}/now")).json()["phase_text"] == "waiting for an answer"
    assert "Status: waiting for an answer." in (await client.get(thread_page)).text


@pytest.mark.parametrize("after", ["", "?after=0-0"])
async def test_a_run_that_waits_is_over_for_a_page_whose_log_is_gone(
    client: httpx.AsyncClient, worker: WorkerProcess, eventually: Eventually, served: Served, after: str
) -> None:
    place, run = await a_run(client, assistant_id="ask", input={})
    await asked(client, eventually, place)
    await served.services.pipeline.send("DEL", served.services.keys.events(run))
    text = (await client.get(f"{place}/events{after}")).text
    assert sent(text) == [
        ("expired", {}),
        ("end", {"run_id": run, "status": "success", "phase": "waiting_for_approval"}),
    ]


async def test_a_page_reads_the_log_from_where_it_stopped(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    place, _ = await a_run(client, assistant_id="steps", input={"value": 1})
    whole = (await client.get(f"{place}/events")).text
    assert [name for name, _ in sent(whole)] == ["metadata", *["values"] * 4, "end"]
    ids = re.findall(r"^id: (\S+)", whole, re.MULTILINE)
    for more in ({"params": {"after": ids[1]}}, {"headers": {"last-event-id": ids[1]}}):
        rest: Any = await client.get(f"{place}/events", **more)  # type: ignore[arg-type]
        assert re.findall(r"^id: (\S+)", rest.text, re.MULTILINE) == ids[2:]


async def test_a_run_that_was_removed_is_gone(client: httpx.AsyncClient) -> None:
    place, run = await a_run(client, assistant_id="steps", input={}, after_seconds=600)
    await client.post(f"{place.removeprefix('/ui')}/cancel", params={"action": "rollback"})
    assert (await client.get(f"{place}/now")).json() == {"deleted": True}
    assert run not in (await client.get("/")).text


async def test_the_newest_runs_are_listed_first(client: httpx.AsyncClient) -> None:
    runs = [(await a_run(client, assistant_id="steps", input={}, after_seconds=600))[1] for _ in range(4)]
    for page in ("/", "/ui/recent"):
        listed = re.findall(r"/runs/([0-9a-f-]{36})", (await client.get(page)).text)
        assert list(dict.fromkeys(listed)) == runs[::-1]


@pytest.mark.parametrize(
    ("age_s", "told"),
    [(90, "1 min ago"), (3570, "59 min ago"), (3600, "1 h ago"), (86_370, "23 h ago"), (172_800, "2 d ago")],
)
async def test_the_age_of_a_run_is_told_in_the_unit_that_fits(
    client: httpx.AsyncClient, served: Served, age_s: int, told: str
) -> None:
    _, run = await a_run(client, assistant_id="steps", input={}, after_seconds=600)
    made = served.services.clock.now() - timedelta(seconds=age_s)
    record = served.services.keys.run(run)
    await served.services.pipeline.send("HSET", record, "created_us", int(made.timestamp() * 1e6))
    assert told in (await client.get("/ui/recent")).text


async def test_scripts_are_asked_for_again_each_time(client: httpx.AsyncClient) -> None:
    first = await client.get("/ui/static/run.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/ui/static/run.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
    assert (await client.get("/")).headers["cache-control"] == "no-store"
