"""Two users of one server, with the Python SDK."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import Services
from slipway_workers.process import WorkerProcess
from tests.auth.conftest import Client
from tests.crons.conftest import DueTimes, due_times
from tests.http.conftest import Served
from tests.waiting import wait_until

__all__ = ["due_times"]

ANN = {"authorization": "Bearer ann-token"}


@pytest.fixture
def services(served: Served) -> Services:
    return served.services


async def test_a_graph_receives_the_user_and_nothing_forged(
    ann: Client, worker: WorkerProcess, pipeline: Pipeline, keys: Keys
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    forged = {"langgraph_auth_user_id": "bob", "langgraph_auth_user": {"identity": "bob"}, "user_id": "bob"}
    events = [
        event
        async for event in ann.runs.stream(
            thread,
            "greet",
            input={"text": "hi"},
            config={"configurable": forged},
            stream_mode=["values", "checkpoints", "debug", "tasks", "events"],
        )
    ]
    state = next(event.data for event in reversed(events) if event.event == "values")
    assert state["reply"] == "Good day, ann"
    assert state["details"]["team"] == "blue"
    assert (state["details"]["id"], state["details"]["permissions"]) == ("ann", ["desk"])
    (run,) = await ann.runs.list(thread)
    assert run["metadata"]["owner"] == "ann"
    responses = [run, await ann.threads.get_history(thread), [event.data for event in events]]
    assert "langgraph_auth" not in json.dumps(responses)
    stored = [await pipeline.send("DUMP", key) for key in await pipeline.send("KEYS", f"{keys.prefix}:cp:*")]
    assert stored
    assert not any(b"langgraph_auth" in each for each in stored)
    assert (await ann.threads.get(thread))["metadata"]["owner"] == "ann"
    for state in await ann.threads.get_history(thread):
        assert not {name for name in state["metadata"] if name == "user_id" or name.startswith("langgraph_auth")}


async def test_totals_count_only_readable_threads(client: httpx.AsyncClient, ann: Client, bob: Client) -> None:
    for _ in range(3):
        await bob.threads.create()
        await ann.threads.create()
    page = await client.post("/threads/search", json={"limit": 2, "offset": 1}, headers=ANN)
    assert len(page.json()) == 2
    assert page.headers["x-pagination-total"] == "3"
    assert "x-pagination-next" not in page.headers
    assert await ann.threads.count() == 3
    assert {each["metadata"]["owner"] for each in await bob.threads.search()} == {"bob"}


async def test_an_idempotency_key_belongs_to_one_user(client: httpx.AsyncClient, ann: Client) -> None:
    key = {"idempotency-key": "the same"}
    first = await client.post("/threads", json={}, headers=ANN | key)
    again = await client.post("/threads", json={}, headers=ANN | key)
    other = await client.post("/threads", json={}, headers={"authorization": "Bearer bob-token"} | key)
    assert first.json()["thread_id"] == again.json()["thread_id"] != other.json()["thread_id"]


async def test_an_existing_thread_keeps_its_owner(ann: Client, bob: Client) -> None:
    thread = (await ann.threads.create(metadata={"owner": "bob", "about": "tax"}))["thread_id"]
    assert (await ann.threads.get(thread))["metadata"] == {"owner": "ann", "about": "tax"}
    with pytest.raises(ConflictError):
        await bob.threads.create(thread_id=thread, if_exists="do_nothing")
    with pytest.raises(NotFoundError):
        await bob.runs.create(thread, "greet", input={}, if_not_exists="create")
    await ann.threads.update(thread, metadata={"owner": "bob"})
    assert (await ann.threads.get(thread))["metadata"]["owner"] == "ann"
    new_thread = str(uuid4())
    await bob.runs.create(new_thread, "greet", input={}, if_not_exists="create", after_seconds=3600)
    with pytest.raises(NotFoundError):
        await ann.threads.get(new_thread)


async def test_a_bulk_cancel_cancels_only_the_users_own_runs(ann: Client, bob: Client) -> None:
    runs = []
    for user in (ann, bob):
        thread = (await user.threads.create())["thread_id"]
        runs.append(await user.runs.create(thread, "greet", input={}, after_seconds=3600))
    await ann.runs.cancel_many(status="all")
    assert (await ann.runs.get(runs[0]["thread_id"], runs[0]["run_id"]))["status"] == "interrupted"
    assert (await bob.runs.get(runs[1]["thread_id"], runs[1]["run_id"]))["status"] == "pending"


async def test_a_cron_runs_for_its_owner(
    served: Served, ann: Client, bob: Client, worker: WorkerProcess, due_times: DueTimes
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    cron = await ann.crons.create_for_thread(thread, "greet", schedule="0 0 1 1 *", input={"text": "hi"})
    assert cron["user_id"] == "ann"
    assert cron["metadata"]["owner"] == "ann"
    with pytest.raises(NotFoundError):
        await bob.crons.update(cron["cron_id"], enabled=False)
    await due_times.make_due(cron["cron_id"])

    async def has_run() -> bool:
        return ((await ann.threads.get(thread))["values"] or {}).get("reply") == "Good day, ann"

    await wait_until(has_run)


async def test_a_graph_sends_requests_to_its_own_server(ann: Client, worker: WorkerProcess) -> None:
    """`langgraph_sdk.get_client()`, called when the graph is imported and in a node."""
    result = await ann.runs.wait(None, "ask_greet", input={"text": "hi"})
    assert result["reply"] == "Good day, None"


async def test_a_graph_follows_an_event_stream_of_its_own_server(ann: Client, worker: WorkerProcess) -> None:
    """`threads.stream` of `get_client()`, whose event stream stays open after the run ended."""
    result = await ann.runs.wait(None, "watcher", input={"text": "hi"})
    assert result["reply"] == "Good day, None", result
    assert "run_id" in result["details"]["first"]


async def test_a_factory_receives_the_user_and_the_access_context(
    ann: Client, bob: Client, graphs: Registry, worker: WorkerProcess
) -> None:
    thread = (await ann.threads.create(metadata={"graph_id": "ask_greet"}))["thread_id"]
    await bob.assistants.get_schemas("ask_greet")
    calls = graphs.load_object("./graphs.py:factory_calls")
    assert isinstance(calls, list)
    calls.clear()
    await ann.threads.get_state(thread)
    await bob.assistants.get_schemas("ask_greet")
    await ann.runs.wait(thread, "ask_greet", input={"text": "hi"})
    assert calls[:2] == ["threads.read ann", "assistants.read bob"]
    assert "threads.create_run ann" in calls


async def test_a_state_is_read_with_the_graph_of_its_user(ann: Client, worker: WorkerProcess) -> None:
    """When it is read, when it is written, and on the event stream of the thread."""
    thread = (await ann.threads.create())["thread_id"]
    await ann.runs.wait(thread, "own_desk", input={"text": "hi"})
    assert (await ann.threads.get_state(thread))["next"] == ["ann"]
    await ann.threads.update_state(thread, {"text": "new"}, as_node="begin")
    assert (await ann.threads.get_state(thread))["next"] == ["ann"]
    stream = await ann.threads.join_stream(thread, last_event_id="-", stream_mode="state_update")
    async with asyncio.timeout(30), aclosing(stream) as parts:
        written = await anext(parts)
    assert (written.event, written.data["state"]["next"]) == ("state_update", ["ann"])


async def test_headers_become_configurable(ann: Client, client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    headers = ANN | {"x-tour-stop": "3", "x-tour-secret": "s", "x-other": "o"}
    response = await client.post("/runs/wait", json={"assistant_id": "greet", "input": {"text": "a"}}, headers=headers)
    details = response.json()["details"]
    assert details["x-tour-stop"] == "3"
    assert not {"x-tour-secret", "x-other", "authorization"} & details.keys()


async def test_a_handler_chooses_the_namespace_in_the_store(ann: Client, bob: Client) -> None:
    for user, text in ((ann, "a cat"), (bob, "a dog")):
        await user.store.put_item(["notes"], "one", {"text": text})
    found = await ann.store.search_items(["notes"], query="dog")
    assert [item["value"]["text"] for item in found["items"]] == ["a cat"]
    assert (await bob.store.list_namespaces())["namespaces"] == [["bob", "notes"]]


async def test_a_failing_handler_authenticates_no_user(client: httpx.AsyncClient) -> None:
    response = await client.post("/threads", json={}, headers={"authorization": "Bearer broken-token"})
    assert response.status_code == 500
    assert "secret" not in response.text
    anonymous = await client.post("/threads", json={})
    assert (anonymous.status_code, anonymous.json()["detail"]) == (401, "who are you?")
    assert anonymous.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/noauth/threads/search", "/threads/search"])
async def test_no_path_bypasses_the_auth_file(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path, json={}, headers={"root-path": "/noauth", "x-forwarded-prefix": "/noauth"})
    assert response.status_code in (401, 404)
