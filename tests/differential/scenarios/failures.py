"""Errors of graphs: their names in responses, and which of their texts clients receive."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

ERRORS = (
    "ValueError",
    "KeyError",
    "TypeError",
    "ZeroDivisionError",
    "TimeoutError",
    "RuntimeError",
    "HiddenText",
    "Unprintable",
    "NotesRaise",
    "FalseClass",
    "circular_causes",
    "group",
    "AssertionError",
    "NotImplementedError",
    "PermissionError",
)


def _add_failing_run(error: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await client.run_and_wait(thread, "fails", {"failure": error})
        await client.get(f"/threads/{thread}")
        await client.get_state(thread)
        await client.stream(f"/threads/{thread}/runs/stream", {"assistant_id": "fails", "input": {"failure": error}})
        await client.get(f"/threads/{thread}/runs")

    register("failures", error, requests)


for _error in ERRORS:
    _add_failing_run(_error)


@scenario
async def all_stream_modes(client: Client) -> None:
    thread = await client.create_thread()
    modes = ["values", "updates", "debug", "tasks", "checkpoints", "custom"]
    body = {"assistant_id": "fails", "input": {"failure": "ValueError"}, "stream_mode": modes}
    await client.stream(f"/threads/{thread}/runs/stream", body)


@scenario
async def run_after_failure(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "fails", {"failure": "ValueError"})
    await client.run_and_wait(thread, "fails", None)
    await client.run_and_wait(thread, "steps", {"value": 1})
    await client.get(f"/threads/{thread}")
    await client.get_history(thread)


@scenario
async def join_failed_run(client: Client) -> None:
    thread = await client.create_thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "fails", "input": {"failure": "ValueError"}})
    await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    await client.stream(f"/threads/{thread}/runs/{run['run_id']}/stream", method="GET")


@scenario
async def recursion_limit(client: Client) -> None:
    for graph in ("loop", "loop_limited", "loop_limited_factory"):
        for config in ({}, {"recursion_limit": 5}, {"recursion_limit": 100}, {"recursion_limit": 100.0}):
            thread = await client.create_thread()
            await client.run_and_wait(thread, graph, {}, config=config)
            await client.get(f"/threads/{thread}")
    for limit in (0, -1, "7", 1.5, None, True):
        thread = await client.create_thread()
        await client.run_and_wait(thread, "steps", {}, config={"recursion_limit": limit})


@scenario
async def recursion_limit_of_assistant(client: Client) -> None:
    assistant = await client.post("/assistants", {"graph_id": "loop", "config": {"recursion_limit": 6}})
    thread = await client.create_thread()
    await client.run_and_wait(thread, assistant["assistant_id"], {})
    await client.run_and_wait(thread, assistant["assistant_id"], {}, config={"recursion_limit": 90})


@scenario
async def bound_config(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "loop_tagged", "input": {}, "stream_mode": ["events", "values"]}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.get_state(thread)
