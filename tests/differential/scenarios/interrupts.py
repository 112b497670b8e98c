"""Questions, answers, and breakpoints."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario

MODES = ("values", "updates", "tasks", "debug", "checkpoints", "custom", "events", "messages-tuple")


def _in_mode(mode: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        body = {"assistant_id": "asks", "input": {"value": 1}, "stream_mode": mode}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.stream(f"/threads/{thread}/runs/stream", {**body, "input": None, "command": {"resume": "yes"}})

    add("interrupts", f"in_{mode}", play)


for _mode in MODES:
    _in_mode(_mode)


@scenario
async def asked_and_answered(client: Client) -> None:
    thread = await client.thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "asks", "input": {"value": 1}})
    await client.ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}")
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    await client.get(f"/threads/{thread}")
    await client.state(thread)
    await client.run(thread, "asks", command={"resume": {"type": "approve"}})
    await client.get(f"/threads/{thread}")
    await client.state(thread)
    await client.history(thread)


@scenario
async def two_at_once(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "asks_twice", {})
    state = await client.state(thread)
    await client.get(f"/threads/{thread}")
    await client.run(thread, "asks_twice", command={"resume": "both"})
    ids = {found["value"]: found["id"] for found in state["interrupts"]}
    await client.run(thread, "asks_twice", command={"resume": {ids["left?"]: "L"}})
    await client.state(thread)
    await client.run(thread, "asks_twice", command={"resume": {ids["right?"]: "R"}})
    await client.state(thread)


@scenario
async def answers_to_nobody(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", command={"resume": "nothing asked"})
    await client.run(thread, "asks", {"value": 1})
    await client.run(thread, "asks", command={"resume": {"0" * 32: "unknown"}})
    await client.run(thread, "asks", command={"resume": {"0" * 32: "unknown"}}, strict_resume=True)
    await client.state(thread)
    await client.run(thread, "asks", {"value": 5})
    await client.state(thread)
    await client.run(thread, "asks", command={"resume": "late", "update": {"value": 9}, "goto": "third"})
    await client.state(thread)
    await client.post("/runs/wait", {"assistant_id": "asks", "command": {"resume": 1}})


@scenario
async def asked_again_and_again(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "asks_in_a_loop", {"value": 0})
    for answer in range(4):
        await client.run(thread, "asks_in_a_loop", command={"resume": answer})
    await client.history(thread)


@scenario
async def breakpoints(client: Client) -> None:
    modes = ["values", "updates", "debug", "tasks"]
    for where in ({"interrupt_before": ["second"]}, {"interrupt_after": ["second"]}, {"interrupt_before": "*"}):
        thread = await client.thread()
        body = {"assistant_id": "steps", "input": {"value": 1}, "stream_mode": modes, **where}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.state(thread)
        await client.get(f"/threads/{thread}")
        await client.run(thread, "steps", None)
        await client.get(f"/threads/{thread}")


@scenario
async def breakpoints_compiled_in(client: Client) -> None:
    for graph in ("stops_after_last", "stops_before_second"):
        thread = await client.thread()
        run = await client.post(f"/threads/{thread}/runs", {"assistant_id": graph, "input": {"value": 1}})
        await client.ended(thread, run["run_id"])
        await client.get(f"/threads/{thread}/runs/{run['run_id']}")
        await client.get(f"/threads/{thread}")
        await client.state(thread)
        await client.run(thread, graph, None)
        await client.get(f"/threads/{thread}")
        await client.run(thread, graph, {"value": 1}, interrupt_before=[], interrupt_after=[])
        await client.get(f"/threads/{thread}")


@scenario
async def after_the_last_node(client: Client) -> None:
    thread = await client.thread()
    body = {"assistant_id": "steps", "input": {"value": 1}, "interrupt_after": ["third"], "stream_mode": "updates"}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.get(f"/threads/{thread}")
    await client.state(thread)


@scenario
async def unknown_nodes(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {}, interrupt_before=["nowhere"])
    await client.run(thread, "steps", {}, interrupt_after="third")


@scenario
async def by_tools(client: Client) -> None:
    thread = await client.thread()
    given = {"messages": [{"role": "user", "content": "person please", "id": "in-1"}]}
    body = {"assistant_id": "agent", "input": given, "stream_mode": ["values", "updates"]}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.state(thread)
    await client.run(thread, "agent", command={"resume": "they do"})
    await client.get(f"/threads/{thread}")


@scenario
async def functional(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "functional", [1, 2])
    await client.state(thread)
    await client.run(thread, "functional", command={"resume": "yes"})
    await client.state(thread)
    await client.history(thread)
    thread = await client.thread()
    await client.run(thread, "functional_plain", [1, 2])
    await client.run(thread, "functional_plain", [3])
    modes = ["values", "updates", "tasks"]
    body = {"assistant_id": "functional_plain", "input": [4], "stream_mode": modes}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.state(thread)
