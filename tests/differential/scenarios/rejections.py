"""Invalid requests: their status codes, and error texts in which clients look for words."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import scenario

INVALID: tuple[dict[str, Any], ...] = (
    {"input": {}, "stream_mode": "nothing"},
    {"input": {}, "config": []},
    {"input": {}, "config": {"configurable": 7}},
    {"input": {}, "config": {"tags": "text"}},
    {"input": {}, "config": {"unknown": 1}},
    {"input": {}, "metadata": []},
    {"input": {}, "context": []},
    {"input": {}, "command": []},
    {"input": {}, "command": {}},
    {"input": {}, "command": {"goto": 7}},
    {"input": {}, "interrupt_before": "text"},
    {"input": {}, "after_seconds": -1},
    {"input": {}, "after_seconds": "soon"},
    {"input": {}, "durability": "nothing"},
    {"input": {}, "on_disconnect": "nothing"},
    {"input": {}, "on_completion": "nothing"},
    {"input": {}, "if_not_exists": "nothing"},
    {"input": {}, "checkpoint": "text"},
    {"input": {}, "checkpoint_id": 7},
    {"input": {}, "stream_subgraphs": "maybe"},
    {"input": {}, "unknown": 1},
    {"input": {}, "metadata": None, "config": None, "command": None, "stream_mode": None},
    {"input": {}, "multitask_strategy": None, "interrupt_before": None, "webhook": None, "checkpoint": None},
)


@scenario
async def run_bodies(client: Client) -> None:
    thread = await client.create_thread()
    for body in INVALID:
        status_code = await client.call(
            "POST", f"/threads/{thread}/runs/wait", {"assistant_id": "steps", **body}, record=False, return_status=True
        )
        client.record(f"{body}", status_code)
    for content in (b"", b"{", b"[]", b"null"):
        response = await client.http.post(
            f"/threads/{thread}/runs", content=content, headers={"content-type": "application/json"}
        )
        client.record(f"{content!r}", response.status_code)


@scenario
async def error_texts(client: Client) -> None:
    """Clients look for "not found" in these texts, and for the kind of record."""
    thread = await client.create_thread()
    unknown = "3e1a4b8e-0000-4000-8000-0000000000aa"
    await client.get(f"/threads/{unknown}")
    await client.get(f"/assistants/{unknown}")
    await client.get(f"/runs/crons/{unknown}")
    await client.get(f"/threads/{unknown}/runs")
    await client.get(f"/threads/{thread}/runs/{unknown}")
    await client.post(f"/threads/{thread}/runs", {"assistant_id": unknown, "input": {}})
    await client.post(f"/threads/{unknown}/runs", {"assistant_id": "steps", "input": {}})
    await client.get(f"/threads/{unknown}/state")
    await client.get("/nowhere/at/all")
    await client.put("/assistants/search", {})
