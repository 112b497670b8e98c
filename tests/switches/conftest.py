"""A web process and a worker on a real Valkey, and operators."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from slipway.services import Services
from tests.http.conftest import Served, client, sdk, served, worker
from tests.project_fixtures import graphs_of, module_of, settings_of
from tests.waiting import Eventually

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
project = module_of("./graphs.py:node")
settings = settings_of(PROJECT)


@pytest.fixture(autouse=True)
def no_gates(project: ModuleType) -> None:
    project.GATES.clear()
    project.FAILS.clear()
    project.RAN.clear()


class Desk:
    """What a test does as a client and as an operator."""

    others: Sequence[Services] = ()
    """The services of the other processes of the test."""

    def __init__(self, client: httpx.AsyncClient, served: Served, project: ModuleType, eventually: Eventually) -> None:
        self.client, self.served, self.project, self.eventually = client, served, project, eventually

    def close_gate(self, node: str) -> asyncio.Event:
        """The node waits until the gate is set."""
        gate: asyncio.Event = asyncio.Event()
        self.project.GATES[node] = gate
        return gate

    async def put(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        """Switches something off. Returns when all processes of the test know it."""
        return await self._switch("PUT", path, status, body)

    async def delete(self, path: str) -> dict[str, Any]:
        """Switches something on. Returns when all processes of the test know it."""
        return await self._switch("DELETE", path, 200, None)

    async def _switch(self, method: str, path: str, status: int, body: Any) -> dict[str, Any]:
        response = await self.client.request(method, f"/ops/{path}", json=body)
        assert response.status_code == status, response.text
        off = self.served.services.switch_watch.off
        await self.eventually(lambda: all(services.switch_watch.off == off for services in self.others))
        result: dict[str, Any] = response.json()
        return result

    async def start(self, graph: str, **body: Any) -> dict[str, Any]:
        """Creates a run on a new thread."""
        thread = (await self.client.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": graph, "input": {"log": []}} | body
        response = await self.client.post(f"/threads/{thread}/runs", json=body)
        assert response.status_code == 200, response.text
        run: dict[str, Any] = response.json()
        return run

    async def operate(self, run: dict[str, Any], operation: str, status: int = 200, **body: Any) -> dict[str, Any]:
        response = await self.client.post(f"/ops/runs/{run['run_id']}/{operation}", json=body)
        assert response.status_code == status, response.text
        result: dict[str, Any] = response.json()
        return result

    async def read(self, run: dict[str, Any]) -> dict[str, Any]:
        response = await self.client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")
        assert response.status_code == 200, response.text
        stored: dict[str, Any] = response.json()
        return stored

    async def until(self, run: dict[str, Any], phase: str) -> dict[str, Any]:
        """Waits until the run is in this phase."""

        async def reached() -> bool:
            return bool((await self.read(run))["phase"] == phase)

        await self.eventually(reached)
        return await self.read(run)

    async def until_ran(self, run: dict[str, Any], *nodes: str) -> None:
        """Waits until exactly these nodes have started, in this order."""
        await self.eventually(lambda: self.ran(run) == list(nodes))

    def ran(self, run: dict[str, Any]) -> list[str]:
        return list(self.project.RAN[run["thread_id"]])

    async def log_of(self, run: dict[str, Any]) -> list[str]:
        """The channel `log` of the thread."""
        state = (await self.client.get(f"/threads/{run['thread_id']}/state")).json()
        return list(state["values"].get("log", []))

    async def audit(self, run: dict[str, Any]) -> list[tuple[str, str]]:
        """Action and actor of each entry."""
        entries = (await self.client.get(f"/ops/runs/{run['run_id']}/audit")).json()["entries"]
        return [(entry["action"], entry["actor"]) for entry in entries]


@pytest.fixture
def desk(
    client: httpx.AsyncClient,
    served: Served,
    project: ModuleType,
    eventually: Eventually,
    request: pytest.FixtureRequest,
) -> Desk:
    desk = Desk(client, served, project, eventually)
    if "worker" in request.fixturenames:
        desk.others = [request.getfixturevalue("worker").services]
    return desk
