"""Threads, their states and assistants, through the SDK's client."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError

from slipway.graphs.registry import Registry
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Client, Served, new_thread


async def ran(sdk: Client, graph: str = "steps") -> str:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, graph, input={"value": 1})
    return thread


async def test_threads_are_created_changed_and_deleted(sdk: Client, client: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    made = await sdk.threads.create(thread_id=thread_id, metadata={"a": 1, "run_id": "mine"}, graph_id="steps")
    assert made["metadata"] == {"a": 1, "graph_id": "steps"}
    assert (made["status"], made["values"]) == ("idle", None)
    with pytest.raises(ConflictError):
        await sdk.threads.create(thread_id=thread_id)
    assert (await sdk.threads.create(thread_id=thread_id, if_exists="do_nothing"))["metadata"] == made["metadata"]
    changed = await sdk.threads.update(thread_id, metadata={"b": 2})
    assert changed["metadata"] == {"a": 1, "b": 2, "graph_id": "steps"}
    quiet = await client.patch(f"/threads/{thread_id}", json={"metadata": {}}, headers={"prefer": "return=minimal"})
    assert (quiet.status_code, quiet.content) == (204, b"")
    await sdk.threads.delete(thread_id)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(thread_id)


async def test_threads_are_found_in_pages(sdk: Client, client: httpx.AsyncClient) -> None:
    for number in range(3):
        await sdk.threads.create(metadata={"owner": "me", "number": number})
    await sdk.threads.create(metadata={"owner": "you"})
    assert await sdk.threads.count(metadata={"owner": "me"}) == 3
    page = await client.post("/threads/search", json={"metadata": {"owner": "me"}, "limit": 2})
    assert [thread["metadata"]["number"] for thread in page.json()] == [2, 1]
    assert page.headers["x-pagination-next"] == "2"
    rest = await client.post("/threads/search", json={"metadata": {"owner": "me"}, "limit": 2, "offset": 2})
    assert "x-pagination-next" not in rest.headers
    assert rest.headers["x-pagination-total"] == "3"
    exact = await client.post("/threads/search", json={"metadata": {"owner": "me"}, "limit": 3})
    assert (len(exact.json()), "x-pagination-next" in exact.headers) == (3, False)
    selected = await sdk.threads.search(select=["thread_id", "values"], limit=1)
    assert set(selected[0]) == {"thread_id", "values"}


async def test_a_thread_that_never_ran_has_an_empty_state(sdk: Client) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    state: Any = await sdk.threads.get_state(thread)
    assert (state["values"], state["next"], state["tasks"], state["interrupts"]) == ({}, [], [], [])
    for name in ("checkpoint", "parent_checkpoint", "metadata", "created_at", "checkpoint_id"):
        assert state[name] is None
    assert await sdk.threads.get_history(thread) == []
    with pytest.raises(BadRequestError):
        await sdk.threads.update_state(thread, {"value": 1})


@pytest.mark.usefixtures("worker")
async def test_a_checkpoint_reference_is_read_in_the_thread_of_the_path(sdk: Client, client: httpx.AsyncClient) -> None:
    """Whatever thread the checkpoint itself names."""
    mine, other = [(await sdk.threads.create())["thread_id"] for _ in range(2)]
    for value, thread in ((1, mine), (100, other)):
        await sdk.runs.wait(thread, "steps", input={"value": value})
    my_place, others_place = [(await sdk.threads.get_state(thread))["checkpoint"] for thread in (mine, other)]
    named = {"thread_id": other, "checkpoint_ns": "", "checkpoint_id": my_place["checkpoint_id"]}
    run = {"assistant_id": "steps", "input": {"value": 2}, "checkpoint": named}
    made = await client.post(f"/threads/{mine}/runs", json=run)
    assert made.json()["kwargs"]["checkpoint"] == {"checkpoint_ns": "", "checkpoint_id": my_place["checkpoint_id"]}
    read = await client.post(f"/threads/{mine}/state/checkpoint", json={"checkpoint": named})
    assert (read.json()["values"]["value"], read.json()["checkpoint"]) == (4, my_place)
    assert (await client.post(f"/threads/{mine}/runs", json=run | {"checkpoint": others_place})).status_code == 404


async def test_a_state_is_read_at_every_checkpoint(
    sdk: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await ran(sdk)
    history: list[Any] = await sdk.threads.get_history(thread, limit=50)
    assert [state["metadata"]["step"] for state in history] == [3, 2, 1, 0, -1]
    assert history[0]["parent_checkpoint"] == history[1]["checkpoint"]
    assert all(state["metadata"]["thread_id"] == thread for state in history)
    assert history[0]["metadata"]["graph_id"] == "steps"
    for past in history:
        by_id = (await client.get(f"/threads/{thread}/state/{past['checkpoint_id']}")).json()
        by_place = await sdk.threads.get_state(thread, checkpoint=past["checkpoint"])
        assert by_id == by_place == past
    for before in (
        history[1]["checkpoint_id"],
        history[1]["checkpoint"],
        {"configurable": {"checkpoint_id": history[1]["checkpoint_id"]}},
    ):
        body = {"limit": 50, "before": before}
        assert (await client.post(f"/threads/{thread}/history", json=body)).json() == history[2:]
    answer = await client.get(f"/threads/{thread}/history", params={"before": history[1]["checkpoint_id"], "limit": 2})
    assert answer.json() == history[2:4]
    for place in (history[1]["checkpoint"], {"configurable": history[1]["checkpoint"]}):
        asked: dict[str, str | int] = {"before": json.dumps(place), "limit": 2}
        assert (await client.get(f"/threads/{thread}/history", params=asked)).json() == history[2:4]
    found = await sdk.threads.get_history(thread, metadata={"step": 1})
    assert [state["checkpoint_id"] for state in found] == [history[2]["checkpoint_id"]]
    empty = (await client.get(f"/threads/{thread}/state/1ef4f797-8335-6428-8001-8a1503f9b875")).json()
    assert (empty["values"], empty["checkpoint"]) == ({}, None)


async def test_only_selected_members_of_a_state_are_returned(
    sdk: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await ran(sdk)
    whole: Any = await sdk.threads.get_state(thread)
    select = ["values.value", "values.nothing", "next"]
    part = {"values": {"value": 4}, "next": []}
    assert await sdk.threads.get_state(thread, select=select) == part
    assert await sdk.threads.get_state(thread, checkpoint_id=whole["checkpoint_id"], select=select) == part
    assert await sdk.threads.get_state(thread, checkpoint=whole["checkpoint"], select=select) == part
    assert (await sdk.threads.get_history(thread, limit=2, select=select))[0] == part
    answer = await client.get(f"/threads/{thread}/history", params={"limit": 1, "select": "values,values.value"})
    assert answer.json() == [{"values": whole["values"]}]
    for path in (f"/threads/{thread}/history", f"/threads/{thread}/state/checkpoint"):
        refused = await client.post(path, json={"checkpoint": {}, "select": ["value"]})
        assert (refused.status_code, refused.json()["field"]) == (422, "select")


async def test_a_state_that_its_graph_rejects_can_be_read(sdk: Client, worker: WorkerProcess) -> None:
    thread = await new_thread(sdk)
    failed = await sdk.runs.wait(thread, "strict", input={"count": "many"}, raise_error=False)
    assert failed["__error__"]["error"] == "ValidationError"
    state: Any = await sdk.threads.get_state(thread)
    assert state["values"] == {"count": "many"}
    history: list[Any] = await sdk.threads.get_history(thread)
    assert history[0] == state
    assert await sdk.threads.get_state(thread, checkpoint=history[-1]["checkpoint"]) == history[-1]


async def test_a_state_is_written_and_forked(sdk: Client, worker: WorkerProcess) -> None:
    thread = await ran(sdk)
    written: Any = await sdk.threads.update_state(thread, {"value": 10}, as_node="one")
    assert set(written["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert written["configurable"] == written["checkpoint"]
    assert written["checkpoint_id"] == written["checkpoint"]["checkpoint_id"]
    state: Any = await sdk.threads.get_state(thread)
    assert state["checkpoint"] == written["checkpoint"]
    assert (state["values"]["value"], state["next"]) == (10, ["two"])
    assert state["metadata"]["source"] == "update"
    found = await sdk.threads.get(thread)
    assert (found["status"], found["values"]["value"]) == ("interrupted", 10)
    assert (await sdk.runs.wait(thread, "steps", input=None))["value"] == 12
    await sdk.threads.update_state(thread, [["value", 5], ["log", ["x"]], ["log", ["y"]]], as_node="three")
    paired: Any = await sdk.threads.get(thread)
    assert (paired["status"], paired["values"]["log"][-2:]) == ("idle", ["x", "y"])
    with pytest.raises(BadRequestError):
        await sdk.threads.update_state(thread, {"value": 1}, as_node="nobody")
    first: Any = (await sdk.threads.get_history(thread, limit=50))[-2]
    await sdk.threads.update_state(thread, {"value": 77}, as_node="one", checkpoint=first["checkpoint"])
    fork: Any = await sdk.threads.get_state(thread)
    assert (fork["values"]["value"], fork["parent_checkpoint"]) == (77, first["checkpoint"])


async def test_a_checkpoint_reference_does_not_read_another_thread(
    sdk: Client, served: Served, worker: WorkerProcess
) -> None:
    """Clients send checkpoints as they got them, with the thread inside; access was checked for the path's thread."""
    one, other = await ran(sdk), await ran(sdk)
    place: Any = (await sdk.threads.get_state(other))["checkpoint"]
    assert place["thread_id"] == other
    shown: Any = await sdk.threads.get_state(one, checkpoint=place)
    assert (shown["values"], shown["checkpoint"]) == ({}, None)
    assert await sdk.threads.get_history(one, checkpoint=place) == []
    found = await served.services.states.get(one, {"thread_id": other})
    assert found["checkpoint"] == (await sdk.threads.get_state(one))["checkpoint"]


