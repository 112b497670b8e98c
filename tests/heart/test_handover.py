"""Runs that change hands on purpose: from the web process to a worker, and from a worker that stops to the next."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sys
from collections.abc import Sequence
from types import ModuleType

import pytest

from app.keyspace.names import Keys
from app.redis.wire import Wire
from app.runs.runs import Phase, Run, new_id, run_from
from app.services import Services, open_services
from tests.conftest import Eventually
from tests.heart.conftest import LEASE_MS, PROJECT, new_run, settings_of
from tests.working import working
from workers.main import WorkerProcess
from workers.registry import Registry

GRAPHS = PROJECT.parent / "graphs.py"
ALL_ONCE = {"one": 1, "gate": 1, "two": 1}


@pytest.fixture(scope="module")
def project(graphs: Registry) -> ModuleType:
    """The module of the graphs as the registry imported it: it counts what nodes did, and holds their gates."""
    (module,) = (loaded for loaded in sys.modules.values() if str(getattr(loaded, "__file__", "")) == str(GRAPHS))
    return module


async def _inline(services: Services, graph_id: str) -> Run:
    """A run that the web process takes itself."""
    assert services.inline is not None
    new = dataclasses.replace(new_run(new_id(), graph_id=graph_id), create_thread=True, inline=True)
    return await services.inline.create(new)


async def _names(services: Services, run: Run) -> Sequence[str]:
    return [event.name for event in await services.events.read(run.run_id)]


async def _is(services: Services, run: Run, phase: Phase) -> bool:
    return (await services.runs.find(run.run_id)).phase is phase


async def test_a_short_run_needs_no_worker(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        run = await _inline(web, "swift")
        await eventually(lambda: _is(web, run, Phase.COMPLETED))
        now = await web.runs.find(run.run_id)
        assert (now.attempt, now.handovers, now.usage["steps"]) == (1, 0, 3)


async def test_a_run_beyond_its_budget_goes_on_in_a_worker_with_no_step_lost_or_repeated(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys)
    async with open_services(settings, graphs, "web") as web, working(settings, graphs):
        assert web.inline is not None
        run = await _inline(web, "quick")
        (execution,) = web.inline._executions.values()
        await eventually(lambda: execution._control.drain_requested)
        project.gates[run.thread_id].set()
        await eventually(lambda: _is(web, run, Phase.COMPLETED))
        now = await web.runs.find(run.run_id)
        assert (now.attempt, now.handovers, now.usage["steps"]) == (2, 1, 3)
        assert project.effects[run.thread_id] == ALL_ONCE
        assert await _names(web, run) == ["metadata", "values", "values", "values", "values", "end"]


async def test_a_web_process_that_stops_gives_its_runs_to_the_workers(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0.1), graphs, "web") as web:
        run = await _inline(web, "quick")
        await eventually(lambda: project.effects[run.thread_id]["one"])
    project.gates[run.thread_id].set()
    async with working(settings_of(valkey_url, keys), graphs) as (_, services):
        await eventually(lambda: _is(services, run, Phase.COMPLETED))
        now = await services.runs.find(run.run_id)
        assert (now.attempt, now.handovers) == (2, 1)
        assert project.effects[run.thread_id] == ALL_ONCE


async def test_a_worker_that_stops_hands_its_runs_back_without_spending_an_attempt(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, max_attempts=1)
    async with working(settings, graphs) as (process, services):
        new = dataclasses.replace(new_run(new_id(), graph_id="gate"), create_thread=True)
        run = await services.runs.create(new)
        await eventually(lambda: project.effects[run.thread_id]["one"])
        process._stopping.set()
        await eventually(lambda: all(execution._control.drain_requested for execution in process._executions.values()))
        project.gates[run.thread_id].set()
        await eventually(lambda: _is(services, run, Phase.QUEUED))
    async with working(settings, graphs) as (_, services):
        await eventually(lambda: _is(services, run, Phase.COMPLETED))
        assert project.effects[run.thread_id] == ALL_ONCE
        assert (await services.runs.find(run.run_id)).handovers == 1


async def test_a_run_whose_claim_arrives_while_the_worker_stops_is_handed_back(
    valkey_url: str, keys: Keys, graphs: Registry, wire: Wire
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "worker") as services:
        assert services.heart is not None
        process = WorkerProcess(services, wire)
        process._stopping.set()
        run = await services.runs.create(dataclasses.replace(new_run(new_id()), create_thread=True))
        _, claimed = await services.scripts.run_claim(services.heart.worker, 1, LEASE_MS)
        await process._perform({}, run_from(claimed[0]))
        now = await services.runs.find(run.run_id)
        assert (now.phase, now.handovers) == (Phase.QUEUED, 1)


async def test_many_runs_of_a_stopping_worker_all_end_elsewhere(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, drain_s=0.2)
    async with working(settings, graphs) as (process, services):
        made = [dataclasses.replace(new_run(new_id(), graph_id="gate"), create_thread=True) for _ in range(20)]
        runs = await asyncio.gather(*(services.runs.create(new) for new in made))
        await eventually(lambda: all(project.effects[run.thread_id]["one"] for run in runs))
        process._stopping.set()
        await eventually(lambda: not process._executions)
    for run in runs:
        project.gates[run.thread_id].set()
    async with working(settings, graphs) as (_, services):
        for run in runs:
            await eventually(functools.partial(_is, services, run, Phase.COMPLETED))
            assert project.effects[run.thread_id] == ALL_ONCE
