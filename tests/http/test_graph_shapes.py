"""What clients receive from graphs with schemas, subgraphs, parallel interrupts and limited concurrency."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError

from slipway.shown_exceptions import EXITED, HIDDEN
from tests.http.conftest import Client, new_thread
from tests.http.test_sdk_runs import events_of

pytestmark = pytest.mark.usefixtures("worker")


async def test_results_have_the_output_schema_and_the_state_has_all_channels(sdk: Client) -> None:
    thread = await new_thread(sdk)
    question: Any = {"question": "why"}
    assert await sdk.runs.wait(thread, "schemas", input=question) == {"answer": "WHY"}
    events = await events_of(sdk.runs.stream(thread, "schemas", input=question, stream_mode=["values", "updates"]))
    assert [data for name, data in events if name == "updates"] == [{"think": {"answer": "WHY"}}]
    assert all(set(data) <= {"answer"} for name, data in events if name == "values")
    all_channels = {"question": "why", "draft": "hm", "answer": "WHY"}
    assert (await sdk.threads.get_state(thread))["values"] == all_channels
    assert (await sdk.threads.get(thread))["values"] == all_channels


@pytest.mark.parametrize(
    ("graph", "name", "text"), [("inside", "Inside", HIDDEN), ("exit_inside", "SystemExit", EXITED)]
)
async def test_no_response_contains_an_error_message_for_operators(
    sdk: Client, graph: str, name: str, text: str
) -> None:
    thread = await new_thread(sdk)
    modes: Any = ["tasks", "debug", "updates", "values"]
    events = await events_of(sdk.runs.stream(thread, graph, input={}, stream_mode=modes))
    assert "hunter2" not in repr(events)
    ended = [data for event, data in events if event == "tasks" and "triggers" not in data]
    assert ended[0]["error"]["error"] == name
    state: Any = await sdk.threads.get_state(thread)
    assert [task["error"] for task in state["tasks"]] == [f"{name}({text!r})"]
    (run,) = await sdk.runs.list(thread)
    other_responses = [await sdk.threads.get(thread), await sdk.threads.get_history(thread), run]
    assert "hunter2" not in repr(other_responses)
    assert (await sdk.runs.join(thread, run["run_id"]))["__error__"] == {"error": name, "message": text}


async def test_an_ambiguous_answer_leaves_all_interrupts_open(sdk: Client) -> None:
    """With two open interrupts, an answer must name its interrupt."""
    thread = await new_thread(sdk)
    interrupts = (await sdk.runs.wait(thread, "both", input={"log": []}))["__interrupt__"]
    ambiguous = await sdk.runs.wait(thread, "both", command={"resume": "yes"}, raise_error=False)
    assert ambiguous["__error__"]["error"] == "RuntimeError"
    assert len((await sdk.threads.get(thread))["interrupts"]) == 2
    named = {interrupt["id"]: interrupt["value"].upper() for interrupt in interrupts}
    assert await sdk.runs.wait(thread, "both", command={"resume": named}) == {"log": ["a: A", "b: B"]}
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "both", command={"resume": named})


async def test_checkpoint_events_contain_references_of_the_checkpoint_and_its_parent(sdk: Client) -> None:
    thread = await new_thread(sdk)
    config: Any = {"configurable": {"colour": "red"}}
    events = await events_of(sdk.runs.stream(thread, "steps", input={"value": 1}, config=config, stream_mode="debug"))
    payloads = [data["payload"] for _, data in events if isinstance(data, dict) and data.get("type") == "checkpoint"]
    members = {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert [set(payload["checkpoint"]) for payload in payloads] == [members] * len(payloads)
    assert payloads[0]["parent_checkpoint"] is None
    assert payloads[1]["parent_checkpoint"] == payloads[0]["checkpoint"]
    assert (await sdk.threads.get_state(thread))["metadata"]["thread_id"] == thread


async def test_the_root_of_the_langchain_events_is_the_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    events = await events_of(sdk.runs.stream(thread, "steps", input={"value": 1}, stream_mode="events"))
    root = next(data for name, data in events if name == "events")
    assert (root["event"], root["name"], root["run_id"]) == ("on_chain_start", "steps", events[0][1]["run_id"])
    named: Any = {"run_name": "mine"}
    events = await events_of(sdk.runs.stream(thread, "steps", input={}, config=named, stream_mode="events"))
    assert next(data for name, data in events if name == "events")["name"] == "mine"


async def test_max_concurrency_limits_the_parallel_nodes(sdk: Client) -> None:
    thread = await new_thread(sdk)
    config: Any = {"max_concurrency": 1}
    assert await sdk.runs.wait(thread, "crowded", input={"log": []}, config=config) == {"log": ["1"] * 4}
