"""States of subgraphs: inside their parent's, by themselves, and where one of them cannot be read."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from slipway.redis.checkpoint_keys import names_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.threads.protocol_state import interrupts_of, public_state

Client: TypeAlias = Any
"""A `LangGraphClient`; its own types promise lists where it gives objects."""

pytestmark = pytest.mark.usefixtures("worker")


async def ran(sdk: Client, graph: str, **request: Any) -> str:
    """A thread on which a graph was run until it stopped."""
    thread = str((await sdk.threads.create())["thread_id"])
    await sdk.runs.wait(thread, graph, input={"said": ""}, **request)
    return thread


async def test_a_task_has_a_checkpoint_or_the_state_that_is_there(sdk: Client) -> None:
    thread = await ran(sdk, "three_deep")
    (whole,) = (await sdk.threads.get_state(thread, subgraphs=True))["tasks"]
    (inner,) = whole["state"]["tasks"]
    assert (whole["checkpoint"], inner["checkpoint"]) == (None, None)
    (brief,) = (await sdk.threads.get_state(thread))["tasks"]
    assert brief["checkpoint"] == {"thread_id": thread, "checkpoint_ns": f"middle:{whole['id']}"}
    assert brief["state"] is None


async def test_the_metadata_of_a_subgraph_says_where_it_is(sdk: Client) -> None:
    thread = await ran(sdk, "three_deep")
    parent = await sdk.threads.get_state(thread, subgraphs=True)
    (task,) = parent["tasks"]
    state = task["state"]
    namespace = f"middle:{task['id']}"
    told = {
        "langgraph_step": 1,
        "langgraph_node": "middle",
        "langgraph_triggers": ["branch:to:middle"],
        "langgraph_path": ["__pregel_pull", "middle"],
        "langgraph_checkpoint_ns": namespace,
        "checkpoint_ns": namespace,
        "checkpoint_map": {"": parent["checkpoint"]["checkpoint_id"]},
    }
    assert state["metadata"] | told == state["metadata"]
    past = await sdk.threads.get_history(thread, checkpoint={"checkpoint_ns": namespace})
    assert [each["metadata"] | told for each in past] == [each["metadata"] for each in past]
    assert len(past) == 2
    assert not told.keys() & parent["metadata"].keys()


async def test_the_metadata_of_a_fork_names_the_checkpoint_that_it_began_at(sdk: Client) -> None:
    thread = await ran(sdk, "steps")
    begun = (await sdk.threads.get_history(thread))[-1]["checkpoint"]
    assert "checkpoint_id" not in (await sdk.threads.get_state(thread))["metadata"]
    await sdk.runs.wait(thread, "steps", input={"value": 1}, checkpoint_id=begun["checkpoint_id"])
    forks = (await sdk.threads.get_history(thread))[:4]
    assert [each["metadata"]["checkpoint_id"] for each in forks] == [begun["checkpoint_id"]] * 4
    await sdk.threads.update_state(thread, {"value": 5}, as_node="one", checkpoint=begun)
    assert (await sdk.threads.get_state(thread))["metadata"]["checkpoint_id"] == begun["checkpoint_id"]


async def test_metadata_has_lists_and_objects_but_no_secrets(sdk: Client) -> None:
    given = {
        "nodes": ["a"],
        "model": {"name": "m", "api_key": "s"},
        "tries": [{"Password": "s", "at": 1}],
        "X-Api-Key": "s",
    }
    thread = await ran(sdk, "steps", config={"configurable": given}, metadata={"rows": [1, {"b": None}]})
    metadata = (await sdk.threads.get_state(thread))["metadata"]
    assert (metadata["nodes"], metadata["model"], metadata["tries"]) == (["a"], {"name": "m"}, [{"at": 1}])
    assert metadata["rows"] == [1, {"b": None}]
    assert "X-Api-Key" not in metadata


@pytest.mark.slow
async def test_a_subgraph_that_is_away_leaves_the_other_tasks(sdk: Client) -> None:
    thread = await ran(sdk, "beside_away")
    state = await sdk.threads.get_state(thread, subgraphs=True)
    assert set(state["next"]) == {"child", "away"}
    child, away = sorted(state["tasks"], key=lambda task: str(task["name"]), reverse=True)
    assert (child["name"], child["checkpoint"], child["state"]["values"]) == ("child", None, {})
    place = {"thread_id": thread, "checkpoint_ns": f"away:{away['id']}"}
    assert (away["name"], away["checkpoint"], away["state"]) == ("away", place, None)


async def test_a_subgraph_whose_state_is_damaged_leaves_its_parents(
    sdk: Client, pipeline: Pipeline, keys: Keys
) -> None:
    thread = await ran(sdk, "three_deep")
    held = names_of(keys, thread).state
    fields: list[bytes] = await pipeline.send("HKEYS", held)
    for name in fields:
        if name.startswith(b"bmiddle:") and b"|deep:" in name:
            await pipeline.send("HSET", held, name, b"\xc1")
    (middle,) = (await sdk.threads.get_state(thread, subgraphs=True))["tasks"]
    assert (middle["state"]["next"], middle["checkpoint"]) == (["deep"], None)
    (deep,) = middle["state"]["tasks"]
    assert [item["value"] for item in deep["interrupts"]] == ["well?"]
    assert deep["checkpoint"]["checkpoint_ns"] == f"middle:{middle['id']}|deep:{deep['id']}"
    assert deep["state"] is None


async def test_a_task_of_a_subgraph_says_on_the_debug_stream_where_its_checkpoints_are(sdk: Client) -> None:
    thread = str((await sdk.threads.create())["thread_id"])
    modes = ["debug", "checkpoints"]
    parts = [part async for part in sdk.runs.stream(thread, "three_deep", input={"said": ""}, stream_mode=modes)]
    debug = [part.data["payload"] for part in parts if part.event == "debug" and part.data["type"] == "checkpoint"]
    brief = [part.data for part in parts if part.event == "checkpoints"]
    (first, *_), (*_, last) = debug[0]["tasks"], debug[-1]["tasks"]
    assert (first["name"], first["state"], "checkpoint" in first) == ("__start__", None, False)
    place = {"thread_id": thread, "checkpoint_ns": f"middle:{last['id']}"}
    assert (last["checkpoint"], "state" in last) == (place, False)
    assert brief[-1]["tasks"][0]["state"] == {"configurable": place}


def test_an_interrupt_shows_what_it_expects_if_it_says_so() -> None:
    expected = {"type": "string"}
    asked = (Interrupt("why?", "1"), Interrupt("how?", "2", response_schema=expected))
    task = PregelTask("t", "ask", ("__pregel_pull", "ask"), None, asked)
    state = StateSnapshot({}, ("ask",), {}, None, None, None, (task,), asked)
    told = [{"id": "1", "value": "why?"}, {"id": "2", "value": "how?", "response_schema": expected}]
    found = public_state(state)
    assert found["interrupts"] == found["tasks"][0]["interrupts"] == told
    assert interrupts_of(state) == {"t": told}
