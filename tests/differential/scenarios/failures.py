"""Errors of graphs: what they are called, and what of them is told."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario

KINDS = (
    "ValueError",
    "KeyError",
    "TypeError",
    "ZeroDivisionError",
    "TimeoutError",
    "RuntimeError",
    "Odd",
    "Unprintable",
    "NotesRaise",
    "Pretends",
    "causes",
    "group",
    "AssertionError",
    "NotImplementedError",
    "PermissionError",
)


def _failing(kind: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        await client.run(thread, "fails", {"seen": kind})
        await client.get(f"/threads/{thread}")
        await client.state(thread)
        await client.stream(f"/threads/{thread}/runs/stream", {"assistant_id": "fails", "input": {"seen": kind}})
        await client.get(f"/threads/{thread}/runs")

    add("failures", kind, play)


for _kind in KINDS:
    _failing(_kind)


@scenario
async def in_all_modes(client: Client) -> None:
    thread = await client.thread()
    modes = ["values", "updates", "debug", "tasks", "checkpoints", "custom"]
    body = {"assistant_id": "fails", "input": {"seen": "ValueError"}, "stream_mode": modes}
    await client.stream(f"/threads/{thread}/runs/stream", body)


@scenario
async def going_on_after_one(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "fails", {"seen": "ValueError"})
    await client.run(thread, "fails", None)
    await client.run(thread, "steps", {"value": 1})
    await client.get(f"/threads/{thread}")
    await client.history(thread)


@scenario
async def joining_a_failed_run(client: Client) -> None:
    thread = await client.thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "fails", "input": {"seen": "ValueError"}})
    await client.ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    await client.stream(f"/threads/{thread}/runs/{run['run_id']}/stream", method="GET")


@scenario
async def recursion(client: Client) -> None:
    for graph in ("loop", "loop_of_eight", "loop_by_factory"):
        for config in ({}, {"recursion_limit": 5}, {"recursion_limit": 100}, {"recursion_limit": 100.0}):
            thread = await client.thread()
            await client.run(thread, graph, {}, config=config)
            await client.get(f"/threads/{thread}")
    for limit in (0, -1, "7", 1.5, None, True):
        thread = await client.thread()
        await client.run(thread, "steps", {}, config={"recursion_limit": limit})


@scenario
async def recursion_of_an_assistant(client: Client) -> None:
    made = await client.post("/assistants", {"graph_id": "loop", "config": {"recursion_limit": 6}})
    thread = await client.thread()
    await client.run(thread, made["assistant_id"], {})
    await client.run(thread, made["assistant_id"], {}, config={"recursion_limit": 90})


@scenario
async def bound_config(client: Client) -> None:
    thread = await client.thread()
    body = {"assistant_id": "loop_tagged", "input": {}, "stream_mode": ["events", "values"]}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.state(thread)
