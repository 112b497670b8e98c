"""Runs that change hands on purpose: from the web process to a worker, and from a worker that stops to the next."""

from __future__ import annotations

import asyncio
import functools
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
from tests.conftest import Eventually, wait_until
from tests.proxy import Proxy, proxied
from tests.runs.conftest import LEASE_MS, Stores, new_run, settings_of
from tests.working import working

ALL_ONCE = {"one": 1, "gate": 1, "two": 1}


async def _inline(services: Services, graph_id: str, **differs: Any) -> Run:
    """A run that the web process takes itself."""
    assert services.inline is not None
    given: dict[str, Any] = {"thread_id": new_id(), "graph_id": graph_id, "create_thread": True, "inline": True}
    return await services.inline.submit(new_run(**(given | differs)))


@asynccontextmanager
async def _behind_a_proxy(valkey_url: str, keys: Keys, graphs: Registry) -> AsyncIterator[tuple[Proxy, Services]]:
    """A web process whose way to Redis may break. It waits for Redis, and the server has its scripts."""
    patient = {"redis_patience_web_s": 60}
    async with (
        proxied(valkey_url) as proxy,
        open_services(settings_of(proxy.url, keys, **patient), graphs, "web") as web,
    ):
        await _inline(web, "swift")
        await wait_until(lambda: _executing(web) == 0)
        yield proxy, web


def _executing(services: Services) -> int:
    """How many runs the web process executes."""
    assert services.executions is not None
    return len(services.executions.current)


def _only_execution(services: Services) -> Execution:
    assert services.executions is not None
    (execution,) = services.executions.current
    return execution


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
        assert (now.attempt, now.uncounted_attempts, now.usage["steps"]) == (1, 0, 3)


async def test_a_run_beyond_its_budget_goes_on_in_a_worker_with_no_step_lost_or_repeated(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, inline_budget_s=60)  # the graph's own is shorter, and wins
    async with open_services(settings, graphs, "web") as web, working(settings, graphs):
        run = await _inline(web, "quick")
        execution = _only_execution(web)
        await eventually(lambda: execution.drain_requested)
        project.gates[run.thread_id].set()
        await eventually(lambda: _is(web, run, Phase.COMPLETED))
        now = await web.runs.find(run.run_id)
        assert (now.attempt, now.uncounted_attempts, now.usage["steps"]) == (2, 1, 3)
        assert project.effects[run.thread_id] == ALL_ONCE
        assert await _names(web, run) == ["metadata", "values", "values", "values", "values", "end"]


async def test_a_web_process_that_stops_gives_its_runs_to_the_workers(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0.1), graphs, "web") as web:
        run = await _inline(web, "inline_gate")
        await eventually(lambda: project.effects[run.thread_id]["one"])
    project.gates[run.thread_id].set()
    async with working(settings_of(valkey_url, keys), graphs) as (_, services):
        await eventually(lambda: _is(services, run, Phase.COMPLETED))
        now = await services.runs.find(run.run_id)
        assert (now.attempt, now.uncounted_attempts) == (2, 1)
        assert project.effects[run.thread_id] == ALL_ONCE


async def test_a_web_process_that_stops_waits_for_the_superstep_of_a_run(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        run = await _inline(web, "inline_gate")
        execution = _only_execution(web)
        await eventually(lambda: execution.usage.node_visits["gate"])
        assert web.inline is not None
        closing = asyncio.create_task(web.inline.close())
        await eventually(lambda: execution.drain_requested or closing.done())
        project.gates[run.thread_id].set()
        await closing
        now = await web.runs.find(run.run_id)
        assert (now.phase, now.attempt, now.uncounted_attempts) == (Phase.QUEUED, 1, 1)
        assert project.effects[run.thread_id] == {"one": 1, "gate": 1}
        assert (await _inline(web, "swift")).phase is Phase.QUEUED, "a process that stops begins nothing"


async def test_work_that_is_done_again_after_a_hand_over_is_announced(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0.1), graphs, "web") as web:
        run = await _inline(web, "inline_gate")
        execution = _only_execution(web)
        await eventually(lambda: execution.usage.node_visits["gate"])
    project.gates[run.thread_id].set()
    async with working(settings_of(valkey_url, keys), graphs) as (_, services):
        await eventually(lambda: _is(services, run, Phase.COMPLETED))
        announced = [event for event in await services.events.read(run.run_id) if event.name == "metadata"]
        assert [orjson.loads(event.data)["attempt"] for event in announced] == [1, 2]


