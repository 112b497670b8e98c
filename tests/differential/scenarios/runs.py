"""Runs: create, wait, stream, join, list and delete."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import scenario


@scenario
async def background(client: Client) -> None:
    thread = await client.create_thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"value": 1}})
    await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}")
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    await client.get(f"/threads/{thread}/runs")
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)
    await client.get_history(thread)


@scenario
async def all_fields(client: Client) -> None:
    thread = await client.create_thread(metadata={"of": "thread"})
    run = await client.post(
        f"/threads/{thread}/runs",
        {
            "assistant_id": "steps",
            "input": {"value": 1},
            "metadata": {"of": "run"},
            "config": {
                "tags": ["one"],
                "recursion_limit": 30,
                "configurable": {"key": "value"},
                "metadata": {"of_config": 1},
            },
            "stream_mode": ["updates", "values"],
            "stream_subgraphs": True,
            "stream_resumable": True,
            "interrupt_before": ["third"],
            "interrupt_after": ["nowhere"],
            "on_disconnect": "continue",
            "multitask_strategy": "reject",
            "durability": "sync",
            "if_not_exists": "create",
        },
    )
    await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}")
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)


@scenario
async def wait(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1})
    await client.run_and_wait(thread, "steps", {"value": 2})
    await client.get_state(thread)


@scenario
async def stateless(client: Client) -> None:
    body = {"assistant_id": "steps", "input": {"value": 1}}
    await client.post("/runs/wait", body)
    await client.stream("/runs/stream", body)
    stored = await client.post("/runs", {**body, "on_completion": "keep"})
    await client.wait_ended(stored["thread_id"], stored["run_id"])
    await client.get(f"/threads/{stored['thread_id']}/runs/{stored['run_id']}")
    await client.get(f"/threads/{stored['thread_id']}")
    await client.get_state(stored["thread_id"])
    await client.post("/runs", body)
    await client.post("/runs/batch", [body, {**body, "assistant_id": "interrupts"}])
    await client.post("/runs/wait", {**body, "assistant_id": "interrupts"})


@scenario
async def list_and_delete(client: Client) -> None:
    thread = await client.create_thread()
    run_ids = []
    for value in range(3):
        run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {"value": value}})
        run_ids.append(run["run_id"])
        await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs", params={"limit": 2})
    await client.get(f"/threads/{thread}/runs", params={"limit": 2, "offset": 2})
    await client.get(f"/threads/{thread}/runs", params={"status": "success"})
    await client.get(f"/threads/{thread}/runs", params={"status": "pending"})
    await client.get(f"/threads/{thread}/runs", params=[("select", "run_id"), ("select", "status")])
    await client.delete(f"/threads/{thread}/runs/{run_ids[0]}")
    await client.get(f"/threads/{thread}/runs/{run_ids[0]}")
    await client.delete(f"/threads/{thread}/runs/{run_ids[0]}")
    await client.get_history(thread)


@scenario
async def unknown_thread(client: Client) -> None:
    thread = f"3e1a4b8e-0000-4000-8000-00000000000{1 if client.server_name == 'reference' else 2}"
    body = {"assistant_id": "steps", "input": {"value": 1}}
    await client.post(f"/threads/{thread}/runs", body)
    await client.post(f"/threads/{thread}/runs/wait", body)
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.post(f"/threads/{thread}/runs/wait", {**body, "if_not_exists": "create", "metadata": {"a": 1}})
    await client.get(f"/threads/{thread}")
    await client.post(f"/threads/{thread}/runs", {**body, "if_not_exists": "create"})


@scenario
async def join_with_stream_mode(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "slow", "input": {"value": 20}, "stream_mode": ["values", "updates"]}
    for query in ({}, {"stream_mode": "updates"}, {"stream_mode": ["values"]}, {"stream_mode": "custom"}):
        run = await client.post(f"/threads/{thread}/runs", {**body, "stream_resumable": True}, record=False)
        path = f"/threads/{thread}/runs/{run['run_id']}/stream"
        await client.stream(path, method="GET", params=query, headers={"last-event-id": "-1"})
        await client.stream(path, method="GET", params=query, headers={"last-event-id": "-1"})
        await client.stream(path, method="GET", params=query)


@scenario
async def last_event_ids(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "steps", "input": {"value": 1}, "stream_resumable": True, "stream_mode": "updates"}
    events = await client.stream(f"/threads/{thread}/runs/stream", body)
    run = events[0]["data"]["run_id"]
    path = f"/threads/{thread}/runs/{run}/stream"
    for event_id in (
        "-1",
        "0",
        "-",
        "0-0",
        events[1]["id"],
        events[-1]["id"],
        "mock_event_20",
        "9",
        "",
        "99999999999999-0",
    ):
        await client.stream(path, method="GET", headers={"last-event-id": event_id})
    await client.stream(path, method="GET")


@scenario
async def unknown_run(client: Client) -> None:
    thread = await client.create_thread()
    run = "0192f3a0-0000-7000-8000-000000000001"
    await client.get(f"/threads/{thread}/runs/{run}")
    await client.post(f"/threads/{thread}/runs/{run}/cancel")
    await client.get(f"/threads/{thread}/runs/{run}/join")
    await client.stream(f"/threads/{thread}/runs/{run}/stream", method="GET")
    await client.delete(f"/threads/{thread}/runs/{run}")
    await client.get(f"/threads/{thread}/runs/no-uuid")


@scenario
async def delayed(client: Client) -> None:
    thread = await client.create_thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {}, "after_seconds": 2})
    await client.get(f"/threads/{thread}")
    await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}")


@scenario
async def config_in_node(client: Client) -> None:
    thread = await client.create_thread(metadata={"of": "thread"})
    await client.run_and_wait(thread, "observed_config", {})
    await client.run_and_wait(
        thread,
        "observed_config",
        {},
        metadata={"m": 1},
        config={"tags": ["t"], "recursion_limit": 12, "configurable": {"key": "value"}, "metadata": {"c": 2}},
    )
    await client.run_and_wait(thread, "observed_config", {}, context={"from": "context"})
    await client.get_state(thread)
    await client.get(f"/threads/{thread}")
    await client.post("/runs/wait", {"assistant_id": "observed_config", "input": {}})


@scenario
async def non_json_values(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "non_json_values", {})
    await client.get_state(thread)
    await client.run_and_wait(
        thread, "steps", {"observed": {"nul": "a\x00b", "emoji": "😀", "deep": [[[[1]]]], "big": 2**60}}
    )
    await client.get_state(thread)


@scenario
async def store_in_node(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "uses_store", {"value": 7})
    await client.get("/store/items", params={"namespace": "notes.own", "key": "last"})


@scenario
async def durabilities(client: Client) -> None:
    for durability in ("sync", "async", "exit"):
        thread = await client.create_thread()
        await client.run_and_wait(thread, "steps", {"value": 1}, durability=durability)
        await client.get_history(thread)
    thread = await client.create_thread()
    await client.post(f"/threads/{thread}/runs", {"assistant_id": "steps", "input": {}, "checkpoint_during": False})


@scenario
async def many_tasks(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "fan_out", {"value": 250})
    await client.get_state(thread)
    await client.run_and_wait(await client.create_thread(), "functional_plain", [*range(250)])


@scenario
async def commands(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1})
    await client.run_and_wait(thread, "steps", command={"goto": "third"})
    await client.run_and_wait(
        thread, "steps", command={"update": {"value": 7}, "goto": {"node": "second", "input": {"value": 3}}}
    )
    await client.run_and_wait(
        thread, "steps", command={"update": [["value", 5], ["log", ["listed"]]], "goto": ["second", "third"]}
    )
    await client.run_and_wait(thread, "steps", command={"update": {"value": 9}})
    await client.run_and_wait(thread, "steps", command={"goto": "nowhere"})
    await client.get_history(thread)


@scenario
async def inputs(client: Client) -> None:
    values: list[Any] = [None, {}, {"unknown": 1}, [], "text"]
    bodies: list[dict[str, Any]] = [{}, *({"input": value} for value in values)]
    for body in bodies:
        thread = await client.create_thread()
        await client.post(f"/threads/{thread}/runs/wait", {"assistant_id": "steps", **body})
        await client.get(f"/threads/{thread}")
