"""A web process, a worker and users of a graph with three versions. `ann` is an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.conftest import Served, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)


class Desk:
    """What users do, each with the status that they expect."""

    def __init__(self, client: httpx.AsyncClient, served: Served) -> None:
        self.client, self.served = client, served

    async def send(self, method: str, path: str, status: int = 200, *, user: str = "ann", **more: Any) -> Any:
        """The body of the response."""
        headers = {"x-user": user} | more.pop("headers", {})
        response = await self.client.request(method, path, headers=headers, **more)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    async def run(self, status: int = 200, *, user: str = "cleo", headers: Any = None, **body: Any) -> dict[str, Any]:
        """Creates a run on a new thread."""
        body = {"assistant_id": "desk", "input": {}, "on_completion": "keep"} | body
        run: dict[str, Any] = await self.send("POST", "/runs", status, user=user, headers=headers or {}, json=body)
        return run


@pytest.fixture
async def desk(served: Served) -> AsyncIterator[Desk]:
    async with httpx.AsyncClient(base_url=served.url, timeout=10) as client:
        yield Desk(client, served)
