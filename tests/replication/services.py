"""Settings, runs and events of these tests."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from slipway.runs.record import Run, new_id
from slipway.services import Services
from slipway.settings import Settings
from tests.replication.conftest import PROJECT
from tests.runs.conftest import new_run


def settings_of(url: str, **values: Any) -> Settings:
    """Settings for the server at this URL, with the project of these tests."""
    return Settings.from_values({"redis_url": url, "config": PROJECT, "replicated_wait_s": 5} | values)


async def create_run(services: Services, durability: str, *, supersteps: int = 3) -> Run:
    """A run on a new thread."""
    options = {"durability": durability, "input": {"supersteps": supersteps}}
    spec = new_run(new_id(), graph_id="plain", create_thread=True, options=options)
    return (await services.submission.creator.create(spec)).run


async def events_to_end(services: Services, run_id: str) -> list[str]:
    """The names of the events of a run, until its `end`."""
    names = []
    async with aclosing(services.events.follow(run_id)) as batches:
        async for batch in batches:
            names += [event.name for event in batch]
    return names
