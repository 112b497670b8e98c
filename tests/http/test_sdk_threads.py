"""Threads, their states and assistants, through the SDK's client."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Client, Served, new_thread, serving


async def thread_with_run(sdk: Client, graph: str = "steps") -> str:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, graph, input={"value": 1})
    return thread


async def test_threads_are_created_changed_and_deleted(sdk: Client, client: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    created = await sdk.threads.create(thread_id=thread_id, metadata={"a": 1, "run_id": "mine"}, graph_id="steps")
    assert created["metadata"] == {"a": 1, "graph_id": "steps"}
    assert (created["status"], created["values"]) == ("idle", None)
    with pytest.raises(ConflictError):
        await sdk.threads.create(thread_id=thread_id)
    assert (await sdk.threads.create(thread_id=thread_id, if_exists="do_nothing"))["metadata"] == created["metadata"]
    changed = await sdk.threads.update(thread_id, metadata={"b": 2})
    assert changed["metadata"] == {"a": 1, "b": 2, "graph_id": "steps"}
    minimal = await client.patch(f"/threads/{thread_id}", json={"metadata": {}}, headers={"prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content) == (204, b"")
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
    last_page = await client.post("/threads/search", json={"metadata": {"owner": "me"}, "limit": 2, "offset": 2})
    assert "x-pagination-next" not in last_page.headers
    assert last_page.headers["x-pagination-total"] == "3"
    exact_page = await client.post("/threads/search", json={"metadata": {"owner": "me"}, "limit": 3})
    assert (len(exact_page.json()), "x-pagination-next" in exact_page.headers) == (3, False)
    selected = await sdk.threads.search(select=["thread_id", "values"], limit=1)
    assert set(selected[0]) == {"thread_id", "values"}


async def test_a_search_that_stops_at_its_limit_says_so(settings: Settings, graphs: Registry) -> None:
    async with (
        serving(settings.model_copy(update={"search_max_checks": 100}), graphs) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for number in range(11):
            await served.services.threads.create_or_get(str(uuid4()), {"nested": {"number": number}, "number": number})
        for path in ("/threads/search", "/threads/count"):
            by_object = await client.post(path, json={"metadata": {"nested": {"number": 0}}})
            assert by_object.headers["x-search-incomplete"] == "true"
            assert by_object.json() in ([], 0)
            narrowed = await client.post(path, json={"metadata": {"nested": {"number": 0}, "number": 0}})
            assert "x-search-incomplete" not in narrowed.headers
            assert narrowed.json() == 1 or len(narrowed.json()) == 1


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
    """The server ignores the thread id inside the checkpoint reference."""
    mine, other = [(await sdk.threads.create())["thread_id"] for _ in range(2)]
    for value, thread in ((1, mine), (100, other)):
        await sdk.runs.wait(thread, "steps", input={"value": value})
    my_checkpoint, other_checkpoint = [(await sdk.threads.get_state(thread))["checkpoint"] for thread in (mine, other)]
    reference = {"thread_id": other, "checkpoint_ns": "", "checkpoint_id": my_checkpoint["checkpoint_id"]}
    run = {"assistant_id": "steps", "input": {"value": 2}, "checkpoint": reference}
    created = await client.post(f"/threads/{mine}/runs", json=run)
    assert created.json()["kwargs"]["checkpoint"] == {
        "checkpoint_ns": "",
        "checkpoint_id": my_checkpoint["checkpoint_id"],
    }
    state = await client.post(f"/threads/{mine}/state/checkpoint", json={"checkpoint": reference})
    assert (state.json()["values"]["value"], state.json()["checkpoint"]) == (4, my_checkpoint)
    assert (await client.post(f"/threads/{mine}/runs", json=run | {"checkpoint": other_checkpoint})).status_code == 404


async def test_a_state_is_read_at_every_checkpoint(
    sdk: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await thread_with_run(sdk)
    history: list[Any] = await sdk.threads.get_history(thread, limit=50)
    assert [state["metadata"]["step"] for state in history] == [3, 2, 1, 0, -1]
    assert history[0]["parent_checkpoint"] == history[1]["checkpoint"]
    assert all(state["metadata"]["thread_id"] == thread for state in history)
    assert history[0]["metadata"]["graph_id"] == "steps"
    for past in history:
        by_id = (await client.get(f"/threads/{thread}/state/{past['checkpoint_id']}")).json()
        by_reference = await sdk.threads.get_state(thread, checkpoint=past["checkpoint"])
        assert by_id == by_reference == past
    for before in (
        history[1]["checkpoint_id"],
        history[1]["checkpoint"],
        {"configurable": {"checkpoint_id": history[1]["checkpoint_id"]}},
    ):
        body = {"limit": 50, "before": before}
        assert (await client.post(f"/threads/{thread}/history", json=body)).json() == history[2:]
    response = await client.get(
        f"/threads/{thread}/history", params={"before": history[1]["checkpoint_id"], "limit": 2}
    )
    assert response.json() == history[2:4]
    for reference in (history[1]["checkpoint"], {"configurable": history[1]["checkpoint"]}):
        query: dict[str, str | int] = {"before": json.dumps(reference), "limit": 2}
        assert (await client.get(f"/threads/{thread}/history", params=query)).json() == history[2:4]
    by_metadata = await sdk.threads.get_history(thread, metadata={"step": 1})
    assert [state["checkpoint_id"] for state in by_metadata] == [history[2]["checkpoint_id"]]
    empty = (await client.get(f"/threads/{thread}/state/1ef4f797-8335-6428-8001-8a1503f9b875")).json()
    assert (empty["values"], empty["checkpoint"]) == ({}, None)


async def test_only_selected_members_of_a_state_are_returned(
    sdk: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await thread_with_run(sdk)
    complete: Any = await sdk.threads.get_state(thread)
    select = ["values.value", "values.nothing", "next"]
    selected = {"values": {"value": 4}, "next": []}
    assert await sdk.threads.get_state(thread, select=select) == selected
    assert await sdk.threads.get_state(thread, checkpoint_id=complete["checkpoint_id"], select=select) == selected
    assert await sdk.threads.get_state(thread, checkpoint=complete["checkpoint"], select=select) == selected
    assert (await sdk.threads.get_history(thread, limit=2, select=select))[0] == selected
    response = await client.get(f"/threads/{thread}/history", params={"limit": 1, "select": "values,values.value"})
    assert response.json() == [{"values": complete["values"]}]
    for path in (f"/threads/{thread}/history", f"/threads/{thread}/state/checkpoint"):
        rejected = await client.post(path, json={"checkpoint": {}, "select": ["value"]})
        assert (rejected.status_code, rejected.json()["field"]) == (422, "select")


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
    thread = await thread_with_run(sdk)
    written: Any = await sdk.threads.update_state(thread, {"value": 10}, as_node="one")
    assert set(written["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert written["configurable"] == written["checkpoint"]
    assert written["checkpoint_id"] == written["checkpoint"]["checkpoint_id"]
    state: Any = await sdk.threads.get_state(thread)
    assert state["checkpoint"] == written["checkpoint"]
    assert (state["values"]["value"], state["next"]) == (10, ["two"])
    assert state["metadata"]["source"] == "update"
    record = await sdk.threads.get(thread)
    assert (record["status"], record["values"]["value"]) == ("interrupted", 10)
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
    """Clients send the thread id inside a reference. The server authorized access only to the thread of the path."""
    mine, other = await thread_with_run(sdk), await thread_with_run(sdk)
    reference: Any = (await sdk.threads.get_state(other))["checkpoint"]
    assert reference["thread_id"] == other
    state: Any = await sdk.threads.get_state(mine, checkpoint=reference)
    assert (state["values"], state["checkpoint"]) == ({}, None)
    assert await sdk.threads.get_history(mine, checkpoint=reference) == []
    stored = await served.services.states.get(mine, {"thread_id": other})
    assert stored["checkpoint"] == (await sdk.threads.get_state(mine))["checkpoint"]


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


async def test_the_states_of_subgraphs_are_read_and_written(sdk: Client, worker: WorkerProcess) -> None:
    thread = await thread_with_run(sdk, "nested")
    state: Any = await sdk.threads.get_state(thread, subgraphs=True)
    (task,) = state["tasks"]
    assert task["name"] == "child"
    assert task["state"]["next"] == ["ask"]
    assert task["state"]["checkpoint"]["checkpoint_ns"] == f"child:{task['id']}"
    assert await sdk.threads.get_state(thread, checkpoint=state["checkpoint"], subgraphs=True) == state
    without_subgraphs: Any = await sdk.threads.get_state(thread)
    reference = without_subgraphs["tasks"][0]["checkpoint"]
    assert reference == {"thread_id": thread, "checkpoint_ns": f"child:{task['id']}"}
    inner = await sdk.threads.get_state(thread, checkpoint=reference)
    assert inner["next"] == ["ask"]
    assert await sdk.threads.get_history(thread, checkpoint=reference)

    before: Any = await sdk.threads.get(thread)
    await sdk.threads.update_state(thread, {"log": ["corrected"]}, checkpoint=reference)
    after: Any = await sdk.threads.get(thread)
    assert before["interrupts"]
    assert (after["status"], after["interrupts"]) == ("interrupted", before["interrupts"])


async def test_system_assistants_have_a_drawing_and_schemas(
    sdk: Client, client: httpx.AsyncClient, graphs: Registry
) -> None:
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


async def test_clients_can_compute_the_id_of_a_system_assistant() -> None:
    from slipway.assistants.system import system_id

    assert system_id("agent") == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
