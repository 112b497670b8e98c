"""States, history, forks, and writing states."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario


@scenario
async def never_ran(client: Client) -> None:
    thread = await client.thread()
    await client.state(thread)
    await client.history(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}})
    unknown = "0192f3a0-0000-7000-8000-000000000002"
    await client.get(f"/threads/{unknown}/state")
    await client.post(f"/threads/{unknown}/history", {})
    await client.post(f"/threads/{unknown}/state", {"values": {}})
    await client.get("/threads/no-uuid/state")


@scenario
async def at_checkpoints(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1})
    past = await client.history(thread)
    second = past[2]["checkpoint"]
    await client.get(f"/threads/{thread}/state/{second['checkpoint_id']}")
    await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": second})
    await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": {"checkpoint_id": second["checkpoint_id"]}})
    await client.get(f"/threads/{thread}/state/1ef00000-0000-6000-8000-000000000000")
    await client.get(f"/threads/{thread}/state/no-uuid")
    await client.history(thread, limit=2)
    await client.history(thread, before=second["checkpoint_id"])
    await client.history(thread, metadata={"source": "input"})
    await client.get(f"/threads/{thread}/history", params={"limit": 3})
    await client.get(f"/threads/{thread}/history")
    await client.post(f"/threads/{thread}/history", {"limit": 0})
    await client.post(f"/threads/{thread}/history", {"limit": 1001})


@scenario
async def written(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1})
    await client.post(f"/threads/{thread}/state", {"values": {"value": 100}, "as_node": "first"})
    await client.state(thread)
    await client.get(f"/threads/{thread}")
    await client.run(thread, "steps", None)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 5}})
    await client.post(f"/threads/{thread}/state", {"values": None, "as_node": "__end__"})
    await client.state(thread)
    await client.post(f"/threads/{thread}/state", {"values": None, "as_node": "__copy__"})
    await client.state(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}, "as_node": "nowhere"})
    await client.post(f"/threads/{thread}/state", {"values": {"unknown": 1}, "as_node": "first"})
    await client.post(f"/threads/{thread}/state", {"values": "text", "as_node": "first"})
    await client.post(f"/threads/{thread}/state", {})
    await client.history(thread)


@scenario
async def written_in_pairs(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1}, record=False)
    await client.post(f"/threads/{thread}/state", {"values": [{"value": 4}, {"log": ["twice"]}], "as_node": "second"})
    await client.post(f"/threads/{thread}/state", {"values": [["value", 3]], "as_node": "second"})


@scenario
async def forked(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "steps", {"value": 1})
    past = await client.history(thread, record=False)
    at = past[2]["checkpoint"]
    await client.run(thread, "steps", None, checkpoint_id=at["checkpoint_id"])
    await client.state(thread)
    await client.run(thread, "steps", {"value": 50}, checkpoint={"checkpoint_id": at["checkpoint_id"]})
    await client.state(thread)
    await client.post(
        f"/threads/{thread}/state",
        {"values": {"value": 7}, "as_node": "first", "checkpoint_id": past[3]["checkpoint"]["checkpoint_id"]},
    )
    await client.state(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"value": 8}, "checkpoint": past[1]["checkpoint"]})
    await client.run(thread, "steps", None)
    await client.history(thread)
    body = {"assistant_id": "steps", "input": None, "stream_mode": ["values", "checkpoints", "debug"]}
    await client.stream(f"/threads/{thread}/runs/stream", {**body, "checkpoint": past[2]["checkpoint"]})
    await client.run(thread, "steps", None, checkpoint_id="1ef00000-0000-6000-8000-000000000000")
    await client.run(thread, "steps", None, checkpoint_id="no-uuid")


def _nested_state(graph: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        await client.run(thread, graph, {"value": 1})
        await client.state(thread)
        state = await client.state(thread, subgraphs=True)
        await client.history(thread)
        await client.get(f"/threads/{thread}")
        for task in state["tasks"]:
            if task["checkpoint"] or task["state"]:
                inside = task["checkpoint"] or task["state"]["checkpoint"]
                await client.post(f"/threads/{thread}/state/checkpoint", {"checkpoint": inside, "subgraphs": True})
                await client.history(thread, checkpoint=inside)
                await client.history(thread, checkpoint={"checkpoint_ns": inside["checkpoint_ns"]})
        await client.run(thread, graph, command={"resume": "yes"})
        await client.state(thread, subgraphs=True)
        await client.history(thread)

    add("states", f"of_{graph}", play)


for _graph in ("parent", "parent_asks", "grandparent", "parent_lasting", "parent_fails", "asks"):
    _nested_state(_graph)


@scenario
async def of_a_subgraph_by_breakpoint(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "parent", {"value": 1}, interrupt_before=["inner_work"])
    state = await client.state(thread, subgraphs=True)
    await client.history(thread)
    inside = state["tasks"][0]["checkpoint"] or state["tasks"][0]["state"]["checkpoint"]
    await client.post(
        f"/threads/{thread}/state", {"values": {"value": 9}, "checkpoint": inside, "as_node": "inner_work"}
    )
    await client.state(thread, subgraphs=True)
    await client.run(thread, "parent", None)
    await client.history(thread)


@scenario
async def imported(client: Client) -> None:
    steps = [
        {"updates": [{"values": {"value": 1}, "as_node": "__input__"}]},
        {"updates": [{"values": {"value": 2, "log": ["first"]}, "as_node": "first"}]},
    ]
    made = await client.post("/threads", {"supersteps": steps, "metadata": {"graph_id": "steps"}})
    await client.state(made["thread_id"])
    await client.history(made["thread_id"])
    await client.run(made["thread_id"], "steps", None)
    await client.post("/threads", {"supersteps": steps})


@scenario
async def while_running(client: Client) -> None:
    thread = await client.thread()
    run = await client.post(f"/threads/{thread}/runs", {"assistant_id": "slow", "input": {"value": 10}}, record=False)
    await client.running(thread, run["run_id"])
    await client.post(f"/threads/{thread}/state", {"values": {"value": 1}, "as_node": "slow_step"})
    await client.get(f"/threads/{thread}")
    await client.ended(thread, run["run_id"])


def _of_classes(name: str, graph: str, given: dict[str, Any]) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        modes = ["values", "updates", "tasks", "debug"]
        await client.stream(
            f"/threads/{thread}/runs/stream", {"assistant_id": graph, "input": given, "stream_mode": modes}
        )
        await client.state(thread)
        await client.get(f"/threads/{thread}")
        await client.run(thread, graph, {"name": "Bob"} if graph.startswith("state") else given)
        await client.history(thread)

    add("states", f"of_{name}", play)


_of_classes("loose", "loose", {})
_of_classes("loose_asks", "loose_asks", {})
_of_classes("loose_sends", "loose_sends", {})
_of_classes("state_model", "state_model", {"name": "Ada"})
_of_classes("state_model_refused", "state_model", {"name": 7})
_of_classes("state_dataclass", "state_dataclass", {"name": "Ada"})
_of_classes("in_and_out", "in_and_out", {"question": "why"})


def _agent(graph: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        given = {"messages": [{"role": "user", "content": "Ada", "id": "in-1"}]}
        body = {"assistant_id": graph, "input": given, "stream_mode": ["values", "updates"]}
        await client.stream(f"/threads/{thread}/runs/stream", body)
        await client.state(thread)
        await client.run(thread, graph, {"messages": [{"role": "user", "content": "again", "id": "in-2"}]})
        await client.history(thread)

    add("states", f"of_{graph}", play)


for _graph in (
    "person",
    "person_auto",
    "person_provider",
    "person_dataclass",
    "person_typed",
    "person_schema",
    "artifact",
):
    _agent(f"agent_{_graph}")
