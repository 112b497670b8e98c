"""Streams of runs, mode by mode, event by event."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario

MODES = ("values", "updates", "messages", "messages-tuple", "events", "tasks", "checkpoints", "debug", "custom")
GRAPHS: dict[str, Any] = {
    "steps": {"value": 1},
    "chat": {"messages": [{"role": "user", "content": "hello there", "id": "in-1"}]},
    "says": {},
    "fan_out": {"value": 1},
    "jumps": {},
    "agent": {"messages": [{"role": "user", "content": "the weather", "id": "in-1"}]},
    "messages_by_hand": {"messages": [{"role": "user", "content": "go", "id": "in-1"}]},
}


def _one(graph: str, mode: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        body = {"assistant_id": graph, "input": GRAPHS[graph], "stream_mode": mode}
        await client.stream(f"/threads/{thread}/runs/stream", body)

    add("streams", f"{graph}_{mode}", play)


for _graph in GRAPHS:
    for _mode in MODES:
        _one(_graph, _mode)


def _nested(graph: str, modes: list[str], subgraphs: bool) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        body = {"assistant_id": graph, "input": {"value": 1}, "stream_mode": modes, "stream_subgraphs": subgraphs}
        await client.stream(f"/threads/{thread}/runs/stream", body)

    add("streams", f"{graph}_{'+'.join(modes)}{'_subgraphs' if subgraphs else ''}", play)


for _graph in ("parent", "parent_asks", "grandparent", "parent_calls", "parent_fails"):
    for _modes in (["values", "updates", "custom"], ["debug"], ["tasks"], ["checkpoints"], ["events"]):
        for _subgraphs in (False, True):
            _nested(_graph, _modes, _subgraphs)


@scenario
async def several_at_once(client: Client) -> None:
    thread = await client.thread()
    body = {"assistant_id": "chat", "input": GRAPHS["chat"]}
    for modes in (["messages", "messages-tuple"], ["values", "messages"], ["updates", "messages-tuple", "custom"], []):
        await client.stream(f"/threads/{thread}/runs/stream", {**body, "stream_mode": modes})
    await client.stream(f"/threads/{thread}/runs/stream", body)


@scenario
async def models_inside_nodes(client: Client) -> None:
    body = {"input": {"messages": [{"role": "user", "content": "hello you", "id": "in-1"}]}}
    for graph in ("model_by_events_v2", "model_by_events_v3", "model_by_stream"):
        for mode in ("messages-tuple", "messages", "values"):
            thread = await client.thread()
            await client.stream(f"/threads/{thread}/runs/stream", {**body, "assistant_id": graph, "stream_mode": mode})


@scenario
async def unknown_mode(client: Client) -> None:
    thread = await client.thread()
    for mode in ("nothing", ["values", "nothing"], 7):
        await client.stream(
            f"/threads/{thread}/runs/stream", {"assistant_id": "steps", "input": {}, "stream_mode": mode}
        )


@scenario
async def thread_stream(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1}, stream_resumable=True, record=False)

    def ended(events: list[Any]) -> bool:
        last = events[-1]["data"]
        return isinstance(last, dict) and last.get("status") == "run_done"

    for modes in ({}, {"stream_modes": "lifecycle"}, {"stream_mode": "run_modes"}):
        await client.stream(
            f"/threads/{thread}/stream", method="GET", params=modes, headers={"last-event-id": "-"}, until=ended
        )
    await client.stream(f"/threads/{thread}/stream", method="GET", params={"stream_modes": "nothing"})
    for kind in ("mock_event_20", "abc", "-1"):
        await client.stream(
            f"/threads/{thread}/stream", method="GET", headers={"last-event-id": kind}, until=ended, within_s=2
        )


@scenario
async def thread_stream_of_a_state_update(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1}, record=False)
    path = f"/threads/{thread}/stream?stream_modes=state_update"
    async with client.streaming(path, method="GET", until=lambda events: events) as events:
        await client.post(f"/threads/{thread}/state", {"values": {"value": 5}, "as_node": "first"})
        await events


@scenario
async def subgraphs_are_remembered(client: Client) -> None:
    thread = await client.thread()
    body = {"assistant_id": "parent", "input": {"value": 1}, "stream_mode": ["values", "updates"]}
    run = await client.post(f"/threads/{thread}/runs", {**body, "stream_subgraphs": True, "stream_resumable": True})
    await client.ended(thread, run["run_id"])
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    await client.stream(path, method="GET", headers={"last-event-id": "-1"})
    await client.stream(path, method="GET", headers={"last-event-id": "-1"}, params={"stream_mode": "updates"})
