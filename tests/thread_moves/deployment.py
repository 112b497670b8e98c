"""A deployment whose workers have an old or a new release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client

from slipway.graphs.registry import Registry
from slipway.health.layout_upgrades import UPGRADES
from slipway.redis.keys import Keys
from slipway.redis.layout import LayoutRecord
from slipway.runs.record import Phase, Run
from slipway.services import Services
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.shards import shards_of
from tests.waiting import Eventually
from tests.worker import running_worker

PROJECT = Path(__file__).parent / "project"


@dataclass
class Deployment:
    """A web process of each release."""

    settings: Settings
    services: Services
    old: Any
    """The client of the web process of the old release."""
    sdk: Any
    """That of the new one."""
    eventually: Eventually

    @asynccontextmanager
    async def worker(self, release: str) -> AsyncIterator[Services]:
        """A worker of a release."""
        settings = self.settings.model_copy(update={"config": PROJECT / f"{release}.json"})
        graphs = await Registry.load(settings.config)
        async with running_worker(settings, graphs) as (_, services):
            yield services

    async def asked(self, name: str) -> tuple[str, str]:
        """A thread that waits at the question of version 1, and the id of the question."""
        thread = str((await self.old.threads.create())["thread_id"])
        run = await self.old.runs.create(thread, "desk", input={"name": name})
        await self.ended(run["run_id"], Phase.WAITING_FOR_APPROVAL)
        (questions,) = (await self.sdk.threads.get(thread))["interrupts"].values()
        return thread, questions[0]["id"]

    async def answer(self, thread: str, question: str, value: str = "yes", *, of_old: bool = False) -> str:
        """Creates a run with the answer at the web process of the new release, or of the old one."""
        client = self.old if of_old else self.sdk
        run = await client.runs.create(thread, "desk", command={"resume": {question: value}})
        return str(run["run_id"])

    async def ended(self, run_id: str, phase: Phase) -> Run:
        """The run when it is in this phase."""

        async def is_in_phase() -> bool:
            return (await self.services.runs.find(run_id)).phase is phase

        await self.eventually(is_in_phase)
        return await self.services.runs.find(run_id)

    async def log_of(self, thread: str) -> list[str]:
        return list((await self.sdk.threads.get(thread))["values"]["log"])


@pytest.fixture
def deployment_settings(valkey_url: str, keys: Keys) -> Settings:
    return Settings.from_values(
        {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT / "new.json", "reap_every_s": 0.2}
    )


@pytest.fixture
async def deployment(deployment_settings: Settings, eventually: Eventually) -> AsyncIterator[Deployment]:
    settings = deployment_settings
    async with AsyncExitStack() as stack:
        clients: list[Any] = []
        for release in ("old", "new"):
            config = settings.model_copy(update={"config": PROJECT / f"{release}.json"})
            served = await stack.enter_async_context(serving(config, await Registry.load(config.config)))
            clients.append(await stack.enter_async_context(get_client(url=served.url, api_key=None)))
        services = served.services
        await LayoutRecord(services.pipeline, shards_of(services.keys)).check_or_upgrade(UPGRADES)
        yield Deployment(settings, served.services, clients[0], clients[1], eventually)
