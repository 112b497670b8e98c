"""Inline runs: short graphs (`"execution": "inline"` in langgraph.json) that the web process executes itself.

An inline run has the same record, events, ceilings and checkpoints as any other run. If it takes longer than its
budget, it stops at its next superstep and is released to the queue. A worker continues it. Clients that follow its log
receive its events without interruption.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

import structlog

from slipway.execution.execution import Execution
from slipway.execution.open_executions import OpenExecutions
from slipway.graphs.interface import Graphs
from slipway.runs.creation import RunCreator
from slipway.runs.record import Phase, Run, RunSpec
from slipway.settings import Settings
from slipway.stop_times import RELEASE_WITHIN_S

log = structlog.get_logger(__name__)

MAX_INLINE_RUNS: Final = 64
"""The most runs that one web process executes at once. Workers execute all others."""


class InlineRuns:
    """Creates and executes the inline runs of a web process."""

    def __init__(self, creator: RunCreator, graphs: Graphs, executions: OpenExecutions, settings: Settings) -> None:
        self._creator, self._graphs, self._open_executions, self._settings = creator, graphs, executions, settings
        self._submissions: set[asyncio.Task[Run]] = set()
        self._executions: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def pending_creations(self) -> int:
        """How many runs are being created: Redis has not acknowledged them yet."""
        return len(self._submissions)

    async def submit(self, spec: RunSpec) -> Run:
        """Creates a run and starts it at once. The run is queued instead if its thread is busy, if this process is
        stopping, or if it already executes `MAX_INLINE_RUNS` runs.

        The creation continues if the caller is cancelled, because this process may already have the lease of the
        run."""
        if self._closing or len(self._submissions) + len(self._executions) >= MAX_INLINE_RUNS:
            return (await self._creator.create(spec)).run
        submission = asyncio.create_task(self._create_and_start(spec), name=f"submit {spec.identity.run_id}")
        self._submissions.add(submission)
        submission.add_done_callback(self._submissions.discard)
        return await asyncio.shield(submission)

    async def _create_and_start(self, spec: RunSpec) -> Run:
        sent_at = time.monotonic()
        created = await self._creator.create(spec, inline_worker=self._open_executions.worker_id)
        if created.is_new and created.run.phase is Phase.RUNNING:
            self._start(created.run, sent_at)
        return created.run

    def _start(self, run: Run, claim_sent_at: float) -> None:
        execution = self._open_executions.open(run, claim_sent_at)
        task = asyncio.create_task(execution.execute(), name=f"inline {run.run_id}")
        self._executions.add(task)
        budget_s = self._graphs.spec(run.graph_id).inline_budget_s or self._settings.inline_budget_s
        timer = asyncio.get_running_loop().call_later(budget_s, execution.drain)
        task.add_done_callback(lambda done: self._on_end(done, execution, timer))

    def _on_end(self, task: asyncio.Task[None], execution: Execution, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._open_executions.close(execution)
        self._executions.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("inline.failed", run=execution.run.run_id, exc_info=error)

    async def close(self) -> None:
        """Releases every run to the queue: at its next superstep, or at once after `drain_s` seconds."""
        self._closing = True
        clock, drain_s = asyncio.get_running_loop().time, self._settings.drain_s
        stop_at = clock() + drain_s
        await _wait(self._submissions, min(self._settings.redis_patience_web_s, drain_s))
        self._open_executions.drain()
        await _wait(self._executions, stop_at - clock())
        self._open_executions.stop_now()
        await _wait(self._executions, RELEASE_WITHIN_S)


async def _wait(tasks: Collection[asyncio.Task[Any]], timeout_s: float) -> None:
    if tasks:
        await asyncio.wait(list(tasks), timeout=timeout_s)
