"""Unusual but valid graphs work, or fail without an effect on others."""

from __future__ import annotations

import pytest

from tests.http.conftest import Client, Served, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_graph_that_a_synchronous_node_calls_can_interrupt(sdk: Client) -> None:
    thread = await new_thread(sdk)
    interrupted = await sdk.runs.wait(thread, "calls", input={"value": 0})
    assert [item["value"] for item in interrupted["__interrupt__"]] == [{"question": "how much?"}]
    resumed = await sdk.runs.wait(thread, "calls", command={"resume": 5})
    assert resumed["answer"] == 5
    assert resumed["log"] == ["called"]


async def test_a_thread_with_a_rejected_state_can_be_read_and_continues_after_its_run_was_deleted(sdk: Client) -> None:
    thread = await new_thread(sdk)
    result = await sdk.runs.wait(thread, "strict", input={"count": "many"}, raise_error=False)
    assert result["__error__"]["message"].startswith("count: ")
    state = await sdk.threads.get_state(thread)
    assert state["values"]["count"] == "many"
    history = await sdk.threads.get_history(thread)
    assert history[0]["checkpoint"] == state["checkpoint"]
    (rejected,) = await sdk.runs.list(thread)
    await sdk.runs.delete(thread, rejected["run_id"])
    assert (await sdk.runs.wait(thread, "strict", input={"count": 4}))["said"] == "4 taken"


async def test_a_factory_can_use_a_default_for_a_missing_config(sdk: Client) -> None:
    assert (await sdk.runs.wait(None, "tuned", input={"value": 0}))["log"] == ["a"]
    config = {"configurable": {"tone": "b"}}
    assert (await sdk.runs.wait(None, "tuned", input={"value": 0}, config=config))["log"] == ["b"]


async def test_a_factory_that_needs_a_config_fails_only_runs_without_it(sdk: Client, served: Served) -> None:
    config = {"configurable": {"tone": "b"}}
    assert (await sdk.runs.wait(None, "toned", input={"value": 0}, config=config))["log"] == ["b"]
    thread = await new_thread(sdk)
    result = await sdk.runs.wait(thread, "toned", input={"value": 0}, raise_error=False)
    assert "failed: KeyError; " in result["__error__"]["message"]
    assert (await sdk.runs.list(thread))[0]["reason"] == "graph.unavailable"
    assert (await sdk.assistants.get("toned"))["name"] == "toned"
