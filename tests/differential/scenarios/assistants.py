"""Assistants: create, change, delete, versions, drawings and schemas."""

from __future__ import annotations

import uuid

from tests.differential.recording import Client
from tests.differential.scenarios import register, scenario

GRAPHS = (
    *("steps", "interrupts", "chat", "agent", "parent", "grandparent", "context_dataclass", "context_required_model"),
    *("context_typed", "state_model", "in_and_out", "functional", "by_config", "goto", "untyped"),
)


def _add_description(graph: str) -> None:
    async def requests(client: Client) -> None:
        assistants = await client.post("/assistants/search", {"graph_id": graph})
        path = f"/assistants/{assistants[0]['assistant_id']}"
        await client.get(path)
        for xray in ({}, {"xray": "true"}, {"xray": "1"}):
            await client.get(f"{path}/graph", params=xray)
        await client.get(f"{path}/schemas")
        for recurse in ({}, {"recurse": "true"}):
            await client.get(f"{path}/subgraphs", params=recurse)
        await client.get(f"{path}/subgraphs/child")

    register("assistants", f"description_{graph}", requests)


for _graph in GRAPHS:
    _add_description(_graph)


@scenario
async def lifecycle(client: Client) -> None:
    assistant = await client.post(
        "/assistants",
        {
            "graph_id": "steps",
            "name": "Mine",
            "description": "A description",
            "config": {"configurable": {"a": 1}, "tags": ["t"], "recursion_limit": 40},
            "metadata": {"m": 1},
        },
    )
    path = f"/assistants/{assistant['assistant_id']}"
    await client.get(path)
    await client.patch(path, {"name": "Other", "metadata": {"n": 2}})
    await client.patch(path, {"context": {"b": 2}})
    await client.patch(path, {"graph_id": "interrupts", "config": {}})
    await client.post(f"{path}/versions", {})
    await client.post(f"{path}/versions", {"limit": 1, "offset": 1})
    await client.post(f"{path}/latest", {"version": 1})
    await client.post(f"{path}/latest", {"version": 99})
    await client.post(f"{path}/latest", {})
    await client.get(path)
    thread = await client.create_thread()
    await client.run_and_wait(thread, assistant["assistant_id"], {"value": 1})
    await client.delete(path)
    await client.get(path)
    await client.delete(path)
    await client.get(f"/threads/{thread}")
    await client.get_state(thread)


@scenario
async def create_twice(client: Client) -> None:
    assistant_id = str(uuid.uuid4())
    body = {"graph_id": "steps", "assistant_id": assistant_id}
    await client.post("/assistants", body)
    await client.post("/assistants", body)
    await client.post("/assistants", {**body, "if_exists": "do_nothing", "name": "Ignored"})
    await client.post("/assistants", {"graph_id": "nowhere"})
    await client.post("/assistants", {"graph_id": "steps", "assistant_id": "no-uuid"})
    await client.post("/assistants", {})
    await client.post("/assistants", {"graph_id": "steps", "config": {"configurable": {"a": 1}}, "context": {"a": 1}})


@scenario
async def search(client: Client) -> None:
    mark = {"mark": f"search-{client.server_name}"}
    for name in ("Alpha", "Beta", "Gamma"):
        await client.post("/assistants", {"graph_id": "steps", "name": name, "metadata": mark}, record=False)
    for body in (
        {},
        {"limit": 2},
        {"limit": 2, "offset": 2},
        {"name": "eta"},
        {"sort_by": "name", "sort_order": "asc"},
        {"select": ["name", "graph_id"]},
        {"select": ["nothing"]},
        {"sort_by": "nothing"},
        {"limit": 0},
        {"limit": 1001},
        {"graph_id": "nowhere"},
    ):
        found = await client.post("/assistants/search", {"metadata": mark, **body}, record=False)
        for assistant in found if isinstance(found, list) else []:
            assistant.get("metadata", {}).pop("mark", None)
        client.record(f"search {body}", found)
    await client.post("/assistants/count", {"metadata": mark})


@scenario
async def unknown_ids(client: Client) -> None:
    unknown = "3e1a4b8e-0000-4000-8000-00000000000a"
    for path in ("", "/graph", "/schemas", "/subgraphs"):
        await client.get(f"/assistants/{unknown}{path}")
    await client.patch(f"/assistants/{unknown}", {"name": "x"})
    await client.post(f"/assistants/{unknown}/versions", {})
    await client.post("/runs/wait", {"assistant_id": unknown, "input": {}})
    thread = await client.create_thread()
    for name in (unknown, "nowhere", "", 7, None, "not a-name"):
        await client.post(f"/threads/{thread}/runs", {"assistant_id": name, "input": {}})
    await client.post(f"/threads/{thread}/runs", {"input": {}})
    await client.get("/assistants/fe096781-5601-53d2-b2f6-0d3403f7e9ca/graph", params={"xray": "0"})


@scenario
async def deleted_with_threads(client: Client) -> None:
    assistant = await client.post("/assistants", {"graph_id": "steps"})
    thread = await client.create_thread()
    await client.run_and_wait(thread, assistant["assistant_id"], {"value": 1})
    await client.delete(f"/assistants/{assistant['assistant_id']}", params={"delete_threads": "true"})
    await client.get(f"/threads/{thread}")


@scenario
async def change_between_runs(client: Client) -> None:
    assistant = await client.post("/assistants", {"graph_id": "observed_config", "config": {"configurable": {"a": 1}}})
    path = f"/assistants/{assistant['assistant_id']}"
    thread = await client.create_thread()
    await client.run_and_wait(thread, assistant["assistant_id"], {})
    await client.patch(path, {"config": {"configurable": {"a": 5, "b": 2}}, "metadata": {"m": 1}})
    await client.run_and_wait(thread, assistant["assistant_id"], {})
    await client.run_and_wait(thread, assistant["assistant_id"], {}, config={"configurable": {"c": 3}})
    await client.get(f"/threads/{thread}")
