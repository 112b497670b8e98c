"""Threads of the graph `moving` of the project, and what must hold when they were moved to its version 2."""

from __future__ import annotations

from typing import Any

from tests.crash.clients import Client


async def questions(client: Client, thread_id: str) -> dict[str, str]:
    """The ids of the open questions, by their values."""
    interrupts = (await client.thread(thread_id))["interrupts"]
    return {each["value"]: each["id"] for asked in interrupts.values() for each in asked}


async def answer(client: Client, thread_id: str, value: str) -> str:
    resume = {(await questions(client, thread_id))[value]: "yes"}
    return await client.start("moving", None, thread_id, command={"resume": resume})


async def checkpoints(client: Client, thread_id: str) -> list[dict[str, Any]]:
    """All checkpoints of the graph, newest first."""
    found: list[dict[str, Any]] = await client.call("GET", f"/threads/{thread_id}/history?limit=100")
    return found


async def assert_moved_once(client: Client, thread_id: str, before: list[dict[str, Any]]) -> None:
    """The checkpoints from before are all there, and one of all checkpoints is the work of a move, from the newest of
    them."""
    after = await checkpoints(client, thread_id)
    ids = [each["checkpoint"]["checkpoint_id"] for each in after]
    originals = [each["checkpoint"]["checkpoint_id"] for each in before]
    assert ids[-len(originals) :] == originals
    moves = [each["metadata"]["slipway_migration"]["of"] for each in after if "slipway_migration" in each["metadata"]]
    assert moves == originals[:1]