async def test_a_web_process_executes_no_more_runs_at_once_than_its_bound(
    valkey_url: str,
    keys: Keys,
    graphs: Registry,
    eventually: Eventually,
    project: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slipway.execution.inline.MAX_INLINE_RUNS", 2)
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        at_once = await asyncio.gather(*(_inline(web, "inline_gate") for _ in range(4)))
        assert sorted(run.phase for run in at_once) == [Phase.QUEUED, Phase.QUEUED, Phase.RUNNING, Phase.RUNNING]
        assert (await _inline(web, "inline_gate")).phase is Phase.QUEUED
        ends = next(run for run in at_once if run.phase is Phase.RUNNING)
        project.gates[ends.thread_id].set()
        await eventually(lambda: _executing(web) == 1)
        assert (await _inline(web, "inline_gate")).phase is Phase.RUNNING


async def test_a_limit_of_running_runs_holds_in_the_web_process(
    valkey_url: str, keys: Keys, graphs: Registry, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        assert (await _inline(web, "inline_gate", groups=[("few", 1)])).phase is Phase.RUNNING
        assert (await _inline(web, "inline_gate", groups=[("few", 1)])).phase is Phase.QUEUED


async def test_a_request_that_is_repeated_executes_its_run_once(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, drain_s=0), graphs, "web") as web:
        run_id, thread_id = new_id(), new_id()
        at_once = [_inline(web, "inline_gate", run_id=run_id, thread_id=thread_id) for _ in range(2)]
        assert {run.phase for run in await asyncio.gather(*at_once)} == {Phase.RUNNING}
        await eventually(lambda: project.effects[thread_id]["one"])
        await _inline(web, "inline_gate", run_id=run_id, thread_id=thread_id)
        assert _executing(web) == 1


async def _unanswered(web: Services, stores: Stores, proxy: Proxy, graph_id: str, run_id: str) -> asyncio.Task[Run]:
    """The making of a run that the server has given the web process, whose answer the proxy still holds."""
    proxy.hold_replies()
    creating = asyncio.create_task(_inline(web, graph_id, run_id=run_id))
    await wait_until(lambda: stores.pipeline.send("EXISTS", stores.keys.run(run_id), repeatable=True))
    return creating


async def test_a_run_whose_answer_is_lost_on_the_way_is_executed_all_the_same(
    valkey_url: str, keys: Keys, stores: Stores, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    """The connection breaks when the server has given the web process the run, and before it has said so."""
    async with _behind_a_proxy(valkey_url, keys, graphs) as (proxy, web):
        run_id = new_id()
        creating = await _unanswered(web, stores, proxy, "inline_gate", run_id)
        proxy.cut()
        proxy.release_replies()
        run = await creating
        assert _executing(web) == 1
        project.gates[run.thread_id].set()
        await eventually(lambda: _is(web, run, Phase.COMPLETED))
        assert (await web.runs.find(run_id)).attempt == 1


async def test_a_run_whose_caller_is_cancelled_meanwhile_is_executed_all_the_same(
    valkey_url: str, keys: Keys, stores: Stores, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with _behind_a_proxy(valkey_url, keys, graphs) as (proxy, web):
        run_id = new_id()
        creating = await _unanswered(web, stores, proxy, "swift", run_id)
        creating.cancel()
        await asyncio.wait({creating})
        assert creating.cancelled()
        assert web.inline is not None
        assert web.inline.pending_creations == 1, "the answer is still waited for"
        proxy.release_replies()

        async def is_over() -> bool:
            return (await web.runs.find(run_id)).phase is Phase.COMPLETED

        await eventually(is_over)
        assert (await web.runs.find(run_id)).attempt == 1


async def test_a_lease_in_the_web_process_is_renewed_until_the_run_ends(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    async with open_services(settings_of(valkey_url, keys, heartbeat_s=0.1), graphs, "web") as web:
        assert web.lease_renewer is not None
        run = await _inline(web, "inline_gate")
        assert run.run_id in web.lease_renewer.run_ids
        until_ms = await web.pipeline.send("ZSCORE", keys.leases, run.run_id)

        async def is_renewed() -> bool:
            return float(await web.pipeline.send("ZSCORE", keys.leases, run.run_id)) > float(until_ms)

        await eventually(is_renewed)
        project.gates[run.thread_id].set()
        await eventually(lambda: _executing(web) == 0)
        assert web.lease_renewer.run_ids == frozenset()


async def test_an_inline_execution_that_breaks_is_logged(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Execution) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(Execution, "execute", broken)
    async with open_services(settings_of(valkey_url, keys), graphs, "web") as web:
        with capture_logs() as logs:
            run = await _inline(web, "swift")
            await eventually(lambda: _executing(web) == 0)
        assert [(entry["event"], entry["run"]) for entry in logs] == [("inline.failed", run.run_id)]


async def test_a_worker_that_stops_hands_its_runs_back_without_spending_an_attempt(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, max_attempts=1)
    async with working(settings, graphs) as (process, services):
        new = new_run(new_id(), graph_id="gate", create_thread=True)
        run = await services.submission.submit(new)
        await eventually(lambda: project.effects[run.thread_id]["one"])
        process.request_stop()
        await eventually(lambda: all(execution.drain_requested for execution in process.executions.current))
        project.gates[run.thread_id].set()
        await eventually(lambda: _is(services, run, Phase.QUEUED))
    async with working(settings, graphs) as (_, services):
        await eventually(lambda: _is(services, run, Phase.COMPLETED))
        assert project.effects[run.thread_id] == ALL_ONCE
        assert (await services.runs.find(run.run_id)).uncounted_attempts == 1


async def test_a_run_whose_claim_arrives_while_the_worker_stops_is_handed_back(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with open_services(settings_of(valkey_url, keys), graphs, "worker") as services:
        assert services.lease_renewer is not None
        process = WorkerProcess(services, pipeline)
        process.executions.drain()
        run = await services.submission.submit(new_run(new_id(), create_thread=True))
        _, claimed = await services.scripts.run_claim(services.lease_renewer.worker, 1, LEASE_MS)
        await process.run_attempt({}, run_from(claimed[0]))
        now = await services.runs.find(run.run_id)
        assert (now.phase, now.uncounted_attempts) == (Phase.QUEUED, 1)


async def test_many_runs_of_a_stopping_worker_all_end_elsewhere(
    valkey_url: str, keys: Keys, graphs: Registry, eventually: Eventually, project: ModuleType
) -> None:
    settings = settings_of(valkey_url, keys, drain_s=0.2)
    async with working(settings, graphs) as (process, services):
        made = [new_run(new_id(), graph_id="gate", create_thread=True) for _ in range(20)]
        runs = await asyncio.gather(*(services.submission.submit(new) for new in made))
        await eventually(lambda: all(project.effects[run.thread_id]["one"] for run in runs))
        process.request_stop()
        await eventually(lambda: not process.executions.current)
    for run in runs:
        project.gates[run.thread_id].set()
    async with working(settings, graphs) as (_, services):
        for run in runs:
            await eventually(functools.partial(_is, services, run, Phase.COMPLETED))
            assert project.effects[run.thread_id] == ALL_ONCE
