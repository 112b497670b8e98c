"""The sample graphs of the repository, served by a web process and executed by a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.services import Services
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served, served, worker
from tests.project_fixtures import graphs_of, settings_of
from tests.waiting import wait_until

__all__ = ["served", "worker"]

PROJECT = Path(__file__).parents[2] / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)


@dataclass(frozen=True, slots=True)
class Cases:
    """Runs graphs on threads, and answers their questions on the review desk."""

    client: httpx.AsyncClient
    services: Services

    async def new(self) -> str:
        """A new thread."""
        return str((await self._post("/threads", {}))["thread_id"])

    async def wait(self, graph: str, graph_input: dict[str, Any], thread: str | None = None) -> Any:
        """The result of a run."""
        body = {"assistant_id": graph, "input": graph_input}
        return await self._post(f"/threads/{thread or await self.new()}/runs/wait", body)

    async def reviews(self, thread: str) -> list[dict[str, Any]]:
        """The open reviews of a thread, the oldest first."""
        listed = (await self.client.get("/ops/reviews", params={"limit": 1000})).json()["reviews"]
        return [each for each in listed if each["thread_id"] == thread and each["state"] in ("open", "held")][::-1]

    async def decide(self, review: dict[str, Any], **decision: Any) -> httpx.Response:
        """Decides about a review."""
        return await self.client.post(f"/ops/reviews/{review['review_id']}/decide", json=decision)

    async def values(self, thread: str) -> Any:
        """The state of a thread that is idle."""

        async def is_idle() -> bool:
            return bool((await self.client.get(f"/threads/{thread}")).json()["status"] == "idle")

        await wait_until(is_idle)
        return (await self.client.get(f"/threads/{thread}/state")).json()["values"]

    async def _post(self, path: str, body: Any) -> Any:
        response = await self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
async def cases(served: Served, worker: WorkerProcess) -> AsyncIterator[Cases]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield Cases(client, served.services)
