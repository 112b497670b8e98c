"""The state of a thread whose graph a factory builds is read and written with the graph of its last run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.threads.graph_opener import ThreadGraphOpener
from tests.http.conftest import Client, Served, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def thread_of(sdk: Client, nodes: list[str], inside: Sequence[str] = (), *, by_request: bool = False) -> str:
    """A thread that waits at an interrupt in the first of these nodes, which the config of the assistant names or, with
    `by_request`, the config of the run."""
    config = {"configurable": {"nodes": nodes, "inside": [*inside]}}
    assistant = "built"
    if not by_request:
        assistant = (await sdk.assistants.create("built", config=config))["assistant_id"]
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, assistant, input={"log": []}, config=config if by_request else None)
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    return thread


def interrupts_in(state: Any) -> list[Any]:
    """The values of the interrupts of a state."""
    return [item["value"] for task in state["tasks"] for item in task["interrupts"]]


@pytest.mark.parametrize("by_request", [False, True])
async def test_a_state_is_read_with_the_graph_of_its_run(sdk: Client, by_request: bool) -> None:
    for nodes in (["one", "two"], ["red", "blue"]):
        thread = await thread_of(sdk, nodes, by_request=by_request)
        state = await sdk.threads.get_state(thread)
        assert state["next"] == nodes[:1]
        assert interrupts_in(state) == [f"{nodes[0]}?"]
        newest, first = await sdk.threads.get_history(thread)
        assert (newest["next"], interrupts_in(newest)) == (state["next"], interrupts_in(state))
        assert first["next"] == ["__start__"]
        by_id = await sdk.threads.get_state(thread, checkpoint_id=newest["checkpoint"]["checkpoint_id"])
        assert by_id["next"] == nodes[:1]


@pytest.mark.parametrize("by_request", [False, True])
async def test_a_state_is_written_with_the_graph_of_its_run(sdk: Client, by_request: bool) -> None:
    thread = await thread_of(sdk, ["one", "two", "three"], by_request=by_request)
    await sdk.threads.update_state(thread, {"log": ["written"]}, as_node="two")
    assert (await sdk.threads.get_state(thread))["next"] == ["three"]
    assert (await sdk.threads.get(thread))["status"] == "interrupted"


async def test_a_subgraph_is_read_with_the_graph_of_its_run(sdk: Client) -> None:
    thread = await thread_of(sdk, ["outer", "last"], inside=["outer"])
    (task,) = (await sdk.threads.get_state(thread, subgraphs=True))["tasks"]
    assert (task["state"]["next"], interrupts_in(task["state"])) == (["within"], ["outer?"])
    inside = task["state"]["checkpoint"]
    assert (await sdk.threads.get_state(thread, checkpoint=inside))["next"] == ["within"]
    newest = (await sdk.threads.get_history(thread, checkpoint=inside))[0]
    assert newest["next"] == ["within"]


async def test_a_copy_is_read_with_the_graph_of_the_last_run_of_its_source(sdk: Client) -> None:
    thread = await thread_of(sdk, ["one", "two"], by_request=True)
    copy = (await sdk.threads.copy(thread))["thread_id"]
    assert (await sdk.threads.get_state(copy))["next"] == ["one"]


async def test_a_state_is_read_with_the_config_of_the_assistant_after_the_run_was_deleted(sdk: Client) -> None:
    thread = await thread_of(sdk, ["one", "two"])
    await sdk.threads.update_state(thread, {"log": ["written"]}, as_node="one")
    (run,) = await sdk.runs.list(thread)
    await sdk.runs.delete(thread, run["run_id"])
    state = await sdk.threads.get_state(thread)
    assert state["next"] == ["two"]


async def test_a_delayed_run_does_not_change_the_graph_of_a_state(sdk: Client) -> None:
    thread = await thread_of(sdk, ["one", "two"])
    other = {"configurable": {"nodes": ["other"]}}
    await sdk.runs.create(thread, "built", input={"log": []}, config=other, after_seconds=600)
    assert (await sdk.threads.get_state(thread))["next"] == ["one"]


async def test_a_state_write_evaluates_edges_with_the_config_of_the_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    right = {"configurable": {"branch": "right"}}
    values = await sdk.runs.wait(thread, "branching", input={"log": []}, config=right)
    assert values["log"] == ["begin", "right"]
    await sdk.threads.update_state(thread, {"log": ["again"]}, as_node="begin")
    assert (await sdk.threads.get_state(thread))["next"] == ["right"]


async def test_a_run_of_another_graph_does_not_change_the_graph_of_a_state(sdk: Client) -> None:
    thread = await thread_of(sdk, ["one", "two"])
    await sdk.runs.wait(thread, "steps", input={"value": 1}, config={"configurable": {"nodes": ["other"]}})
    await sdk.threads.update(thread, metadata={"graph_id": "built"})
    await sdk.threads.update_state(thread, {"log": ["written"]}, as_node="one")
    assert (await sdk.threads.get_state(thread))["next"] == ["two"]


async def test_a_factory_receives_the_ids_of_the_thread_whose_state_is_read(
    sdk: Client, served: Served, graphs: Registry
) -> None:
    others = dict.fromkeys(("thread_id", "graph_id", "assistant_id"), "another")
    config = {"configurable": {"nodes": ["one"], "inside": [], **others}}
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "built", input={"log": []}, config=config)
    services = served.services
    opener = ThreadGraphOpener(graphs, services.runs, services.checkpointer)
    configurable = (await opener.config(await services.threads.get(thread), None))["configurable"]
    assistant_id = (await sdk.assistants.get("built"))["assistant_id"]
    ids = {"thread_id": thread, "graph_id": "built", "assistant_id": assistant_id}
    assert configurable == {"nodes": ["one"], "inside": []} | ids


async def test_a_state_write_follows_the_latest_state_and_not_the_start_of_the_last_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    first = (await sdk.threads.get_history(thread, limit=50))[-1]["checkpoint"]
    from_first = {"configurable": {"checkpoint_id": first["checkpoint_id"]}}
    await sdk.runs.wait(thread, "steps", input={"value": 10}, config=from_first)
    latest = await sdk.threads.get_state(thread)
    await sdk.threads.update_state(thread, {"value": 7}, as_node="one")
    written = await sdk.threads.get_state(thread)
    assert (written["values"]["value"], written["parent_checkpoint"]) == (7, latest["checkpoint"])
