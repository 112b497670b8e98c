"""The synchronous client, on a thread beside the server's loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")


def a_day(url: str) -> dict[str, Any]:
    """What a synchronous program does with every part of the client."""
    with get_sync_client(url=url, api_key=None) as client:
        assistant = client.assistants.create("ask", metadata={"team": "x"}, name="Sync")
        assert client.assistants.update(assistant["assistant_id"], name="Again")["version"] == 2
        thread = client.threads.create(metadata={"owner": "me"})["thread_id"]
        names = [
            part.event
            for part in client.runs.stream(
                thread, assistant["assistant_id"], input={"value": 1}, stream_mode=["updates", "values"]
            )
        ]
        asked: Any = client.threads.get_state(thread)
        answered: Any = client.runs.wait(thread, assistant["assistant_id"], command={"resume": 7})
        run = client.runs.create(thread, "steps", input={"value": 1})
        joined: Any = client.runs.join(thread, run["run_id"])
        replayed = [part.event for part in client.runs.join_stream(thread, run["run_id"], last_event_id="-1")]
        client.threads.update_state(thread, {"value": 50}, as_node="three")
        seen = {
            "names": names,
            "next": asked["next"],
            "answer": answered["answer"],
            "joined": joined["value"],
            "replayed": replayed,
            "written": client.threads.get(thread)["values"],
            "history": len(client.threads.get_history(thread, limit=100)),
            "found": len(client.threads.search(metadata={"owner": "me"})),
            "runs": len(client.runs.list(thread)),
        }
        client.threads.delete(thread)
        client.assistants.delete(assistant["assistant_id"])
        return seen


async def test_a_synchronous_program(served: Served) -> None:
    seen = await asyncio.to_thread(a_day, served.url)
    assert (seen["names"][0], seen["names"][-1]) == ("metadata", "values")
    assert "updates" in seen["names"]
    assert (seen["next"], seen["answer"]) == (["ask"], 7)
    assert seen["joined"] == 4
    assert (seen["replayed"][0], seen["replayed"][-1]) == ("metadata", "values")
    assert seen["written"]["value"] == 50
    assert (seen["found"], seen["runs"]) == (1, 3)
    assert seen["history"] > 8
