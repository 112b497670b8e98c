"""Event streams of runs: each stream mode of each graph."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

MODES = ("values", "updates", "messages", "messages-tuple", "events", "tasks", "checkpoints", "debug", "custom")
INPUTS: dict[str, Any] = {
    "steps": {"value": 1},
    "chat": {"messages": [{"role": "user", "content": "hello there", "id": "in-1"}]},
    "custom_events": {},
    "fan_out": {"value": 1},
    "goto": {},
    "agent": {"messages": [{"role": "user", "content": "the weather", "id": "in-1"}]},
    "messages_without_model": {"messages": [{"role": "user", "content": "go", "id": "in-1"}]},
}


def _add_mode(graph: str, mode: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        body = {"assistant_id": graph, "input": INPUTS[graph], "stream_mode": mode}
        await client.stream(f"/threads/{thread}/runs/stream", body)

    register("streams", f"{graph}_{mode}", requests)


for _graph in INPUTS:
    for _mode in MODES:
        _add_mode(_graph, _mode)


def _add_subgraph_stream(graph: str, modes: list[str], subgraphs: bool) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        body = {"assistant_id": graph, "input": {"value": 1}, "stream_mode": modes, "stream_subgraphs": subgraphs}
        await client.stream(f"/threads/{thread}/runs/stream", body)

    register("streams", f"{graph}_{'+'.join(modes)}{'_subgraphs' if subgraphs else ''}", requests)


for _graph in ("parent", "parent_interrupts", "grandparent", "parent_invokes", "parent_fails"):
    for _modes in (["values", "updates", "custom"], ["debug"], ["tasks"], ["checkpoints"], ["events"]):
        for _subgraphs in (False, True):
            _add_subgraph_stream(_graph, _modes, _subgraphs)


@scenario
async def several_modes(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "chat", "input": INPUTS["chat"]}
    for modes in (["messages", "messages-tuple"], ["values", "messages"], ["updates", "messages-tuple", "custom"], []):
        await client.stream(f"/threads/{thread}/runs/stream", {**body, "stream_mode": modes})
    await client.stream(f"/threads/{thread}/runs/stream", body)


@scenario
async def model_streamed_by_node(client: Client) -> None:
    body = {"input": {"messages": [{"role": "user", "content": "hello you", "id": "in-1"}]}}
    for graph in ("model_by_events_v2", "model_by_events_v3", "model_by_stream"):
        for mode in ("messages-tuple", "messages", "values"):
            thread = await client.create_thread()
            await client.stream(f"/threads/{thread}/runs/stream", {**body, "assistant_id": graph, "stream_mode": mode})


@scenario
async def unknown_mode(client: Client) -> None:
    thread = await client.create_thread()
    for mode in ("nothing", ["values", "nothing"], 7):
        await client.stream(
            f"/threads/{thread}/runs/stream", {"assistant_id": "steps", "input": {}, "stream_mode": mode}
        )


@scenario
async def thread_stream(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1}, stream_resumable=True, record=False)

    def ended(events: list[Any]) -> bool:
        last = events[-1]["data"]
        return isinstance(last, dict) and last.get("status") == "run_done"

    for modes in ({}, {"stream_modes": "lifecycle"}, {"stream_mode": "run_modes"}):
        await client.stream(
            f"/threads/{thread}/stream", method="GET", params=modes, headers={"last-event-id": "-"}, until=ended
        )
    await client.stream(f"/threads/{thread}/stream", method="GET", params={"stream_modes": "nothing"})
    for event_id in ("mock_event_20", "abc", "-1"):
        await client.stream(
            f"/threads/{thread}/stream", method="GET", headers={"last-event-id": event_id}, until=ended, within_s=2
        )


@scenario
async def thread_stream_state_update(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
    path = f"/threads/{thread}/stream?stream_modes=state_update"
    async with client.streaming(path, method="GET", until=lambda events: events) as events:
        await client.post(f"/threads/{thread}/state", {"values": {"value": 5}, "as_node": "first"})
        await events


@scenario
async def replay_with_subgraphs(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "parent", "input": {"value": 1}, "stream_mode": ["values", "updates"]}
    run = await client.post(f"/threads/{thread}/runs", {**body, "stream_subgraphs": True, "stream_resumable": True})
    await client.wait_ended(thread, run["run_id"])
    path = f"/threads/{thread}/runs/{run['run_id']}/stream"
    await client.stream(path, method="GET", headers={"last-event-id": "-1"})
    await client.stream(path, method="GET", headers={"last-event-id": "-1"}, params={"stream_mode": "updates"})
