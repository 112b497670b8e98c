"""A thread that a client deletes and creates again with the same id."""

from __future__ import annotations

import uuid

from langgraph_sdk.client import LangGraphClient as Client

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway_workers.process import WorkerProcess
from tests.waiting import Eventually


async def test_a_recreated_thread_keeps_its_state_history_and_interrupt(
    sdk: Client, worker: WorkerProcess, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    """Also after the checkpoints of the deleted thread were removed."""
    steps, ask = str(uuid.uuid4()), str(uuid.uuid4())
    for recreated in (False, True):
        for thread_id, graph_id in ((steps, "steps"), (ask, "ask")):
            await sdk.threads.create(thread_id=thread_id)
            assert (await sdk.threads.get_state(thread_id))["values"] == {}
            assert await sdk.threads.get_history(thread_id) == []
            await sdk.runs.wait(thread_id, graph_id, input={"value": 1})
            if not recreated:
                await sdk.threads.delete(thread_id)

    async def trash_is_empty() -> bool:
        return bool(await pipeline.send("EXISTS", keys.trash) == 0)

    await eventually(trash_is_empty)
    assert len(await sdk.threads.get_history(steps)) == 5
    assert (await sdk.threads.get_state(steps))["values"] == (await sdk.threads.get(steps))["values"]
    assert (await sdk.threads.get_state(ask))["interrupts"]
    await sdk.runs.wait(ask, "ask", command={"resume": "yes"})
    assert (await sdk.threads.get(ask))["status"] == "idle"
