"""The auth files of LangGraph's tutorials, and the steps of a chat app under each of them, for two users at the same
time.

The reference server denies the same steps, and `assistants.schemas` with 422, because it accepts no graph id there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.auth.conftest import as_user
from tests.auth.tutorials.chat_app import OK, ChatApp
from tests.http.conftest import Served, serving
from tests.worker import running_worker

TUTORIALS = Path(__file__).parent / "tutorials"

BUSY: Final = {"multitask reject": "409"}
NO_ASSISTANTS: Final = {f"assistants.{step}": "403" for step in ("search", "schemas", "graph", "create")}
EXPECTED: Final = {
    # a filter of `assistants:read` hides system assistants, which have no owner, but they can be run
    "add_owner": BUSY | {"assistants.schemas": "404", "assistants.graph": "404"},
    "each_resource": BUSY | NO_ASSISTANTS,
    "reject_others": BUSY | NO_ASSISTANTS,
}
"""The steps that each auth file denies, and their status."""


@pytest.fixture(params=EXPECTED)
async def tutorial(request: pytest.FixtureRequest, valkey_url: str, keys: Keys) -> AsyncIterator[tuple[str, Served]]:
    """The name of an auth file, and a server with it. A worker is running."""
    name: str = request.param
    config = TUTORIALS / f"{name}.json"
    settings = Settings.from_values(
        {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config, "sse_ping_s": 0.2}
    )
    graphs = await Registry.load(config)
    async with serving(settings, graphs) as served, running_worker(settings, graphs):
        yield name, served


async def test_a_chat_app_works_under_each_auth_file(tutorial: tuple[str, Served]) -> None:
    name, served = tutorial
    both = await asyncio.gather(*(ChatApp(served.url, user).run_all() for user in ("ann", "bob")))
    for steps in both:
        assert {step: result for step, result in steps.items() if result != OK} == EXPECTED[name]


async def test_another_user_finds_no_record(tutorial: tuple[str, Served]) -> None:
    _, served = tutorial
    async with as_user(served.url, "ann") as ann, as_user(served.url, "bob") as bob:
        thread = (await ann.threads.create())["thread_id"]
        run = await ann.runs.create(thread, "chat", input={"messages": []}, after_seconds=3600)
        for request in (
            bob.threads.get(thread),
            bob.threads.get_state(thread),
            bob.threads.update(thread, metadata={"a": 1}),
            bob.threads.delete(thread),
            bob.runs.wait(thread, "chat", input={"messages": []}),
            bob.runs.get(thread, run["run_id"]),
            bob.runs.cancel(thread, run["run_id"]),
            bob.crons.create_for_thread(thread, "chat", schedule="0 0 1 1 *"),
        ):
            with pytest.raises(httpx.HTTPStatusError) as error:
                await request
            assert error.value.response.status_code == 404
        assert await bob.threads.search() == []
        assert (await ann.threads.get(thread))["metadata"]["owner"] == "ann"
