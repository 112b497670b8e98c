"""A web process with an auth file and a worker, and the steps that most tests of reviews need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.services import Services
from slipway.settings import Settings
from slipway_workers.duties.reviews import Reviews
from tests.http.conftest import serving
from tests.project_fixtures import graphs_of, settings_of
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)


@dataclass(frozen=True, slots=True)
class Desk:
    """The API for several users, and the services of both processes."""

    client: httpx.AsyncClient
    services: Services
    worker: Services

    async def ask(self, graph: str, user: str = "ann") -> tuple[str, list[dict[str, Any]]]:
        """Runs a graph until it asks. Returns its thread, and its reviews in the order of the questions."""
        thread = (await self.client.post("/threads", json={})).json()["thread_id"]
        await self.post(f"/threads/{thread}/runs/wait", {"assistant_id": graph, "input": {"answers": []}}, user)
        return thread, await self.reviews(thread)

    async def reviews(self, thread: str) -> list[dict[str, Any]]:
        """The reviews of the newest run of a thread that asked."""
        for run in (await self.client.get(f"/threads/{thread}/runs")).json():
            if reviews := await self.services.reviews.of_run(run["run_id"]):
                return [review.public() for review in reviews]
        return []

    async def post(self, path: str, body: Any = None, user: str = "ann", status: int = 200) -> Any:
        """The JSON of the response, which must have this status."""
        response = await self.client.post(path, json={} if body is None else body, headers={"x-user": user})
        assert response.status_code == status, response.text
        return response.json()

    async def decide(self, review: dict[str, Any], body: Any, user: str = "bob", status: int = 200) -> Any:
        return await self.post(f"/ops/reviews/{review['review_id']}/decide", body, user, status)

    async def read(self, review: dict[str, Any], user: str = "bob") -> Any:
        response = await self.client.get(f"/ops/reviews/{review['review_id']}", headers={"x-user": user})
        assert response.status_code == 200, response.text
        return response.json()

    async def answer(self, thread: str, graph: str, resume: Any, user: str = "ann", status: int = 200) -> Any:
        """Answers by the ordinary protocol."""
        body = {"assistant_id": graph, "command": {"resume": resume}}
        return await self.post(f"/threads/{thread}/runs", body, user, status)

    async def answers(self, thread: str) -> list[Any]:
        """The answers that the graph received, when its thread is idle."""

        async def is_idle() -> bool:
            return bool((await self.client.get(f"/threads/{thread}")).json()["status"] == "idle")

        await wait_until(is_idle)
        answers: list[Any] = (await self.client.get(f"/threads/{thread}/state")).json()["values"]["answers"]
        return answers


async def let_time_come(desk: Desk, review: dict[str, Any], field: str) -> None:
    """Makes a time of the review be over, and performs a round of the duty."""
    services = desk.services
    await services.pipeline.send("HSET", services.keys.review(review["review_id"]), field, 1)
    await services.pipeline.send("ZADD", services.keys.reviews_due, 1, review["review_id"])
    await Reviews(desk.worker).run_once()


@pytest.fixture
async def desk(settings: Settings, graphs: Registry) -> AsyncIterator[Desk]:
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs) as (_, worker),
        httpx.AsyncClient(base_url=served.url, timeout=10) as client,
    ):
        yield Desk(client, served.services, worker)
