"""Context and configurable, by kind of schema."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import add, scenario

SCHEMAS = ("none", "dataclass", "needs_dataclass", "model", "needs_model", "typed")
BODIES: dict[str, dict[str, Any]] = {
    "absent": {},
    "empty": {"context": {}},
    "known": {"context": {"model": "large"}},
    "unknown": {"context": {"other": 1}},
    "configurable": {"config": {"configurable": {"model": "large", "other": 1}}},
    "wrong_type": {"context": {"model": 7, "size": "many"}},
    "both": {"context": {"model": "large"}, "config": {"configurable": {"model": "small"}}},
}


def _one(schema: str, body: str) -> None:
    async def play(client: Client) -> None:
        thread = await client.thread()
        await client.run(thread, f"context_{schema}", {}, **BODIES[body])
        run = await client.post(
            f"/threads/{thread}/runs", {"assistant_id": f"context_{schema}", "input": {}, **BODIES[body]}
        )
        if "run_id" in run:
            await client.ended(thread, run["run_id"])
            await client.get(f"/threads/{thread}/runs/{run['run_id']}")
        await client.get(f"/threads/{thread}")

    add("contexts", f"{schema}_{body}", play)


for _schema in SCHEMAS:
    for _body in BODIES:
        _one(_schema, _body)


@scenario
async def null(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "context_dataclass", {}, context=None)


@scenario
async def of_assistants(client: Client) -> None:
    for given in ({"context": {"model": "mine"}}, {"config": {"configurable": {"model": "mine"}}}):
        for schema in ("none", "dataclass", "typed"):
            made = await client.post("/assistants", {"graph_id": f"context_{schema}", **given})
            for body in ({}, {"context": {"size": 3}}, {"config": {"configurable": {"size": 3}}}):
                thread = await client.thread()
                await client.run(thread, made["assistant_id"], {}, **body)


@scenario
async def by_environment(client: Client) -> None:
    """`LANGGRAPH_CONFIG` has a default config for this graph; see `servers.py`."""
    found = await client.post("/assistants/search", {"graph_id": "looks_by_environment"})
    await client.get(f"/assistants/{found[0]['assistant_id']}")
    thread = await client.thread()
    await client.run(thread, "looks_by_environment", {})
    await client.run(thread, "looks_by_environment", {}, config={"configurable": {"mine": 2}})
    await client.get(f"/threads/{thread}")


@scenario
async def of_factories(client: Client) -> None:
    config = {"configurable": {"nodes": ["one", "two"], "asks": True}}
    made = await client.post("/assistants", {"graph_id": "by_config", "config": config})
    thread = await client.thread()
    await client.run(thread, made["assistant_id"], {})
    await client.get(f"/threads/{thread}")
    await client.state(thread)
    await client.history(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"log": ["written"]}, "as_node": "one"})
    await client.state(thread)
    await client.run(thread, made["assistant_id"], command={"resume": "r"})
    await client.state(thread)
    await client.get(f"/assistants/{made['assistant_id']}/graph")
    await client.get(f"/assistants/{made['assistant_id']}/schemas")
    thread = await client.thread()
    await client.run(thread, "by_config", {}, config=config)
    await client.get(f"/threads/{thread}")
    await client.state(thread)
    await client.history(thread)


@scenario
async def of_factories_by_runtime(client: Client) -> None:
    for graph in ("by_runtime", "by_context_manager", "builder"):
        thread = await client.thread()
        await client.run(thread, graph, {})
        await client.state(thread)
        await client.post(f"/threads/{thread}/state", {"values": {"log": ["written"]}})
        await client.history(thread)
        assistant = (await client.post("/assistants/search", {"graph_id": graph}, record=False))[0]["assistant_id"]
        await client.get(f"/assistants/{assistant}/graph")


@scenario
async def stick_to_the_thread(client: Client) -> None:
    thread = await client.thread()
    await client.run(thread, "looks", {}, config={"configurable": {"key": "one"}, "tags": ["t"], "recursion_limit": 9})
    await client.get(f"/threads/{thread}")
    await client.run(thread, "looks", {})
    await client.run(thread, "looks", {}, context={"key": "two"})
    await client.get(f"/threads/{thread}")


@scenario
async def reserved_keys(client: Client) -> None:
    thread = await client.thread(metadata={"thread_id": "mine", "run_id": "mine", "kept": 1})
    configurable = {"langgraph_auth_user": "me", "__pregel_x": 1, "thread_id": "other", "run_id": "other", "kept": 1}
    await client.run(thread, "looks", {}, config={"configurable": configurable}, metadata={"run_id": "x", "kept": 2})
    await client.get(f"/threads/{thread}")
    await client.get(f"/threads/{thread}/runs")