async def test_a_thread_is_imported_superstep_by_superstep(sdk: Client) -> None:
    thread = (
        await sdk.threads.create(
            graph_id="steps",
            supersteps=[
                {"updates": [{"values": {"value": 1}, "as_node": "__input__"}]},
                {"updates": [{"values": {"value": 2, "log": ["old"]}, "as_node": "one"}]},
            ],
        )
    )["thread_id"]
    state: Any = await sdk.threads.get_state(thread)
    assert state["values"] == {"value": 2, "log": ["old"]}
    assert state["next"] == ["two"]
    with pytest.raises(BadRequestError):
        await sdk.threads.create(supersteps=[{"updates": [{"values": {}, "as_node": "one"}]}])


async def test_subgraphs_show_their_state(sdk: Client, worker: WorkerProcess) -> None:
    thread = await ran(sdk, "nested")
    state: Any = await sdk.threads.get_state(thread, subgraphs=True)
    (task,) = state["tasks"]
    assert task["name"] == "child"
    assert task["state"]["next"] == ["ask"]
    assert task["state"]["checkpoint"]["checkpoint_ns"] == f"child:{task['id']}"
    assert await sdk.threads.get_state(thread, checkpoint=state["checkpoint"], subgraphs=True) == state
    plain: Any = await sdk.threads.get_state(thread)
    place = plain["tasks"][0]["checkpoint"]
    assert place == {"thread_id": thread, "checkpoint_ns": f"child:{task['id']}"}
    inner = await sdk.threads.get_state(thread, checkpoint=place)
    assert inner["next"] == ["ask"]
    assert await sdk.threads.get_history(thread, checkpoint=place)

    asked: Any = await sdk.threads.get(thread)
    await sdk.threads.update_state(thread, {"log": ["corrected"]}, checkpoint=place)
    after: Any = await sdk.threads.get(thread)
    assert asked["interrupts"]
    assert (after["status"], after["interrupts"]) == ("interrupted", asked["interrupts"])


