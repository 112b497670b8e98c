"""States of subgraphs: inside the state of the parent, on their own, and when one of them cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from slipway.redis.checkpoint_keys import names_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.threads.protocol_state import interrupts_of, public_state
from tests.http.conftest import Client, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def run_once(sdk: Client, graph: str, **request: Any) -> str:
    """Waits for a run on a new thread. Returns the id of the thread."""
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, graph, input={"text": ""}, **request)
    return thread


async def test_a_task_has_the_state_of_its_subgraph_or_a_reference_to_its_checkpoint(sdk: Client) -> None:
    thread = await run_once(sdk, "three_deep")
    (task,) = (await sdk.threads.get_state(thread, subgraphs=True))["tasks"]
    (inner,) = task["state"]["tasks"]
    assert (task["checkpoint"], inner["checkpoint"]) == (None, None)
    (without_state,) = (await sdk.threads.get_state(thread))["tasks"]
    assert without_state["checkpoint"] == {"thread_id": thread, "checkpoint_ns": f"middle:{task['id']}"}
    assert without_state["state"] is None


async def test_the_metadata_of_a_subgraph_names_its_node_and_namespace(sdk: Client) -> None:
    thread = await run_once(sdk, "three_deep")
    parent = await sdk.threads.get_state(thread, subgraphs=True)
    (task,) = parent["tasks"]
    state = task["state"]
    namespace = f"middle:{task['id']}"
    expected = {
        "langgraph_step": 1,
        "langgraph_node": "middle",
        "langgraph_triggers": ["branch:to:middle"],
        "langgraph_path": ["__pregel_pull", "middle"],
        "langgraph_checkpoint_ns": namespace,
        "checkpoint_ns": namespace,
        "checkpoint_map": {"": parent["checkpoint"]["checkpoint_id"]},
    }
    assert state["metadata"] | expected == state["metadata"]
    history = await sdk.threads.get_history(thread, checkpoint={"checkpoint_ns": namespace})
    assert [each["metadata"] | expected for each in history] == [each["metadata"] for each in history]
    assert len(history) == 2
    assert not expected.keys() & parent["metadata"].keys()


async def test_the_metadata_of_a_fork_names_the_checkpoint_that_it_started_from(sdk: Client) -> None:
    thread = await run_once(sdk, "steps")
    start = (await sdk.threads.get_history(thread))[-1]["checkpoint"]
    assert "checkpoint_id" not in (await sdk.threads.get_state(thread))["metadata"]
    await sdk.runs.wait(thread, "steps", input={"value": 1}, checkpoint_id=start["checkpoint_id"])
    forks = (await sdk.threads.get_history(thread))[:4]
    assert [each["metadata"]["checkpoint_id"] for each in forks] == [start["checkpoint_id"]] * 4
    await sdk.threads.update_state(thread, {"value": 5}, as_node="one", checkpoint=start)
    assert (await sdk.threads.get_state(thread))["metadata"]["checkpoint_id"] == start["checkpoint_id"]


async def test_metadata_has_lists_and_objects_but_no_secrets(sdk: Client) -> None:
    configurable = {
        "nodes": ["a"],
        "model": {"name": "m", "api_key": "s"},
        "tries": [{"Password": "s", "at": 1}],
        "X-Api-Key": "s",
    }
    thread = await run_once(sdk, "steps", config={"configurable": configurable}, metadata={"rows": [1, {"b": None}]})
    metadata = (await sdk.threads.get_state(thread))["metadata"]
    assert (metadata["nodes"], metadata["model"], metadata["tries"]) == (["a"], {"name": "m"}, [{"at": 1}])
    assert metadata["rows"] == [1, {"b": None}]
    assert "X-Api-Key" not in metadata


@pytest.mark.slow
async def test_an_unreachable_subgraph_does_not_hide_the_other_tasks(sdk: Client) -> None:
    thread = await run_once(sdk, "beside_away")
    state = await sdk.threads.get_state(thread, subgraphs=True)
    assert set(state["next"]) == {"child", "unreachable"}
    child, unreachable = sorted(state["tasks"], key=lambda task: str(task["name"]))
    assert (child["name"], child["checkpoint"], child["state"]["values"]) == ("child", None, {})
    reference = {"thread_id": thread, "checkpoint_ns": f"unreachable:{unreachable['id']}"}
    assert (unreachable["name"], unreachable["checkpoint"], unreachable["state"]) == ("unreachable", reference, None)


async def test_a_damaged_state_of_a_subgraph_does_not_hide_its_parents(
    sdk: Client, pipeline: Pipeline, keys: Keys
) -> None:
    thread = await run_once(sdk, "three_deep")
    state_key = names_of(keys, thread).state
    fields: list[bytes] = await pipeline.send("HKEYS", state_key)
    for name in fields:
        if name.startswith(b"bmiddle:") and b"|deep:" in name:
            await pipeline.send("HSET", state_key, name, b"\xc1")
    (middle,) = (await sdk.threads.get_state(thread, subgraphs=True))["tasks"]
    assert (middle["state"]["next"], middle["checkpoint"]) == (["deep"], None)
    (deep,) = middle["state"]["tasks"]
    assert [item["value"] for item in deep["interrupts"]] == ["well?"]
    assert deep["checkpoint"]["checkpoint_ns"] == f"middle:{middle['id']}|deep:{deep['id']}"
    assert deep["state"] is None


async def test_the_debug_stream_names_the_checkpoints_of_subgraph_tasks(sdk: Client) -> None:
    thread = await new_thread(sdk)
    modes = ["debug", "checkpoints"]
    parts = [part async for part in sdk.runs.stream(thread, "three_deep", input={"text": ""}, stream_mode=modes)]
    debug = [part.data["payload"] for part in parts if part.event == "debug" and part.data["type"] == "checkpoint"]
    checkpoints = [part.data for part in parts if part.event == "checkpoints"]
    (first, *_), (*_, last) = debug[0]["tasks"], debug[-1]["tasks"]
    assert (first["name"], first["state"], "checkpoint" in first) == ("__start__", None, False)
    reference = {"thread_id": thread, "checkpoint_ns": f"middle:{last['id']}"}
    assert (last["checkpoint"], "state" in last) == (reference, False)
    assert checkpoints[-1]["tasks"][0]["state"] == {"configurable": reference}


def test_an_interrupt_shows_its_response_schema() -> None:
    schema = {"type": "string"}
    interrupts = (Interrupt("why?", "1"), Interrupt("how?", "2", response_schema=schema))
    task = PregelTask("t", "ask", ("__pregel_pull", "ask"), None, interrupts)
    state = StateSnapshot({}, ("ask",), {}, None, None, None, (task,), interrupts)
    expected = [{"id": "1", "value": "why?"}, {"id": "2", "value": "how?", "response_schema": schema}]
    public = public_state(state)
    assert public["interrupts"] == public["tasks"][0]["interrupts"] == expected
    assert interrupts_of(state) == {"t": expected}
