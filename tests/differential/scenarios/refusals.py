"""Requests that are wrong: status codes, and that the text is one that clients understand."""

from __future__ import annotations

from typing import Any

from tests.differential.recording import Client
from tests.differential.scenarios import scenario

WRONG: tuple[dict[str, Any], ...] = (
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
    thread = await client.thread()
    for body in WRONG:
        answer = await client.call(
            "POST", f"/threads/{thread}/runs/wait", {"assistant_id": "steps", **body}, record=False, status=True
        )
        client.note(f"{body}", answer)
    for content in (b"", b"{", b"[]", b"null"):
        answer = await client.http.post(
            f"/threads/{thread}/runs", content=content, headers={"content-type": "application/json"}
        )
        client.note(f"{content!r}", answer.status_code)


@scenario
async def details(client: Client) -> None:
    """The texts that clients look into: "not found", and which thing."""
    thread = await client.thread()
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
