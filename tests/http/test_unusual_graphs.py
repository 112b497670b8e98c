"""Graphs that are legal and not what one expects: each fails alone, or works."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from tests.http.conftest import Served

Client: TypeAlias = Any
"""A `LangGraphClient`; its own types promise lists where it gives objects."""

pytestmark = pytest.mark.usefixtures("worker")


async def new_thread(sdk: Client) -> str:
    return str((await sdk.threads.create())["thread_id"])


async def test_a_synchronous_node_calls_a_graph_that_asks(sdk: Client) -> None:
    thread = await new_thread(sdk)
    asked = await sdk.runs.wait(thread, "calls", input={"value": 0})
    assert [item["value"] for item in asked["__interrupt__"]] == [{"question": "how much?"}]
    answered = await sdk.runs.wait(thread, "calls", command={"resume": 5})
    assert answered["answer"] == 5
    assert answered["log"] == ["called"]


async def test_a_thread_whose_state_is_refused_is_read_and_goes_on_without_the_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    answer = await sdk.runs.wait(thread, "strict", input={"count": "many"}, raise_error=False)
    assert answer["__error__"]["message"].startswith("count: ")
    state = await sdk.threads.get_state(thread)
    assert state["values"]["count"] == "many"
    past = await sdk.threads.get_history(thread)
    assert past[0]["checkpoint"] == state["checkpoint"]
    (refused,) = await sdk.runs.list(thread)
    await sdk.runs.delete(thread, refused["run_id"])
    assert (await sdk.runs.wait(thread, "strict", input={"count": 4}))["said"] == "4 taken"


async def test_a_factory_may_look_for_what_no_run_says(sdk: Client) -> None:
    assert (await sdk.runs.wait(None, "tuned", input={"value": 0}))["log"] == ["a"]
    toned = {"configurable": {"tone": "b"}}
    assert (await sdk.runs.wait(None, "tuned", input={"value": 0}, config=toned))["log"] == ["b"]


async def test_a_factory_that_needs_a_config_serves_the_runs_that_have_it(sdk: Client, served: Served) -> None:
    toned = {"configurable": {"tone": "b"}}
    assert (await sdk.runs.wait(None, "toned", input={"value": 0}, config=toned))["log"] == ["b"]
    thread = await new_thread(sdk)
    answer = await sdk.runs.wait(thread, "toned", input={"value": 0}, raise_error=False)
    assert "failed: KeyError; " in answer["__error__"]["message"]
    assert (await sdk.runs.list(thread))[0]["reason"] == "graph.unavailable"
    assert (await sdk.assistants.get("toned"))["name"] == "toned"
