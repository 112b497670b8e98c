"""Runs, through the SDK's client and with a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import APIStatusError, ConflictError, NotFoundError

from tests.http.conftest import Client, Served, new_thread

pytestmark = pytest.mark.usefixtures("worker")

Eventually = Callable[..., Awaitable[None]]


async def events_of(parts: Any) -> list[tuple[str, Any]]:
    return [(part.event, part.data) async for part in parts]


async def test_wait_returns_the_last_values(sdk: Client) -> None:
    thread = await new_thread(sdk)
    assert await sdk.runs.wait(thread, "steps", input={"value": 1}) == {"value": 4, "log": ["one", "two", "three"]}
    assert (await sdk.threads.get(thread))["status"] == "idle"


async def test_an_inline_graph_returns_the_same_values_and_events(sdk: Client) -> None:
    thread = await new_thread(sdk)
    assert await sdk.runs.wait(thread, "quick", input={"value": 1}) == {"value": 4, "log": ["one", "two", "three"]}
    names = [name for name, _ in await events_of(sdk.runs.stream(thread, "quick", input={"value": 1}))]
    assert (names[0], set(names[1:])) == ("metadata", {"values"})


async def test_a_delayed_run_of_an_inline_graph_waits(sdk: Client) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "quick", input={"value": 1}, after_seconds=3600)
    assert (run["status"], (await sdk.runs.get(thread, run["run_id"]))["status"]) == ("pending", "pending")


@pytest.mark.parametrize(("bang", "error"), [("exit", "SystemExit"), ("undescribed", "Undescribed")])
async def test_a_graph_that_raises_system_exit_in_the_web_process_fails_only_its_run(
    sdk: Client, bang: str, error: str
) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "touchy", input={"bang": "then fine"})
    with pytest.raises(APIStatusError) as rejected:
        await sdk.threads.update_state(thread, {"bang": bang}, as_node="touch")
    assert rejected.value.response.status_code == 400
    assert error in rejected.value.response.json()["detail"]
    ended = await sdk.runs.wait(thread, "touchy", input={"bang": f"then {bang}"}, raise_error=False)
    assert ended["__error__"]["error"] == error
    (run, _) = await sdk.runs.list(thread)
    assert (run["status"], (await sdk.threads.get_state(thread))["values"]) == ("error", {"bang": f"then {bang}"})
    assert await sdk.runs.wait(await new_thread(sdk), "quick", input={"value": 1})


@pytest.mark.parametrize("graph", ["steps", "quick"], ids=["in a worker", "inline"])
async def test_a_breakpoint_after_the_last_node_does_not_interrupt_the_thread(sdk: Client, graph: str) -> None:
    thread = await new_thread(sdk)
    result = await sdk.runs.wait(thread, graph, input={"value": 1}, interrupt_after=["three"])
    assert result == {"value": 4, "log": ["one", "two", "three"]}
    (run,) = await sdk.runs.list(thread)
    assert (run["status"], (await sdk.threads.get(thread))["status"]) == ("success", "idle")
    assert (await sdk.runs.wait(thread, graph, input={"value": 1}, interrupt_after=["two"]))["log"][3:] == [
        "one",
        "two",
    ]
    assert (await sdk.threads.get(thread))["status"] == "interrupted"


async def test_a_stream_begins_with_metadata_and_ends_with_the_result(sdk: Client) -> None:
    thread = await new_thread(sdk)
    events = await events_of(
        sdk.runs.stream(thread, "steps", input={"value": 1}, stream_mode=["values", "updates", "custom"])
    )
    assert events[0][0] == "metadata"
    assert events[-1] == ("values", {"value": 4, "log": ["one", "two", "three"]})
    assert [data for name, data in events if name == "custom"] == [{"from": "one"}]
    assert [list(data) for name, data in events if name == "updates"] == [["one"], ["two"], ["three"]]
    values = [data for name, data in events if name == "values"]
    assert values[-1] == {"value": 4, "log": ["one", "two", "three"]}


@pytest.mark.parametrize("mode", ["values", "updates", "events", "tasks", "checkpoints", "debug", "custom"])
async def test_every_mode_streams(sdk: Client, mode: Any) -> None:
    events = await events_of(sdk.runs.stream(await new_thread(sdk), "steps", input={"value": 1}, stream_mode=mode))
    assert {name for name, _ in events} == {"metadata", mode}


async def test_the_output_of_a_model_is_streamed(sdk: Client) -> None:
    messages = {"messages": [{"role": "user", "content": "hi"}]}
    thread = await new_thread(sdk)
    tuples = await events_of(sdk.runs.stream(thread, "talk", input=messages, stream_mode="messages-tuple"))
    assert "".join(data[0]["content"] for name, data in tuples if name == "messages") == "hello to you"
    partial = await events_of(sdk.runs.stream(thread, "talk", input=messages, stream_mode="messages"))
    assert [data[0]["content"] for name, data in partial if name == "messages/partial"][-1] == "hello to you"


async def test_joining_a_stream_after_any_event_returns_all_later_events_once(sdk: Client) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "steps", input={"value": 1}, stream_mode=["values", "updates"])
    complete = [part async for part in sdk.runs.join_stream(thread, run["run_id"], last_event_id="-1")]
    assert complete[0].event == "metadata"
    assert complete[-1].event == "values"
    ids = [part.id for part in complete]
    assert len(set(ids)) == len(ids)
    for index, last_id in enumerate(ids):
        later_ids = [part.id async for part in sdk.runs.join_stream(thread, run["run_id"], last_event_id=last_id)]
        assert later_ids == ids[index + 1 :]
    assert [part async for part in sdk.runs.join_stream(thread, run["run_id"])] == []
    for modes, names in (("updates", {"updates"}), (["updates", "metadata"], {"metadata", "updates"})):
        filtered = sdk.runs.join_stream(thread, run["run_id"], last_event_id="-1", stream_mode=modes)
        assert {part.event async for part in filtered} == names


async def test_join_returns_the_result_of_an_ended_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "steps", input={"value": 1})
    assert (await sdk.runs.join(thread, run["run_id"]))["value"] == 4
    assert (await sdk.runs.join(thread, run["run_id"]))["value"] == 4
    ended = await sdk.runs.get(thread, run["run_id"])
    assert ended["status"] == "success"
    assert ended["phase"] == "completed"


async def test_a_failed_run_returns_its_error(sdk: Client) -> None:
    thread = await new_thread(sdk)
    result = await sdk.runs.wait(thread, "fail", input={"value": 1}, raise_error=False)
    assert result == {"__error__": {"error": "ValueError", "message": "no luck today"}}
    events = await events_of(sdk.runs.stream(thread, "fail", input={"value": 1}))
    assert ("error", {"error": "ValueError", "message": "no luck today"}) in events
    assert (await sdk.threads.get(thread))["status"] == "error"
    state = await sdk.threads.get_state(thread)
    assert state["next"] == ["refuse"]
    assert state["tasks"][0]["error"] == "ValueError('no luck today')"


async def test_an_interrupt_is_answered_by_a_new_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    interrupted = await sdk.runs.wait(thread, "ask", input={"value": 1})
    assert interrupted["__interrupt__"][0]["value"] == {"question": "how much?"}
    record = await sdk.threads.get(thread)
    assert record["status"] == "interrupted"
    (interrupts,) = record["interrupts"].values()
    assert interrupts[0]["value"] == {"question": "how much?"}
    state = await sdk.threads.get_state(thread)
    assert state["next"] == ["ask"]
    assert state["tasks"][0]["interrupts"][0]["id"] == interrupts[0]["id"]
    resumed = await sdk.runs.wait(thread, "ask", command={"resume": 7})
    assert resumed["answer"] == 7
    assert resumed["log"] == ["one", "asked", "two"]


async def test_a_run_stops_at_a_breakpoint_and_the_next_run_continues(sdk: Client) -> None:
    thread = await new_thread(sdk)
    first = await sdk.runs.wait(thread, "steps", input={"value": 1}, interrupt_before=["two"])
    assert first["log"] == ["one"]
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
    assert (await sdk.runs.wait(thread, "steps", input=None))["log"] == ["one", "two", "three"]


async def test_a_command_updates_the_state_and_jumps_to_a_node(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    after = await sdk.runs.wait(thread, "steps", command={"update": {"value": 100}, "goto": "three"})
    assert after["value"] == 101


async def test_a_fork_starts_at_an_earlier_checkpoint(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    history = await sdk.threads.get_history(thread, limit=50)
    before_three = next(state for state in history if state["next"] == ["three"])
    forked = await sdk.runs.wait(thread, "steps", input=None, checkpoint=before_three["checkpoint"])
    assert forked["log"] == ["one", "two", "three"]
    assert len(await sdk.threads.get_history(thread, limit=50)) > len(history)


async def test_a_fork_from_an_unknown_checkpoint_is_not_found(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    unknown_id = str(uuid4())
    for checkpoint in (
        {"checkpoint_id": unknown_id},
        {"checkpoint": {"checkpoint_id": unknown_id, "checkpoint_ns": ""}},
    ):
        with pytest.raises(NotFoundError, match=unknown_id):
            await sdk.runs.create(thread, "steps", input=None, **checkpoint)
    assert len(await sdk.runs.list(thread)) == 1


async def test_a_cancelled_run_is_interrupted_and_cannot_be_cancelled_again(
    sdk: Client, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]

    async def waits_in_its_node() -> bool:
        return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])

    await eventually(waits_in_its_node)
    await sdk.runs.cancel(thread, run, wait=True)
    assert (await sdk.runs.get(thread, run))["status"] == "interrupted"
    assert (await sdk.threads.get_state(thread))["values"]["log"] == ["one"]
    with pytest.raises(NotFoundError, match=f"run '{run}' cannot be cancelled: it has ended already"):
        await sdk.runs.cancel(thread, run)
    events = await events_of(sdk.runs.join_stream(thread, run, last_event_id="-1"))
    assert {name for name, _ in events} == {"metadata", "values"}


async def test_a_rollback_deletes_the_run_and_restores_the_state(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    before = await sdk.threads.get_state(thread)
    run = (await sdk.runs.create(thread, "hold", input={"value": 50}))["run_id"]

    async def waits_in_its_node() -> bool:
        return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])

    await eventually(waits_in_its_node)
    await sdk.runs.cancel(thread, run, wait=True, action="rollback")
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread, run)
    assert (await sdk.threads.get_state(thread))["values"] == before["values"]


async def test_a_disconnect_cancels_the_run_with_on_disconnect_cancel(
    sdk: Client, served: Served, eventually: Eventually
) -> None:
    thread = await new_thread(sdk)
    async for part in sdk.runs.stream(thread, "hold", input={"value": 1}, on_disconnect="cancel"):
        if part.event == "values":
            break

    async def cancelled() -> bool:
        return bool((await sdk.runs.list(thread))[0]["status"] == "interrupted")

    await eventually(cancelled)


async def test_a_busy_thread_rejects_writes_and_deletions(sdk: Client) -> None:
    thread = await new_thread(sdk)
    first = await sdk.runs.create(thread, "hold", input={"value": 1})
    with pytest.raises(ConflictError):
        await sdk.runs.create(thread, "steps", input={"value": 1}, multitask_strategy="reject")
    with pytest.raises(ConflictError):
        await sdk.threads.update_state(thread, {"value": 9})
    with pytest.raises(ConflictError):
        await sdk.runs.delete(thread, first["run_id"])
    values = await sdk.runs.wait(thread, "steps", input={"value": 1}, multitask_strategy="interrupt")
    assert values["log"][-3:] == ["one", "two", "three"]
    assert (await sdk.runs.get(thread, first["run_id"]))["status"] == "interrupted"


async def test_runs_are_listed_and_deleted(sdk: Client) -> None:
    thread = await new_thread(sdk)
    for _ in range(3):
        await sdk.runs.wait(thread, "steps", input={"value": 1})
    runs = await sdk.runs.list(thread)
    assert len(runs) == 3
    assert runs[0]["created_at"] > runs[2]["created_at"]
    assert [run["run_id"] for run in await sdk.runs.list(thread, limit=1, offset=1)] == [runs[1]["run_id"]]
    assert list((await sdk.runs.list(thread, select=["status"]))[0]) == ["status"]
    assert await sdk.runs.get(thread, runs[0]["run_id"], params={"select": ["status"]}) == {"status": "success"}
    assert await sdk.runs.list(thread, status="error") == []
    history = await sdk.threads.get_history(thread, limit=100)
    deleted = runs[0]["run_id"]
    remaining = [each for each in history if each["metadata"]["run_id"] != deleted]
    assert 0 < len(remaining) < len(history)
    await sdk.runs.delete(thread, deleted)
    assert len(await sdk.runs.list(thread)) == 2
    assert await sdk.threads.get_history(thread, limit=100) == remaining, "the checkpoints of the run are deleted too"


async def test_if_not_exists_create_creates_the_thread(sdk: Client) -> None:
    thread = str(uuid4())
    with pytest.raises(NotFoundError):
        await sdk.runs.create(thread, "steps", input={"value": 1})
    await sdk.runs.wait(thread, "steps", input={"value": 1}, if_not_exists="create", metadata={"owner": "me"})
    created = await sdk.threads.get(thread)
    assert created["metadata"] is not None
    assert created["metadata"]["owner"] == "me"
    assert created["metadata"]["graph_id"] == "steps"


async def test_the_location_headers_of_a_run_name_its_paths(client: httpx.AsyncClient, sdk: Client) -> None:
    thread = await new_thread(sdk)
    runs, body = f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"value": 1}}
    created = await client.post(runs, json=body)
    assert created.headers["content-location"] == f"{runs}/{created.json()['run_id']}"
    waited = await client.post(f"{runs}/wait", json=body)
    assert waited.headers["location"] == f"{waited.headers['content-location']}/join"
    streamed = await client.post(f"{runs}/stream", json=body)
    assert streamed.headers["location"] == f"{streamed.headers['content-location']}/stream"
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed.headers["cache-control"] == "no-store"
    assert streamed.headers["x-accel-buffering"] == "no"
    first = streamed.text.partition("\r\n\r\n")[0].split("\r\n")
    assert first[0].startswith("retry: ")
    assert first[1] == "event: metadata"
    assert first[3].startswith("id: ")


async def test_an_unknown_last_event_id_is_accepted(sdk: Client) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "steps", input={"value": 1})
    await sdk.runs.join(thread, run["run_id"])
    for event_id in ("mock_event_20", "yesterday", "1-2-3", "9" * 5000, "99999999999999-0", "18446744073709551615-1"):
        assert await events_of(sdk.runs.join_stream(thread, run["run_id"], last_event_id=event_id)) == [], event_id[:30]
    complete = await events_of(sdk.runs.join_stream(thread, run["run_id"], last_event_id="-1"))
    for event_id in ("0-0", "1-0", "17"):  # before the first event: nothing is missing
        assert await events_of(sdk.runs.join_stream(thread, run["run_id"], last_event_id=event_id)) == complete, (
            event_id
        )


async def test_kwargs_contain_the_options_of_the_request(sdk: Client) -> None:
    thread = await new_thread(sdk)
    run: Any = await sdk.runs.create(
        thread, "steps", input={"value": 1}, context={"tone": "dry"}, metadata={"a": 1}, config={"tags": ["t"]}
    )
    kwargs = run["kwargs"]
    assert kwargs["input"] == {"value": 1}
    ids = {name: run[name] for name in ("run_id", "thread_id", "assistant_id")} | {"graph_id": "steps"}
    assert kwargs["context"] == {"tone": "dry"}
    assert kwargs["config"]["configurable"] == {"tone": "dry"} | ids
    assert kwargs["config"]["tags"] == ["t"]
    assert kwargs["stream_mode"] == ["values"]
    assert (kwargs["durability"], kwargs["checkpoint_during"], kwargs["temporary"]) == ("async", True, False)
    assert run["metadata"]["a"] == 1
    assert run["metadata"]["graph_id"] == "steps"
    assert run["metadata"]["assistant_id"] == run["assistant_id"]
