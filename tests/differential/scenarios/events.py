"""The event protocol: commands, and events over HTTP and WebSocket."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario

CHANNELS = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
LAST = ("completed", "failed", "interrupted")
SAID = {"messages": [{"role": "user", "content": "hello you", "id": "in-1"}]}


def _data(event: Any) -> Any:
    return event.get("data", event) if "event" in event else event


def root_ended(events: list[Any]) -> bool:
    """Whether the last event is the end of a run."""
    last = _data(events[-1])
    params = last.get("params") or {}
    return last.get("method") == "lifecycle" and params.get("namespace") == [] and params["data"]["event"] in LAST


async def _start(client: Client, thread: str, graph: str, given: Any, number: int = 1) -> Any:
    params = {"assistant_id": graph, "input": given}
    return await client.post(f"/threads/{thread}/commands", {"id": number, "method": "run.start", "params": params})


def _each(name: str, graph: str, given: Any, channel: str) -> None:
    """One channel alone: the order between channels is not what is compared."""

    async def play(client: Client) -> None:
        thread = await client.thread()
        await _start(client, thread, graph, given)
        channels = sorted({channel, "lifecycle"})
        await client.stream(f"/threads/{thread}/stream/events", {"channels": channels}, until=root_ended)

    add("events", f"{name}_{channel}", play)


for _channel in CHANNELS:
    _each("steps", "steps", {"value": 1}, _channel)
    _each("chat", "chat", SAID, _channel)
    _each("parent_asks", "parent_asks", {"value": 1}, _channel)
for _channel in ("messages", "tools", "values", "lifecycle"):
    _each("agent", "agent", {"messages": [{"role": "user", "content": "weather", "id": "in-1"}]}, _channel)
for _graph in ("model_by_events_v2", "model_by_events_v3", "model_by_stream", "messages_by_hand"):
    _each(_graph, _graph, SAID, "messages")
for _channel in ("custom", "custom:progress", "custom:nothing"):
    _each("says", "says", {}, _channel)
for _kind in ("ValueError", "Odd"):
    _each(f"fails_{_kind}", "fails", {"seen": _kind}, "lifecycle")


@scenario
async def answered(client: Client) -> None:
    thread = await client.thread()
    await _start(client, thread, "asks", {"value": 1})
    path = f"/threads/{thread}/stream/events"
    body = {"channels": ["input", "lifecycle", "values"]}
    events = await client.stream(path, body, until=root_ended)
    asked = next(_data(event) for event in events if _data(event)["method"] == "input.requested")
    params = {"interrupt_id": asked["params"]["data"]["interrupt_id"], "response": "yes", "namespace": []}
    await client.post(f"/threads/{thread}/commands", {"id": 2, "method": "input.respond", "params": params})
    await client.until(f"/threads/{thread}", lambda found: found["status"] == "idle")
    count = 0

    def twice(events: list[Any]) -> bool:
        nonlocal count
        count += root_ended(events)
        return count == 2

    await client.stream(path, body, until=twice)
    await client.post(f"/threads/{thread}/commands", {"id": 3, "method": "input.respond", "params": params})
    await client.get(f"/threads/{thread}")


@scenario
async def commands_that_are_wrong(client: Client) -> None:
    thread = await client.thread()
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
    wrong: list[Any] = [{}, *({"channels": given} for given in ([], ["nothing"], "values"))]
    for body in [*wrong, {"channels": ["values"], "depth": -1}]:
        await client.stream(f"/threads/{thread}/stream/events", body, until=lambda events: True, within_s=2)


@scenario
async def tree(client: Client) -> None:
    thread = await client.thread()
    await _start(client, thread, "parent_asks", {"value": 1})
    await client.until(f"/threads/{thread}", lambda found: found["status"] == "interrupted")
    await client.post(f"/threads/{thread}/commands", {"id": 2, "method": "agent.getTree", "params": {}})


@scenario
async def socket(client: Client) -> None:
    thread = await client.thread()
    subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values", "lifecycle"]}}
    start = {"id": 2, "method": "run.start", "params": {"assistant_id": "steps", "input": {"value": 1}}}

    def ended(frames: list[Any]) -> bool:
        last = frames[-1]
        return last.get("type") == "event" and root_ended(frames)

    frames = await client.socket(f"/threads/{thread}/stream/events", [subscribe, start], ended, record=False)
    client.note("answers", [frame for frame in frames if frame["type"] != "event"])
    client.note("events", [frame for frame in frames if frame["type"] == "event"])
    frames = await client.socket(f"/threads/{thread}/stream/events", [subscribe], ended, record=False)
    client.note("events again", [frame for frame in frames if frame["type"] == "event"])


@scenario
async def socket_errors(client: Client) -> None:
    thread = await client.thread()
    path = f"/threads/{thread}/stream/events"
    for frame in (
        "{",
        {"id": 1, "method": "nothing"},
        {"id": 1, "method": "subscription.subscribe", "params": {}},
        {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["nothing"]}},
        {"id": 1, "method": "subscription.unsubscribe", "params": {"subscription_id": "x"}},
    ):
        await client.socket(path, [frame], lambda frames: True)


@scenario
async def filtered(client: Client) -> None:
    thread = await client.thread()
    await _start(client, thread, "grandparent", {"value": 1})
    await client.until(f"/threads/{thread}", lambda found: found["status"] == "interrupted")
    path = f"/threads/{thread}/stream/events"
    for body in (
        {"channels": ["values", "lifecycle"], "depth": 0},
        {"channels": ["values", "lifecycle"], "namespaces": [[]], "depth": 1},
    ):
        await client.stream(path, body, until=root_ended)
