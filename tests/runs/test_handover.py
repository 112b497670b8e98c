"""Inline runs and releases: web processes and workers that stop release their runs, and workers continue them."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from slipway.execution.execution import Execution
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway.services import Services, open_services
from slipway_workers.process import WorkerProcess
from tests.proxy import Proxy, proxied
from tests.runs.conftest import LEASE_MS, Stores, new_run, settings_of
from tests.waiting import Eventually, wait_until
from tests.worker import running_worker

ALL_ONCE = {"one": 1, "gate": 1, "two": 1}


async def _submit_inline(services: Services, graph_id: str, **differs: Any) -> Run:
    """Submits a run that the web process may execute itself."""
    assert services.inline is not None
    fields: dict[str, Any] = {"thread_id": new_id(), "graph_id": graph_id, "create_thread": True, "inline": True}
    return await services.inline.submit(new_run(**(fields | differs)))


@asynccontextmanager
async def _web_behind_proxy(valkey_url: str, keys: Keys, graphs: Registry) -> AsyncIterator[tuple[Proxy, Services]]:
    """A web process that connects to Redis through a proxy and waits for Redis for 60 s. Redis has its scripts."""
    async with (
        proxied(valkey_url) as proxy,
        open_services(settings_of(proxy.url, keys, redis_patience_web_s=60), graphs, "web") as web,
    ):
        await _submit_inline(web, "swift")
        await wait_until(lambda: _active_count(web) == 0)
        yield proxy, web


def _active_count(services: Services) -> int:
    """The number of runs that the web process executes."""
    assert services.executions is not None
    return len(services.executions.current)


def _only_execution(services: Services) -> Execution:
    assert services.executions is not None
    (execution,) = services.executions.current
    return execution


async def _event_names(services: Services, run: Run) -> Sequence[str]:
    return [event.name for event in await services.events.read(run.run_id)]


async def _has_phase(services: Services, run: Run, phase: Phase) -> bool:
    return (await services.runs.find(run.run_id)).phase is phase


async def test_a_short_inline_run_completes_without_a_worker(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        run = await _submit_inline(web, "swift")
        await eventually(lambda: _has_phase(web, run, Phase.COMPLETED))
        record = await web.runs.find(run.run_id)
        assert (record.attempt, record.uncounted_attempts, record.usage["steps"]) == (1, 0, 3)


async def test_a_worker_continues_an_inline_run_beyond_its_budget_without_repeating_a_step(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(
        valkey_url, keys, inline_budget_s=60
    )  # the budget of the graph is shorter and has precedence
    async with open_services(settings, graphs, "web") as web, running_worker(settings, graphs):
        run = await _submit_inline(web, "quick")
        execution = _only_execution(web)
        await eventually(lambda: execution.drain_requested)
        project.gates[run.thread_id].set()
        await eventually(lambda: _has_phase(web, run, Phase.COMPLETED))
        record = await web.runs.find(run.run_id)
        assert (record.attempt, record.uncounted_attempts, record.usage["steps"]) == (2, 1, 3)
        assert project.effects[run.thread_id] == ALL_ONCE
        assert await _event_names(web, run) == ["metadata", "values", "values", "values", "values", "end"]


async def test_a_stopping_web_process_releases_its_runs_to_workers(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0.1), graphs, "web") as web:
        run = await _submit_inline(web, "inline_gate")
        await eventually(lambda: project.effects[run.thread_id]["one"])
    project.gates[run.thread_id].set()
    async with running_worker(settings_of(valkey_url, keys), graphs) as (_, services):
        await eventually(lambda: _has_phase(services, run, Phase.COMPLETED))
        record = await services.runs.find(run.run_id)
        assert (record.attempt, record.uncounted_attempts) == (2, 1)
        assert project.effects[run.thread_id] == ALL_ONCE


async def test_a_stopping_web_process_waits_for_the_superstep_of_its_run(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        run = await _submit_inline(web, "inline_gate")
        execution = _only_execution(web)
        await eventually(lambda: execution.usage.node_visits["gate"])
        assert web.inline is not None
        closing = asyncio.create_task(web.inline.close())
        await eventually(lambda: execution.drain_requested or closing.done())
        project.gates[run.thread_id].set()
        await closing
        record = await web.runs.find(run.run_id)
        assert (record.phase, record.attempt, record.uncounted_attempts) == (Phase.QUEUED, 1, 1)
        assert project.effects[run.thread_id] == {"one": 1, "gate": 1}
        assert (await _submit_inline(web, "swift")).phase is Phase.QUEUED, "a stopping process starts no run"


async def test_an_attempt_that_repeats_work_after_a_release_is_announced(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0.1), graphs, "web") as web:
        run = await _submit_inline(web, "inline_gate")
        execution = _only_execution(web)
        await eventually(lambda: execution.usage.node_visits["gate"])
    project.gates[run.thread_id].set()
    async with running_worker(settings_of(valkey_url, keys), graphs) as (_, services):
        await eventually(lambda: _has_phase(services, run, Phase.COMPLETED))
        announced = [event for event in await services.events.read(run.run_id) if event.name == "metadata"]
        assert [orjson.loads(event.data)["attempt"] for event in announced] == [1, 2]


async def test_a_web_process_executes_at_most_max_inline_runs_at_once(
    valkey_url: str,
    keys: Keys,
    graphs: Registry,
    eventually: Eventually,
    project: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slipway.execution.inline.MAX_INLINE_RUNS", 2)
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        runs = await asyncio.gather(*(_submit_inline(web, "inline_gate") for _ in range(4)))
        assert sorted(run.phase for run in runs) == [Phase.QUEUED, Phase.QUEUED, Phase.RUNNING, Phase.RUNNING]
        assert (await _submit_inline(web, "inline_gate")).phase is Phase.QUEUED
        running = next(run for run in runs if run.phase is Phase.RUNNING)
        project.gates[running.thread_id].set()
        await eventually(lambda: _active_count(web) == 1)
        assert (await _submit_inline(web, "inline_gate")).phase is Phase.RUNNING


async def test_the_limit_of_a_group_applies_to_inline_runs(
    valkey_url: str, keys: Keys, graphs: Registry, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        assert (await _submit_inline(web, "inline_gate", groups=[("few", 1)])).phase is Phase.RUNNING
        assert (await _submit_inline(web, "inline_gate", groups=[("few", 1)])).phase is Phase.QUEUED


async def test_an_inline_run_that_is_submitted_repeatedly_is_executed_once(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        run_id, thread_id = new_id(), new_id()
        submissions = [_submit_inline(web, "inline_gate", run_id=run_id, thread_id=thread_id) for _ in range(2)]
        assert {run.phase for run in await asyncio.gather(*submissions)} == {Phase.RUNNING}
        await eventually(lambda: project.effects[thread_id]["one"])
        await _submit_inline(web, "inline_gate", run_id=run_id, thread_id=thread_id)
        assert _active_count(web) == 1


async def _unacknowledged_submit(
    web: Services, stores: Stores, proxy: Proxy, graph_id: str, run_id: str
) -> asyncio.Task[Run]:
    """Submits an inline run. Redis has stored it with the web process as its owner; the proxy holds that reply."""
    proxy.hold_replies()
    creating = asyncio.create_task(_submit_inline(web, graph_id, run_id=run_id))
    await wait_until(lambda: stores.pipeline.send("EXISTS", web.shards.records.run(run_id), repeatable=True))
    return creating


async def test_an_inline_run_is_executed_when_the_reply_of_redis_is_lost(
    valkey_url: str, keys: Keys, stores: Stores, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    """The connection is cut after Redis stored the run and before the web process receives the reply."""
    async with _web_behind_proxy(valkey_url, keys, graphs) as (proxy, web):
        run_id = new_id()
        creating = await _unacknowledged_submit(web, stores, proxy, "inline_gate", run_id)
        proxy.cut()
        proxy.release_replies()
        run = await creating
        assert _active_count(web) == 1
        project.gates[run.thread_id].set()
        await eventually(lambda: _has_phase(web, run, Phase.COMPLETED))
        assert (await web.runs.find(run_id)).attempt == 1


async def test_an_inline_run_is_executed_when_its_submission_is_cancelled(
    valkey_url: str, keys: Keys, stores: Stores, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with _web_behind_proxy(valkey_url, keys, graphs) as (proxy, web):
        run_id = new_id()
        creating = await _unacknowledged_submit(web, stores, proxy, "swift", run_id)
        creating.cancel()
        await asyncio.wait({creating})
        assert creating.cancelled()
        assert web.inline is not None
        assert web.inline.pending_creations == 1, "the web process still waits for the reply"
        proxy.release_replies()

        async def is_completed() -> bool:
            return (await web.runs.find(run_id)).phase is Phase.COMPLETED

        await eventually(is_completed)
        assert (await web.runs.find(run_id)).attempt == 1


async def test_the_lease_of_an_inline_run_is_renewed_until_the_run_ends(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, heartbeat_s=0.1), graphs, "web") as web:
        assert web.lease_renewer is not None
        run = await _submit_inline(web, "inline_gate")
        assert run.run_id in web.lease_renewer.run_ids
        leases = web.shards.of_run(run.run_id).leases
        until_ms = await web.pipeline.send("ZSCORE", leases, run.run_id)

        async def is_renewed() -> bool:
            return float(await web.pipeline.send("ZSCORE", web.shards.of_run(run.run_id).leases, run.run_id)) > float(
                until_ms
            )

        await eventually(is_renewed)
        project.gates[run.thread_id].set()
        await eventually(lambda: _active_count(web) == 0)
        assert web.lease_renewer.run_ids == frozenset()


async def test_an_unexpected_exception_of_an_inline_execution_is_logged(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raise_lookup_error(_: Execution) -> None:
        raise LookupError("a fault in Slipway")

    monkeypatch.setattr(Execution, "execute", raise_lookup_error)
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        with capture_logs() as logs:
            run = await _submit_inline(web, "swift")
            await eventually(lambda: _active_count(web) == 0)
        assert [(entry["event"], entry["run"]) for entry in logs] == [("inline.failed", run.run_id)]


async def test_a_stopping_worker_releases_its_runs_without_using_an_attempt(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, max_attempts=1)
    async with running_worker(settings, graphs) as (process, services):
        run = await services.submission.submit(new_run(new_id(), graph_id="gate", create_thread=True))
        await eventually(lambda: project.effects[run.thread_id]["one"])
        process.request_stop()
        await eventually(lambda: all(execution.drain_requested for execution in process.executions.current))
        project.gates[run.thread_id].set()
        await eventually(lambda: _has_phase(services, run, Phase.QUEUED))
    async with running_worker(settings, graphs) as (_, services):
        await eventually(lambda: _has_phase(services, run, Phase.COMPLETED))
        assert project.effects[run.thread_id] == ALL_ONCE
        ended = await services.runs.find(run.run_id)
        # a claim that the stopping worker had sent before may have returned the run once more
        assert ended.uncounted_attempts in (1, 2)
        assert ended.attempt == ended.uncounted_attempts + 1


async def test_a_run_that_a_draining_worker_claimed_is_released(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "worker") as services:
        assert services.lease_renewer is not None
        process = WorkerProcess(services, pipeline)
        process.executions.drain()
        run = await services.submission.submit(new_run(new_id(), create_thread=True))
        _, claimed, *_ = await services.queues[0].run_claim(services.lease_renewer.worker, 1, LEASE_MS)
        await process.run_attempt({}, run_from(claimed[0]), time.monotonic())
        record = await services.runs.find(run.run_id)
        assert (record.phase, record.uncounted_attempts) == (Phase.QUEUED, 1)


async def test_all_runs_of_a_stopping_worker_complete_in_another_worker(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, drain_s=0.2)
    async with running_worker(settings, graphs) as (process, services):
        specs = [new_run(new_id(), graph_id="gate", create_thread=True) for _ in range(20)]
        runs = await asyncio.gather(*(services.submission.submit(spec) for spec in specs))
        await eventually(lambda: all(project.effects[run.thread_id]["one"] for run in runs))
        process.request_stop()
        await eventually(lambda: not process.executions.current)
    for run in runs:
        project.gates[run.thread_id].set()
    async with running_worker(settings, graphs) as (_, services):
        for run in runs:
            await eventually(functools.partial(_has_phase, services, run, Phase.COMPLETED))
            assert project.effects[run.thread_id] == ALL_ONCE
