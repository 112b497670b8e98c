"""States of threads: read, history, forks, and writes."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario


@scenario
async def thread_without_run(client: Client) -> None:
    thread = await client.create_thread()
    await client.get_state(thread)
    await client.get_history(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}})
    unknown = "0192f3a0-0000-7000-8000-000000000002"
    await client.get(f"/threads/{unknown}/state")
    await client.post(f"/threads/{unknown}/history", {})
    await client.post(f"/threads/{unknown}/state", {"values": {}})
    await client.get("/threads/no-uuid/state")


@scenario
async def by_checkpoint(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1})
    history = await client.get_history(thread)
    second = history[2]["checkpoint"]
    await client.get(f"/threads/{thread}/state/{second['checkpoint_id']}")
    await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": second})
    await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": second["checkpoint_id"]}})
    await client.get(f"/threads/{thread}/state/1ef00000-0000-6000-8000-000000000000")
    await client.get(f"/threads/{thread}/state/no-uuid")
    await client.get_history(thread, limit=2)
    await client.get_history(thread, before=second["checkpoint_id"])
    await client.get_history(thread, metadata={"source": "input"})
    await client.get(f"/threads/{thread}/history", params={"limit": 3})
    await client.get(f"/threads/{thread}/history")
    await client.post(f"/threads/{thread}/history", {"limit": 0})
    await client.post(f"/threads/{thread}/history", {"limit": 1001})


@scenario
async def write(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1})
    await client.post(f"/threads/{thread}/state", {"values": {"value": 100}, "as_node": "first"})
    await client.get_state(thread)
    await client.get(f"/threads/{thread}")
    await client.run_and_wait(thread, "steps", None)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 5}})
    await client.post(f"/threads/{thread}/state", {"values": None, "as_node": "__end__"})
    await client.get_state(thread)
    await client.post(f"/threads/{thread}/state", {"values": None, "as_node": "__copy__"})
    await client.get_state(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}, "as_node": "nowhere"})
    await client.post(f"/threads/{thread}/state", {"values": {"unknown": 1}, "as_node": "first"})
    await client.post(f"/threads/{thread}/state", {"values": "text", "as_node": "first"})
    await client.post(f"/threads/{thread}/state", {})
    await client.get_history(thread)


@scenario
async def write_pairs(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1}, record=False)
    await client.post(f"/threads/{thread}/state", {"values": [{"value": 4}, {"log": ["twice"]}], "as_node": "second"})
    await client.post(f"/threads/{thread}/state", {"values": [["value", 3]], "as_node": "second"})


@scenario
async def fork(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "steps", {"value": 1})
    history = await client.get_history(thread, record=False)
    third_last = history[2]["checkpoint"]
    await client.run_and_wait(thread, "steps", None, checkpoint_id=third_last["checkpoint_id"])
    await client.get_state(thread)
    await client.run_and_wait(thread, "steps", {"value": 50}, checkpoint={"checkpoint_id": third_last["checkpoint_id"]})
    await client.get_state(thread)
    await client.post(
        f"/threads/{thread}/state",
        {"values": {"value": 7}, "as_node": "first", "checkpoint_id": history[3]["checkpoint"]["checkpoint_id"]},
    )
    await client.get_state(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 8}, "checkpoint": history[1]["checkpoint"]})
    await client.run_and_wait(thread, "steps", None)
    await client.get_history(thread)
    body = {"assistant_id": "steps", "input": None, "stream_mode": ["values", "checkpoints", "debug"]}
    await client.stream(f"/threads/{thread}/runs/stream", {**body, "checkpoint": history[2]["checkpoint"]})
    await client.run_and_wait(thread, "steps", None, checkpoint_id="1ef00000-0000-6000-8000-000000000000")
    await client.run_and_wait(thread, "steps", None, checkpoint_id="no-uuid")


def _add_nested_state(graph: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await client.run_and_wait(thread, graph, {"value": 1})
        await client.get_state(thread)
        state = await client.get_state(thread, subgraphs=True)
        await client.get_history(thread)
        await client.get(f"/threads/{thread}")
        for task in state["tasks"]:
            if task["checkpoint"] or task["state"]:
                inside = task["checkpoint"] or task["state"]["checkpoint"]
                await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": inside, "subgraphs": True})
                await client.get_history(thread, checkpoint=inside)
                await client.get_history(thread, checkpoint={"checkpoint_ns": inside["checkpoint_ns"]})
        await client.run_and_wait(thread, graph, command={"resume": "yes"})
        await client.get_state(thread, subgraphs=True)
        await client.get_history(thread)

    register("states", f"nested_{graph}", requests)


for _graph in ("parent", "parent_interrupts", "grandparent", "parent_persistent", "parent_fails", "interrupts"):
    _add_nested_state(_graph)


@scenario
async def subgraph_breakpoint(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "parent", {"value": 1}, interrupt_before=["inner_work"])
    state = await client.get_state(thread, subgraphs=True)
    await client.get_history(thread)
    inside = state["tasks"][0]["checkpoint"] or state["tasks"][0]["state"]["checkpoint"]
    await client.post(
        f"/threads/{thread}/state", {"values": {"value": 9}, "checkpoint": inside, "as_node": "inner_work"}
    )
    await client.get_state(thread, subgraphs=True)
    await client.run_and_wait(thread, "parent", None)
    await client.get_history(thread)


@scenario
async def import_history(client: Client) -> None:
    steps = [
        {"updates": [{"values": {"value": 1}, "as_node": "__input__"}]},
        {"updates": [{"values": {"value": 2, "log": ["first"]}, "as_node": "first"}]},
    ]
    thread = await client.post("/threads", {"supersteps": steps, "metadata": {"graph_id": "steps"}})
    await client.get_state(thread["thread_id"])
    await client.get_history(thread["thread_id"])
    await client.run_and_wait(thread["thread_id"], "steps", None)
    await client.post("/threads", {"supersteps": steps})


@scenario
async def write_while_running(client: Client) -> None:
    thread = await client.create_thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "slow", "input": {"value": 10}}, record=False)
    await client.wait_running(thread, run["run_id"])
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}, "as_node": "slow_step"})
    await client.get(f"/threads/{thread}")
    await client.wait_ended(thread, run["run_id"])


def _add_typed_state(name: str, graph: str, run_input: dict[str, Any]) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        modes = ["values", "updates", "tasks", "debug"]
        await client.stream(
            f"/threads/{thread}/runs/stream", {"assistant_id": graph, "input": run_input, "stream_mode": modes}
        )
        await client.get_state(thread)
        await client.get(f"/threads/{thread}")
        await client.run_and_wait(thread, graph, {"name": "Bob"} if graph.startswith("state") else run_input)
        await client.get_history(thread)

    register("states", f"typed_{name}", requests)


_add_typed_state("untyped", "untyped", {})
_add_typed_state("untyped_interrupt", "untyped_interrupt", {})
_add_typed_state("untyped_send", "untyped_send", {})
_add_typed_state("state_model", "state_model", {"name": "Ada"})
_add_typed_state("state_model_rejected", "state_model", {"name": 7})
_add_typed_state("state_dataclass", "state_dataclass", {"name": "Ada"})
_add_typed_state("in_and_out", "in_and_out", {"question": "why"})


def _add_agent(graph: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        run_input = {"messages": [{"role": "user", "content": "Ada", "id": "in-1"}]}
        body = {"assistant_id": graph, "input": run_input, "stream_mode": ["values", "updates"]}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.get_state(thread)
        await client.run_and_wait(thread, graph, {"messages": [{"role": "user", "content": "again", "id": "in-2"}]})
        await client.get_history(thread)

    register("states", graph, requests)


for _graph in (
    "person",
    "person_auto",
    "person_provider",
    "person_dataclass",
    "person_typed",
    "person_schema",
    "artifact",
):
    _add_agent(f"agent_{_graph}")
