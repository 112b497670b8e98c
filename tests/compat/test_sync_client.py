"""The synchronous Python client, in a separate thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")


def use_all_clients(url: str) -> dict[str, Any]:
    """Calls methods of the assistants, threads and runs clients, and returns their results."""
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
        interrupted: Any = client.threads.get_state(thread)
        answered: Any = client.runs.wait(thread, assistant["assistant_id"], command={"resume": 7})
        run = client.runs.create(thread, "steps", input={"value": 1})
        joined: Any = client.runs.join(thread, run["run_id"])
        replayed = [part.event for part in client.runs.join_stream(thread, run["run_id"], last_event_id="-1")]
        client.threads.update_state(thread, {"value": 50}, as_node="three")
        results = {
            "events": names,
            "next": interrupted["next"],
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
        return results


async def test_the_synchronous_client_completes_its_requests(served: Served) -> None:
    results = await asyncio.to_thread(use_all_clients, served.url)
    assert (results["events"][0], results["events"][-1]) == ("metadata", "values")
    assert "updates" in results["events"]
    assert (results["next"], results["answer"]) == (["ask"], 7)
    assert results["joined"] == 4
    assert (results["replayed"][0], results["replayed"][-1]) == ("metadata", "values")
    assert results["written"]["value"] == 50
    assert (results["found"], results["runs"]) == (1, 3)
    assert results["history"] > 8
