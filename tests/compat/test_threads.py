"""Threads: search, copies, pruning, time to live, storage size, and import of a history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from slipway.graphs.official_sections import CheckpointerSection, ThreadTtlSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import open_services
from slipway.settings import Settings
from slipway.threads.ttl import ThreadTtl
from slipway_workers.duties.retention import Retention
from slipway_workers.process import WorkerProcess
from tests.compat.conftest import Client, Eventually, hold_started, new_thread
from tests.http.conftest import Served, serving


@pytest.mark.usefixtures("worker")
async def test_threads_are_found_by_values_status_metadata_and_ids(sdk: Client) -> None:
    idle, interrupted = await new_thread(sdk), await new_thread(sdk)
    await sdk.runs.wait(idle, "steps", input={"value": 1})
    await sdk.runs.wait(interrupted, "ask", input={"value": 1})
    assert [thread["thread_id"] for thread in await sdk.threads.search(values={"value": 4})] == [idle]
    assert [thread["thread_id"] for thread in await sdk.threads.search(values={"log": ["two"]})] == [idle]
    assert [thread["thread_id"] for thread in await sdk.threads.search(status="interrupted")] == [interrupted]
    assert [thread["thread_id"] for thread in await sdk.threads.search(metadata={"graph_id": "ask"})] == [interrupted]
    assert [thread["thread_id"] for thread in await sdk.threads.search(ids=[idle, str(uuid4())])] == [idle]
    assert await sdk.threads.count(values={"value": 4}) == 1
    assert await sdk.threads.count(status="idle") == 1
    assert await sdk.threads.count() == 2


@pytest.mark.parametrize("sort_by", ["thread_id", "status", "created_at", "updated_at", "state_updated_at"])
async def test_a_search_is_sorted_in_both_orders_and_paged(sdk: Client, sort_by: Any) -> None:
    for number in range(5):
        thread = await new_thread(sdk)
        if number % 2:  # no worker executes the run, so the thread stays busy
            await sdk.runs.create(thread, "steps", input={"value": 1})
    ascending = await sdk.threads.search(sort_by=sort_by, sort_order="asc")
    descending = await sdk.threads.search(sort_by=sort_by, sort_order="desc")
    keys = [thread[sort_by] for thread in ascending]
    assert keys == sorted(keys)
    assert [thread[sort_by] for thread in descending] == keys[::-1]
    pages = [
        await sdk.threads.search(sort_by=sort_by, sort_order="asc", limit=2, offset=offset) for offset in (0, 2, 4)
    ]
    assert [thread["thread_id"] for page in pages for thread in page] == [thread["thread_id"] for thread in ascending]


@pytest.mark.usefixtures("worker")
async def test_a_search_returns_the_extracted_paths(client: httpx.AsyncClient, sdk: Client) -> None:
    thread = (await sdk.threads.create(metadata={"owner": {"name": "me"}}))["thread_id"]
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    paths = {
        "last": "values.log[-1]",
        "first": "values.log[0]",
        "first_again": "values.log[-3]",
        "before": "values.log[-4]",
        "beyond": "values.log[3]",
        "owner": "metadata.owner.name",
        "none": "values.x.y[3]",
    }
    (thread_parts,) = await sdk.threads.search(select=["thread_id"], extract=paths)
    assert thread_parts == {
        "thread_id": thread,
        "extracted": {
            **{"last": "three", "first": "one", "first_again": "one", "owner": "me"},
            **dict.fromkeys(("before", "beyond", "none")),
        },
    }
    (with_most_paths,) = await sdk.threads.search(extract={f"a{n}": "metadata.owner.name" for n in range(10)})
    assert with_most_paths["extracted"] == {f"a{n}": "me" for n in range(10)}
    for extract in (
        {"a": "secrets.x"},
        {"values": "values.log"},
        {"not-a-name": "values.log"},
        {"a": "values..log"},
        {"a": "values[x]"},
        {"a": ""},
        {f"a{n}": "values" for n in range(11)},
    ):
        assert (await client.post("/threads/search", json={"extract": extract})).status_code == 422, extract


@pytest.mark.usefixtures("worker")
async def test_a_copy_has_the_history_and_is_independent(sdk: Client, client: httpx.AsyncClient) -> None:
    source = (await sdk.threads.create(metadata={"owner": "me"}))["thread_id"]
    await sdk.runs.wait(source, "ask", input={"value": 1})
    key = {"idempotency-key": str(uuid4())}
    copy_ids = [(await client.post(f"/threads/{source}/copy", headers=key)).json()["thread_id"] for _ in range(2)]
    assert copy_ids[0] == copy_ids[1] != source
    copy = await sdk.threads.get(copy_ids[0])
    assert copy["metadata"] == (await sdk.threads.get(source))["metadata"]
    assert (copy["status"], copy["values"]) == ("interrupted", {"value": 2, "log": ["one"]})
    histories = [await sdk.threads.get_history(thread, limit=50) for thread in (source, copy_ids[0])]
    assert [state["checkpoint_id"] for state in histories[0]] == [state["checkpoint_id"] for state in histories[1]]
    assert (await sdk.runs.wait(copy_ids[0], "ask", command={"resume": 7}))["answer"] == 7
    assert (await sdk.threads.get(source))["status"] == "interrupted"
    assert (await sdk.runs.wait(source, "ask", command={"resume": 8}))["answer"] == 8
    assert (await client.post(f"/threads/{uuid4()}/copy")).status_code == 404


@pytest.mark.usefixtures("worker")
async def test_prune_deletes_threads_or_their_older_checkpoints(sdk: Client) -> None:
    shortened, deleted = await new_thread(sdk), await new_thread(sdk)
    for thread in (shortened, deleted):
        await sdk.runs.wait(thread, "steps", input={"value": 1})
    assert await sdk.threads.prune([shortened, str(uuid4())], strategy="keep_latest") == {"pruned_count": 1}
    assert len(await sdk.threads.get_history(shortened, limit=50)) == 1
    assert (await sdk.threads.get_state(shortened))["values"]["value"] == 4
    assert (await sdk.runs.wait(shortened, "steps", input={"value": 10}))["value"] == 13
    assert await sdk.threads.prune([deleted, deleted, str(uuid4())]) == {"pruned_count": 1}
    with pytest.raises(NotFoundError):
        await sdk.threads.get(deleted)
    with pytest.raises(UnprocessableEntityError):
        await sdk.threads.prune(["no-uuid"])


async def test_a_busy_thread_is_not_pruned(sdk: Client, worker: WorkerProcess, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.create(thread, "hold", input={"value": 1})
    await eventually(lambda: hold_started(sdk, thread))
    history = await sdk.threads.get_history(thread, limit=50)
    assert await sdk.threads.prune([thread], strategy="keep_latest") == {"pruned_count": 0}
    assert await sdk.threads.get_history(thread, limit=50) == history


@pytest.mark.usefixtures("worker")
async def test_storage_returns_the_bytes_of_a_thread(sdk: Client, client: httpx.AsyncClient, served: Served) -> None:
    thread = await new_thread(sdk)
    empty = (await client.get(f"/threads/{thread}/storage")).json()
    assert (empty["total_bytes"], empty["checkpoints"]["count"]) == (0, 0)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    full = (await client.get(f"/threads/{thread}/storage")).json()
    assert full["checkpoints"]["count"] == len(await sdk.threads.get_history(thread, limit=50))
    assert {"value", "log"} <= full["channel_values"]["by_channel"].keys()
    sizes = [full[name]["bytes"] for name in ("checkpoints", "channel_values", "pending_writes")]
    assert full["total_bytes"] == sum(sizes)
    counted = await served.services.checkpointer.thread_bytes(thread)
    assert 0.8 * counted <= full["total_bytes"] <= counted
    assert (await client.get(f"/threads/{uuid4()}/storage")).status_code == 404


async def test_patching_the_state_merges_the_metadata_of_the_thread(sdk: Client, client: httpx.AsyncClient) -> None:
    thread = (await sdk.threads.create(metadata={"a": 1}))["thread_id"]
    response = await client.patch(f"/threads/{thread}/state", json={"metadata": {"b": 2}})
    assert response.json()["metadata"] == {"a": 1, "b": 2}


async def test_the_time_to_live_is_returned_when_included(sdk: Client, client: httpx.AsyncClient) -> None:
    thread = await sdk.threads.create(ttl=60)
    assert "ttl" not in thread
    thread_id = thread["thread_id"]
    ttl = (await sdk.threads.get(thread_id, include=["ttl"]))["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("delete", 60)
    assert ttl["expires_at"] > thread["created_at"]
    await sdk.threads.update(thread_id, metadata={}, ttl={"ttl": 0.5, "strategy": "keep_latest"})
    ttl = (await sdk.threads.get(thread_id, include=["ttl"]))["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("keep_latest", 0.5)
    without_ttl = await sdk.threads.create()
    assert (await sdk.threads.get(without_ttl["thread_id"], include=["ttl"]))["ttl"] is None
    for ttl in (0, -1, "1", {"ttl": 1, "strategy": "never"}, True):
        assert (await client.post("/threads", json={"ttl": ttl})).status_code == 422, ttl
    assert (await client.get(f"/threads/{thread_id}?include=secrets")).status_code == 422


async def expire(pipeline: Pipeline, keys: Keys, *threads: str) -> None:
    """Makes the threads due now."""
    for thread in threads:
        await pipeline.send("ZADD", keys.threads_due, "XX", 1, thread)


async def test_due_threads_are_deleted_or_pruned(
    sdk: Client, served: Served, worker: WorkerProcess, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    retention = Retention(worker.services)
    deleted, pruned, busy, later = [
        (await sdk.threads.create(ttl={"ttl": 60, "strategy": strategy}))["thread_id"]
        for strategy in ("delete", "keep_latest", "delete", "delete")
    ]
    for thread in (deleted, pruned):
        await sdk.runs.wait(thread, "steps", input={"value": 1})
    run = await sdk.runs.create(busy, "hold", input={"value": 1})
    await eventually(lambda: hold_started(sdk, busy))
    await expire(pipeline, keys, deleted, pruned, busy)
    assert await retention.run_once() == (1, 1)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(deleted)
    assert len(await sdk.threads.get_history(pruned, limit=50)) == 1
    assert (await sdk.threads.get(busy))["status"] == "busy"
    assert (await sdk.threads.get(later))["status"] == "idle"
    assert await retention.run_once() == (0, 0)
    await sdk.runs.cancel(busy, run["run_id"], wait=True)
    await expire(pipeline, keys, pruned, busy)
    assert await retention.run_once() == (1, 1)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(busy)
    assert set(await pipeline.send("ZRANGE", keys.threads_due, 0, -1)) == {
        pruned.encode(),
        later.encode(),
    }


async def test_a_thread_whose_run_starts_during_the_sweep_stays_due(
    sdk: Client, worker: WorkerProcess, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention, checkpointer = Retention(worker.services), worker.services.checkpointer
    thread = (await sdk.threads.create(ttl={"ttl": 60, "strategy": "keep_latest"}))["thread_id"]
    await expire(pipeline, keys, thread)
    prune_thread = checkpointer.prune_thread

    async def start_run_and_prune(thread_id: str, incarnation: str) -> bool:
        await pipeline.send("HSET", keys.thread(thread_id), "status", "busy")
        return await prune_thread(thread_id, incarnation)

    with monkeypatch.context() as patch:
        patch.setattr(checkpointer, "prune_thread", start_run_and_prune)
        assert await retention.run_once() == (0, 0)
    assert float(await pipeline.send("ZSCORE", keys.threads_due, thread)) == 1
    await pipeline.send("HSET", keys.thread(thread), "status", "idle")
    assert await retention.run_once() == (0, 1)
    assert float(await pipeline.send("ZSCORE", keys.threads_due, thread)) > 1


async def test_a_sweep_handles_a_limited_number_of_threads(
    sdk: Client, worker: WorkerProcess, pipeline: Pipeline, keys: Keys
) -> None:
    section = CheckpointerSection(ttl=ThreadTtlSection(sweep_limit=2))
    config = replace(worker.services.config, checkpointer=section)
    retention = Retention(replace(worker.services, config=config))
    threads = [(await sdk.threads.create(ttl=60))["thread_id"] for _ in range(3)]
    await expire(pipeline, keys, *threads)
    assert await retention.run_once() == (2, 0)
    assert await retention.run_once() == (1, 0)
    assert await retention.run_round()
    assert await pipeline.send("PTTL", keys.duty("retention")) > ThreadTtlSection().sweep_interval_minutes * 60_000


async def test_threads_without_a_time_to_live_get_the_default(
    settings: Settings, graphs: Registry, pipeline: Pipeline, tmp_path: Any
) -> None:
    text = settings.config.read_text().replace(
        '"graphs"', '"checkpointer": {"ttl": {"default_ttl": 30, "strategy": "keep_latest"}}, "graphs"', 1
    )
    (tmp_path / "langgraph.json").write_text(text.replace("../../http/project", str(settings.config.parent)))
    other = Settings.from_values({**settings.model_dump(), "config": tmp_path / "langgraph.json"})
    async with open_services(other, graphs, "cli") as services:
        thread, _ = await services.threads.create_or_get(str(uuid4()), {})
        assert thread.ttl is not None
        assert (thread.ttl["ttl_minutes"], thread.ttl["strategy"]) == (30, "keep_latest")
        with_own_ttl, _ = await services.threads.create_or_get(str(uuid4()), {}, ttl=ThreadTtl(5))
        assert with_own_ttl.ttl is not None
        assert (with_own_ttl.ttl["ttl_minutes"], with_own_ttl.ttl["strategy"]) == (5, "delete")
        copy = await services.threads.copy(with_own_ttl.thread_id, str(uuid4()), token="t")
        assert copy.ttl is not None
        assert copy.ttl["ttl_minutes"] == 30


async def test_a_thread_created_by_a_run_gets_the_default_time_to_live(
    settings: Settings, graphs: Registry, pipeline: Pipeline, keys: Keys, tmp_path: Any
) -> None:
    text = settings.config.read_text().replace('"graphs"', '"checkpointer": {"ttl": {"default_ttl": 30}}, "graphs"', 1)
    (tmp_path / "langgraph.json").write_text(text.replace("../../http/project", str(settings.config.parent)))
    other = Settings.from_values({**settings.model_dump(), "config": tmp_path / "langgraph.json"})
    async with serving(other, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        thread, body = str(uuid4()), {"assistant_id": "steps", "input": {}, "if_not_exists": "create"}
        assert (await client.post(f"/threads/{thread}/runs", json=body)).status_code == 200
        assert (await client.post("/runs", json=body)).status_code == 200
        record = (await client.get(f"/threads/{thread}?include=ttl")).json()
    assert record["ttl"]["ttl_minutes"] == 30
    assert await pipeline.send("ZRANGE", keys.threads_due, 0, -1) == [
        thread.encode()
    ]  # not the temporary thread of the stateless run


async def test_a_history_is_imported_superstep_by_superstep(sdk: Client) -> None:
    steps: Any = [
        {"updates": [{"values": {"value": 1}, "as_node": "__input__"}]},
        {"updates": [{"values": {"value": 2, "log": ["one"]}, "as_node": "one"}]},
        {"updates": [{"values": None, "command": {"update": {"value": 3, "log": ["two"]}}, "as_node": "two"}]},
    ]
    thread = (await sdk.threads.create(graph_id="steps", supersteps=steps))["thread_id"]
    state = await sdk.threads.get_state(thread)
    assert (state["values"], state["next"]) == ({"value": 3, "log": ["one", "two"]}, ["three"])
    assert [past["metadata"]["step"] for past in await sdk.threads.get_history(thread, limit=10)] == [1, 0, -1]