async def test_assistants(sdk: Client, client: httpx.AsyncClient, graphs: Registry) -> None:
    steps = await sdk.assistants.get("steps")
    assert steps == await sdk.assistants.get(steps["assistant_id"])
    assert steps["metadata"] == {"created_by": "system"}
    assert steps["description"] == "Three nodes in a row."
    assert len(steps["created_at"]) == 32
    found = await sdk.assistants.search(graph_id="steps")
    assert [assistant["assistant_id"] for assistant in found] == [steps["assistant_id"]]
    assert await sdk.assistants.count() == len(graphs.names())
    page = await client.post("/assistants/search", json={"limit": 2, "sort_by": "name", "sort_order": "asc"})
    assert [assistant["name"] for assistant in page.json()] == ["ask", "ask_numbers"]
    assert page.headers["x-pagination-next"] == "2"
    with pytest.raises(NotFoundError):
        await sdk.assistants.search(graph_id="nobody")
    drawing = await sdk.assistants.get_graph("steps")
    assert {node["id"] for node in drawing["nodes"]} == {"__start__", "one", "two", "three", "__end__"}
    assert (await sdk.assistants.get_schemas("steps"))["graph_id"] == "steps"
    assert set(await sdk.assistants.get_subgraphs("nested")) == {"child"}
    assert set(await sdk.assistants.get_subgraphs("nested", namespace="child")) == {"child"}


async def test_the_system_id_is_one_that_clients_may_compute() -> None:
    from slipway.assistants.system import system_id

    assert system_id("agent") == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
