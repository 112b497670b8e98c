"""The event protocol: commands, and event streams over HTTP and WebSocket."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

CHANNELS = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
END_EVENTS = ("completed", "failed", "interrupted")
CHAT_INPUT = {"messages": [{"role": "user", "content": "hello you", "id": "in-1"}]}


def _data(event: Any) -> Any:
    return event.get("data", event) if "event" in event else event


def run_ended(events: list[Any]) -> bool:
    """Whether the last event is the end of a run."""
    last = _data(events[-1])
    params = last.get("params") or {}
    return last.get("method") == "lifecycle" and params.get("namespace") == [] and params["data"]["event"] in END_EVENTS


async def _start(client: Client, thread: str, graph: str, run_input: Any) -> Any:
    params = {"assistant_id": graph, "input": run_input}
    return await client.post(f"/threads/{thread}/commands", {"id": 1, "method": "run.start", "params": params})


def _add_channel(name: str, graph: str, run_input: Any, channel: str) -> None:
    """Each channel is received alone: the order of events of different channels is not compared."""

    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await _start(client, thread, graph, run_input)
        channels = sorted({channel, "lifecycle"})
        await client.stream(f"/threads/{thread}/stream/events", {"channels": channels}, until=run_ended)

    register("events", f"{name}_{channel}", requests)


for _channel in CHANNELS:
    _add_channel("steps", "steps", {"value": 1}, _channel)
    _add_channel("chat", "chat", CHAT_INPUT, _channel)
    _add_channel("parent_interrupts", "parent_interrupts", {"value": 1}, _channel)
for _channel in ("messages", "tools", "values", "lifecycle"):
    _add_channel("agent", "agent", {"messages": [{"role": "user", "content": "weather", "id": "in-1"}]}, _channel)
for _graph in ("model_by_events_v2", "model_by_events_v3", "model_by_stream", "messages_without_model"):
    _add_channel(_graph, _graph, CHAT_INPUT, "messages")
for _channel in ("custom", "custom:progress", "custom:nothing"):
    _add_channel("custom_events", "custom_events", {}, _channel)
for _error in ("ValueError", "HiddenText"):
    _add_channel(f"fails_{_error}", "fails", {"failure": _error}, "lifecycle")


@scenario
async def answer(client: Client) -> None:
    thread = await client.create_thread()
    await _start(client, thread, "interrupts", {"value": 1})
    path = f"/threads/{thread}/stream/events"
    body = {"channels": ["input", "lifecycle", "values"]}
    events = await client.stream(path, body, until=run_ended)
    requested = next(_data(event) for event in events if _data(event)["method"] == "input.requested")
    params = {"interrupt_id": requested["params"]["data"]["interrupt_id"], "response": "yes", "namespace": []}
    await client.post(f"/threads/{thread}/commands", {"id": 2, "method": "input.respond", "params": params})
    await client.poll(f"/threads/{thread}", lambda record: record["status"] == "idle")
    ended_runs = 0

    def both_runs_ended(events: list[Any]) -> bool:
        nonlocal ended_runs
        ended_runs += run_ended(events)
        return ended_runs == 2

    await client.stream(path, body, until=both_runs_ended)
    await client.post(f"/threads/{thread}/commands", {"id": 3, "method": "input.respond", "params": params})
    await client.get(f"/threads/{thread}")


@scenario
async def invalid_commands(client: Client) -> None:
    thread = await client.create_thread()
    path = f"/threads/{thread}/commands"
    bodies: tuple[Any, ...] = (
        {},
        {"id": 1},
        {"id": "a", "method": "run.start"},
        {"id": 1, "method": "nothing"},
        {"id": 1, "method": "run.start"},
        {"id": 1, "method": "run.start", "params": {}},
        {"id": 1, "method": "run.start", "params": {"assistant_id": "nowhere"}},
        {"id": 1, "method": "input.respond", "params": {}},
        {"id": 1, "method": "input.respond", "params": {"interrupt_id": "0" * 32, "response": 1}},
        {"id": 1, "method": "input.respond", "params": {"responses": []}},
        {"id": 1, "method": "state.get", "params": {}},
        {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}},
        {"id": 1, "method": "agent.getTree", "params": {}},
    )
    for body in bodies:
        await client.post(path, body)
    await client.post(path, content=b"{")
    subscriptions: list[Any] = [{}, *({"channels": channels} for channels in ([], ["nothing"], "values"))]
    for body in [*subscriptions, {"channels": ["values"], "depth": -1}]:
        await client.stream(f"/threads/{thread}/stream/events", body, until=lambda events: True, within_s=2)


@scenario
async def agent_tree(client: Client) -> None:
    thread = await client.create_thread()
    await _start(client, thread, "parent_interrupts", {"value": 1})
    await client.poll(f"/threads/{thread}", lambda record: record["status"] == "interrupted")
    await client.post(f"/threads/{thread}/commands", {"id": 2, "method": "agent.getTree", "params": {}})


@scenario
async def websocket(client: Client) -> None:
    thread = await client.create_thread()
    subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values", "lifecycle"]}}
    start = {"id": 2, "method": "run.start", "params": {"assistant_id": "steps", "input": {"value": 1}}}

    def ended(frames: list[Any]) -> bool:
        last = frames[-1]
        return last.get("type") == "event" and run_ended(frames)

    frames = await client.websocket(f"/threads/{thread}/stream/events", [subscribe, start], ended, record=False)
    client.record("replies", [frame for frame in frames if frame["type"] != "event"])
    client.record("events", [frame for frame in frames if frame["type"] == "event"])
    frames = await client.websocket(f"/threads/{thread}/stream/events", [subscribe], ended, record=False)
    client.record("events again", [frame for frame in frames if frame["type"] == "event"])


@scenario
async def websocket_errors(client: Client) -> None:
    thread = await client.create_thread()
    path = f"/threads/{thread}/stream/events"
    for frame in (
        "{",
        {"id": 1, "method": "nothing"},
        {"id": 1, "method": "subscription.subscribe", "params": {}},
        {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["nothing"]}},
        {"id": 1, "method": "subscription.unsubscribe", "params": {"subscription_id": "x"}},
    ):
        await client.websocket(path, [frame], lambda frames: True)


@scenario
async def filters(client: Client) -> None:
    thread = await client.create_thread()
    await _start(client, thread, "grandparent", {"value": 1})
    await client.poll(f"/threads/{thread}", lambda record: record["status"] == "interrupted")
    path = f"/threads/{thread}/stream/events"
    for body in (
        {"channels": ["values", "lifecycle"], "depth": 0},
        {"channels": ["values", "lifecycle"], "namespaces": [[]], "depth": 1},
    ):
        await client.stream(path, body, until=run_ended)
