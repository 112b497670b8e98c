"""Workers of two checkouts at once, as processes: each run is executed by a worker that serves its version."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from slipway.graph_versions.needs_reads import NeedsReads
from slipway.graphs.registry import Registry
from slipway.reviews.protocol_answers import ProtocolAnswers
from slipway.runs.record import Phase, Run, new_id
from slipway.services import Services, open_services
from slipway.settings import Settings
from tests.graph_versions.conftest import worker_process
from tests.runs.conftest import new_run
from tests.waiting import Eventually
from tests.worker import running_worker

pytestmark = pytest.mark.processes

THREADS = 6


async def create(services: Services, thread_id: str | None = None, **options: Any) -> Run:
    """A run of the graph `desk`, on a new thread by default, as the web process of this checkout creates it."""
    spec = new_run(thread_id or new_id(), graph_id="desk", create_thread=True, **options)
    if spec.execution.options.answers_interrupt:
        spec = await ProtocolAnswers(services.pipeline, services.keys).check(spec)
    return (await services.submission.creator.create(spec)).run


async def test_each_version_is_executed_by_its_workers_also_after_a_crash(
    checkout: Callable[..., Settings], eventually: Eventually
) -> None:
    old, new = checkout("1"), checkout("2")
    graphs = await Registry.load(new.config)

    async def phases(runs: list[Run], phase: Phase) -> bool:
        return all([(await services.runs.find(run.run_id)).phase is phase for run in runs])

    async with worker_process(old) as first, open_services(new, graphs, "web") as services:
        await eventually(lambda: _serves(services, "1"), 30)
        asked = [await create(services, options={"input": {"asks": True}}) for _ in range(THREADS)]
        await eventually(lambda: phases(asked, Phase.WAITING_FOR_APPROVAL), 30)
        assert {(await services.threads.get(run.thread_id)).version for run in asked} == {"1"}

        async with running_worker(new, graphs) as (_, worker):
            fresh = [await create(worker, options={"input": {}}) for _ in range(THREADS)]
            await eventually(lambda: phases(fresh, Phase.COMPLETED))
            os.killpg(first.pid, signal.SIGKILL)
            answers = [await _answer(services, run) for run in asked]
            await eventually(lambda: _reasons(services, answers, "no live worker serves desk@1"))
            needs = await NeedsReads(services.pipeline, services.shards).needs("desk", "1", pinned=False)
            assert needs.queued == THREADS
            async with worker_process(old):
                await eventually(lambda: phases(answers, Phase.COMPLETED), 30)
            needs = await NeedsReads(services.pipeline, services.shards).needs("desk", "1", pinned=False)
            assert needs.total == 0, "the workers of version 1 can be stopped for good"
        for run in (*answers, *fresh):
            stored, thread = await services.runs.find(run.run_id), await services.threads.get(run.thread_id)
            assert thread.values is not None
            assert thread.values["executed_by"] == f"version {stored.version}"


async def _answer(services: Services, run: Run) -> Run:
    return await create(services, run.thread_id, options={"command": {"resume": "yes"}, "input": None})


async def _serves(services: Services, version: str) -> bool:
    return bool((await services.versions.read()).workers_of("desk", version))


async def _reasons(services: Services, runs: list[Run], reason: str) -> bool:
    return all([(await services.runs.find(run.run_id)).reason == reason for run in runs])
