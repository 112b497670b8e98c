"""Interrupts, their answers, and breakpoints."""

from __future__ import annotations

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

MODES = ("values", "updates", "tasks", "debug", "checkpoints", "custom", "events", "messages-tuple")


def _add_stream(mode: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        body = {"assistant_id": "interrupts", "input": {"value": 1}, "stream_mode": mode}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.stream(f"/threads/{thread}/runs/stream", {**body, "input": None, "command": {"resume": "yes"}})

    register("interrupts", f"stream_{mode}", requests)


for _mode in MODES:
    _add_stream(_mode)


@scenario
async def interrupt_and_answer(client: Client) -> None:
    thread = await client.create_thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "interrupts", "input": {"value": 1}})
    await client.wait_ended(thread, run["run_id"])
    await client.get(f"/threads/{thread}/runs/{run['run_id']}")
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)
    await client.run_and_wait(thread, "interrupts", command={"resume": {"type": "approve"}})
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)
    await client.get_history(thread)


@scenario
async def two_interrupts(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "interrupts_twice", {})
    state = await client.get_state(thread)
    await client.get(f"/threads/{thread}")
    await client.run_and_wait(thread, "interrupts_twice", command={"resume": "both"})
    ids = {interrupt["value"]: interrupt["id"] for interrupt in state["interrupts"]}
    await client.run_and_wait(thread, "interrupts_twice", command={"resume": {ids["left?"]: "L"}})
    await client.get_state(thread)
    await client.run_and_wait(thread, "interrupts_twice", command={"resume": {ids["right?"]: "R"}})
    await client.get_state(thread)


@scenario
async def answers_without_interrupt(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", command={"resume": "no interrupt"})
    await client.run_and_wait(thread, "interrupts", {"value": 1})
    await client.run_and_wait(thread, "interrupts", command={"resume": {"0" * 32: "unknown"}})
    await client.run_and_wait(thread, "interrupts", command={"resume": {"0" * 32: "unknown"}}, strict_resume=True)
    await client.get_state(thread)
    await client.run_and_wait(thread, "interrupts", {"value": 5})
    await client.get_state(thread)
    await client.run_and_wait(thread, "interrupts", command={"resume": "late", "update": {"value": 9}, "goto": "third"})
    await client.get_state(thread)
    await client.post("/runs/wait", {"assistant_id": "interrupts", "command": {"resume": 1}})


@scenario
async def interrupts_in_a_loop(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "interrupts_in_a_loop", {"value": 0})
    for answer in range(4):
        await client.run_and_wait(thread, "interrupts_in_a_loop", command={"resume": answer})
    await client.get_history(thread)


@scenario
async def breakpoints(client: Client) -> None:
    modes = ["values", "updates", "debug", "tasks"]
    for breakpoints_ in ({"interrupt_before": ["second"]}, {"interrupt_after": ["second"]}, {"interrupt_before": "*"}):
        thread = await client.create_thread()
        body = {"assistant_id": "steps", "input": {"value": 1}, "stream_mode": modes, **breakpoints_}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.get_state(thread)
        await client.get(f"/threads/{thread}")
        await client.run_and_wait(thread, "steps", None)
        await client.get(f"/threads/{thread}")


@scenario
async def compiled_breakpoints(client: Client) -> None:
    for graph in ("breakpoint_after_last", "breakpoint_before_second"):
        thread = await client.create_thread()
        run = await client.post(f"/threads/{thread}/runs", {"assistant_id": graph, "input": {"value": 1}})
        await client.wait_ended(thread, run["run_id"])
        await client.get(f"/threads/{thread}/runs/{run['run_id']}")
        await client.get(f"/threads/{thread}")
        await client.get_state(thread)
        await client.run_and_wait(thread, graph, None)
        await client.get(f"/threads/{thread}")
        await client.run_and_wait(thread, graph, {"value": 1}, interrupt_before=[], interrupt_after=[])
        await client.get(f"/threads/{thread}")


@scenario
async def breakpoint_after_last_node(client: Client) -> None:
    thread = await client.create_thread()
    body = {"assistant_id": "steps", "input": {"value": 1}, "interrupt_after": ["third"], "stream_mode": "updates"}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)


@scenario
async def breakpoint_at_unknown_node(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {}, interrupt_before=["nowhere"])
    await client.run_and_wait(thread, "steps", {}, interrupt_after="third")


@scenario
async def interrupt_in_tool(client: Client) -> None:
    thread = await client.create_thread()
    run_input = {"messages": [{"role": "user", "content": "person please", "id": "in-1"}]}
    body = {"assistant_id": "agent", "input": run_input, "stream_mode": ["values", "updates"]}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.get_state(thread)
    await client.run_and_wait(thread, "agent", command={"resume": "yes"})
    await client.get(f"/threads/{thread}")


@scenario
async def functional_api(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "functional", [1, 2])
    await client.get_state(thread)
    await client.run_and_wait(thread, "functional", command={"resume": "yes"})
    await client.get_state(thread)
    await client.get_history(thread)
    thread = await client.create_thread()
    await client.run_and_wait(thread, "functional_plain", [1, 2])
    await client.run_and_wait(thread, "functional_plain", [3])
    modes = ["values", "updates", "tasks"]
    body = {"assistant_id": "functional_plain", "input": [4], "stream_mode": modes}
    await client.stream(f"/threads/{thread}/runs/stream", body)
    await client.get_state(thread)
