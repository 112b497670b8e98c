"""Each key that a deployment stores has a declared kind, and each field is declared."""

from __future__ import annotations

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import Config

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.services import Services
from tests.catalogue.stored import kind_of, undeclared
from tests.http.conftest import Served

UNREACHABLE = "https://receiver.invalid/webhook"
"""The URL of webhooks that cannot be delivered."""


async def stored_kinds(pipeline: Pipeline, keys: Keys) -> set[str]:
    names = await pipeline.send("KEYS", f"{keys.prefix}:*", repeatable=True)
    kinds = [kind_of(name.decode().removeprefix(keys.prefix))[0] for name in names]
    return {kind.name for kind in kinds if kind}


async def crash(services: Services) -> None:
    """Claims all due runs for a worker and reclaims them, as after a crash of the worker."""
    await services.queues[0].run_claim("dead-worker", 10, 8000)
    await services.queues[0].run_reap(event_ttl_s=60, pause_ms=0, worker="dead-worker")


async def test_keys_of_waiting_and_reclaimed_runs_are_declared(
    served: Served, sdk: LangGraphClient, client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    thread = (await sdk.threads.create(metadata={"owner": "me"}, ttl=60))["thread_id"]
    await sdk.runs.create(thread, "steps", input={"value": 1}, metadata={"owner": "me"}, webhook=UNREACHABLE)
    await sdk.runs.create(thread, "steps", input={"value": 2})
    await sdk.runs.create(None, "steps", input={}, after_seconds=60)
    body = {"assistant_id": "steps", "input": {}}
    await client.post("/runs", json=body, headers={"Idempotency-Key": "1"})
    await sdk.crons.create("steps", schedule="* * * * *", input={}, metadata={"a": 1}, timezone="Europe/Berlin")
    await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    await crash(served.services)
    stored = await stored_kinds(pipeline, keys)
    assert await undeclared(pipeline, keys) == []
    await served.services.queues[0].run_claim("worker", 10, 8000)
    stored |= await stored_kinds(pipeline, keys)
    await sdk.runs.cancel_many(status="pending")
    assert await undeclared(pipeline, keys) == []
    stored |= await stored_kinds(pipeline, keys)
    waiting = {"waiting_workers", "later_queue", "suspect_queue", "running_suspects", "leases", "thread_queue"}
    waiting |= {"thread_crons", "idempotency"}
    assert waiting | {"crons", "crons_due", "cron", "threads_due"} <= stored


@pytest.mark.usefixtures("worker")
async def test_keys_of_ended_runs_are_declared(
    sdk: LangGraphClient, client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    assistant = await sdk.assistants.create("ask", config={"tags": ["a"]}, metadata={"a": 1})
    await sdk.assistants.update(assistant["assistant_id"], name="other", metadata={"b": 2})
    thread = (await sdk.threads.create(ttl=60))["thread_id"]
    assistant_id, config = assistant["assistant_id"], Config(configurable={"a": 1})
    await sdk.runs.wait(thread, assistant_id, input={}, config=config, webhook=UNREACHABLE)
    await sdk.runs.wait(thread, assistant_id, command={"resume": "yes"})
    copy = (await client.post(f"/threads/{thread}/copy")).json()["thread_id"]
    await sdk.threads.update_state(copy, {"value": 7})
    assert await undeclared(pipeline, keys) == []
    stored = await stored_kinds(pipeline, keys)
    await sdk.threads.delete(copy)
    other = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(other, "fail", input={}, raise_error=False, multitask_strategy="enqueue")
    await sdk.runs.wait(other, "quick", input={"value": 1})
    await sdk.store.put_item(["a", "b"], "key", {"text": "x"}, ttl=5)
    assert await undeclared(pipeline, keys) == []
    ended = {"run", "events", "thread", "thread_runs", "threads", "checkpoints", "checkpoint_state", "workers"}
    ended |= {
        "assistant",
        "assistants",
        "graph_assistants",
        "store_items",
        "checkpoint_threads",
        "deliveries",
        "outage_watch",
    }
    assert ended - stored - await stored_kinds(pipeline, keys) == set()


async def test_undeclared_keys_types_and_fields_are_detected(pipeline: Pipeline, keys: Keys) -> None:
    await pipeline.send("SET", f"{keys.prefix}:unknown", "1")
    await pipeline.send("SET", keys.run("a"), "1")
    await pipeline.send("HSET", keys.thread("a"), "status", "idle", "unknown", "1", "m:anything", "1")
    assert sorted(await undeclared(pipeline, keys)) == sorted(
        [f"{keys.prefix}:unknown: no such kind of key", f"{keys.run('a')}: is a string", "thread: no field 'unknown'"]
    )
