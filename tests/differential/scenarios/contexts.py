"""Context and configurable of runs, for each kind of context schema and for factories."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

SCHEMAS = ("none", "dataclass", "required_dataclass", "model", "required_model", "typed")
BODIES: dict[str, dict[str, Any]] = {
    "absent": {},
    "empty": {"context": {}},
    "valid": {"context": {"model": "large"}},
    "unknown_field": {"context": {"other": 1}},
    "configurable": {"config": {"configurable": {"model": "large", "other": 1}}},
    "wrong_type": {"context": {"model": 7, "size": "many"}},
    "both": {"context": {"model": "large"}, "config": {"configurable": {"model": "small"}}},
}


def _add_context(schema: str, body: str) -> None:
    async def requests(client: Client) -> None:
        thread = await client.create_thread()
        await client.run_and_wait(thread, f"context_{schema}", {}, **BODIES[body])
        run = await client.post(
            f"/threads/{thread}/runs", {"assistant_id": f"context_{schema}", "input": {}, **BODIES[body]}
        )
        if "run_id" in run:
            await client.wait_ended(thread, run["run_id"])
            await client.get(f"/threads/{thread}/runs/{run['run_id']}")
        await client.get(f"/threads/{thread}")

    register("contexts", f"{schema}_{body}", requests)


for _schema in SCHEMAS:
    for _body in BODIES:
        _add_context(_schema, _body)


@scenario
async def null_context(client: Client) -> None:
    thread = await client.create_thread()
    await client.run_and_wait(thread, "context_dataclass", {}, context=None)


@scenario
async def assistant_context(client: Client) -> None:
    for defaults in ({"context": {"model": "mine"}}, {"config": {"configurable": {"model": "mine"}}}):
        for schema in ("none", "dataclass", "typed"):
            assistant = await client.post("/assistants", {"graph_id": f"context_{schema}", **defaults})
            for body in ({}, {"context": {"size": 3}}, {"config": {"configurable": {"size": 3}}}):
                thread = await client.create_thread()
                await client.run_and_wait(thread, assistant["assistant_id"], {}, **body)


@scenario
async def default_from_environment(client: Client) -> None:
    """`servers.py` sets `LANGGRAPH_CONFIG` with a default config for this graph."""
    assistants = await client.post("/assistants/search", {"graph_id": "config_from_environment"})
    await client.get(f"/assistants/{assistants[0]['assistant_id']}")
    thread = await client.create_thread()
    await client.run_and_wait(thread, "config_from_environment", {})
    await client.run_and_wait(thread, "config_from_environment", {}, config={"configurable": {"mine": 2}})
    await client.get(f"/threads/{thread}")


@scenario
async def factory_by_config(client: Client) -> None:
    config = {"configurable": {"nodes": ["one", "two"], "interrupts": True}}
    assistant = await client.post("/assistants", {"graph_id": "by_config", "config": config})
    thread = await client.create_thread()
    await client.run_and_wait(thread, assistant["assistant_id"], {})
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)
    await client.get_history(thread)
    await client.post(f"/threads/{thread}/state", {"values": {"log": ["written"]}, "as_node": "one"})
    await client.get_state(thread)
    await client.run_and_wait(thread, assistant["assistant_id"], command={"resume": "r"})
    await client.get_state(thread)
    await client.get(f"/assistants/{assistant['assistant_id']}/graph")
    await client.get(f"/assistants/{assistant['assistant_id']}/schemas")
    thread = await client.create_thread()
    await client.run_and_wait(thread, "by_config", {}, config=config)
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)
    await client.get_history(thread)


@scenario
async def other_factories(client: Client) -> None:
    for graph in ("by_runtime", "by_context_manager", "uncompiled"):
        thread = await client.create_thread()
        await client.run_and_wait(thread, graph, {})
        await client.get_state(thread)
        await client.post(f"/threads/{thread}/state", {"values": {"log": ["written"]}})
        await client.get_history(thread)
        assistants = await client.post("/assistants/search", {"graph_id": graph}, record=False)
        await client.get(f"/assistants/{assistants[0]['assistant_id']}/graph")


@scenario
async def config_of_earlier_run(client: Client) -> None:
    thread = await client.create_thread()
    config = {"configurable": {"key": "one"}, "tags": ["t"], "recursion_limit": 9}
    await client.run_and_wait(thread, "observed_config", {}, config=config)
    await client.get(f"/threads/{thread}")
    await client.run_and_wait(thread, "observed_config", {})
    await client.run_and_wait(thread, "observed_config", {}, context={"key": "two"})
    await client.get(f"/threads/{thread}")


@scenario
async def reserved_keys(client: Client) -> None:
    thread = await client.create_thread(metadata={"thread_id": "mine", "run_id": "mine", "own": 1})
    configurable = {"langgraph_auth_user": "me", "__pregel_x": 1, "thread_id": "other", "run_id": "other", "own": 1}
    config = {"configurable": configurable}
    await client.run_and_wait(thread, "observed_config", {}, config=config, metadata={"run_id": "x", "own": 2})
    await client.get(f"/threads/{thread}")
    await client.get(f"/threads/{thread}/runs")
